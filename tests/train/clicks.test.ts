// Two stages and a click, from the command line: trained together, predicted together, on the image's own grid.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readVolume } from "../../runtime/data/image.ts";
import { encodeImage, encodeLabels } from "../../runtime/data/nifti.ts";
import { cubeOf } from "../../runtime/data/samples.ts";
import { unravel, type StoredGrid } from "../../runtime/data/volume.ts";
import { loadCheckpoint } from "../../runtime/train/checkpoint.ts";
import { netc } from "./cli.ts";

const root = join(import.meta.dirname, "..", "..");
const stagesNet = join(root, "tests", "train", "nets", "stages.net");
const example = join(root, "docs", "examples", "clicks.net");
const sample = join(root, "tests", "data", "Dataset001_TotalSegSample");

let folder: string;
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const train = (operands: readonly string[], out: string, ...more: readonly string[]) => netc(["train", stagesNet, ...operands, "--data", at("data"), "--out", at(out), ...more]);
const predict = (...more: readonly string[]) => netc(["predict", "--overlap", "0", ...more]);
const image = (name: string): string => join(sample, "imagesTs", `${name}_0000.nii.gz`);
const record = (...run: readonly string[]) => JSON.parse(readFileSync(at(...run, "run.json"), "utf8")) as Record<string, unknown>;

/** Two training cases of the sample, and one without any muscle. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "netc-clicks-"));
  mkdirSync(at("data", "imagesTr"), { recursive: true });
  mkdirSync(at("data", "labelsTr"));
  const declared = JSON.parse(readFileSync(join(sample, "dataset.json"), "utf8")) as object;
  writeFileSync(at("data", "dataset.json"), JSON.stringify({ ...declared, numTraining: 3 }));
  for (const name of ["ct_001", "ct_002", "ct_003"]) {
    cpSync(join(sample, "imagesTr", `${name}_0000.nii.gz`), at("data", "imagesTr", `${name}_0000.nii.gz`));
    cpSync(join(sample, "labelsTr", `${name}.nii.gz`), at("data", "labelsTr", `${name}.nii.gz`));
  }
  const { volume } = readVolume(at("data", "labelsTr", "ct_003.nii.gz"));
  writeFileSync(at("data", "labelsTr", "ct_003.nii.gz"), encodeLabels(Uint8Array.from(volume.data, (value) => (value === 2 ? 0 : value)), volume.stored, true));
  const { code, err } = await train(["coarse", "fine"], "runs", "--validate-every", "100");
  expect(err).toContain("W1081");
  expect(code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("training", () => {
  it("of two runs fills a folder each; the second remembers the first", () => {
    expect(readdirSync(at("runs"))).toEqual(["coarse", "fine"]);
    expect(record("runs", "coarse")).toMatchObject({ run: "coarse", classes: ["background", "muscle"], channels: ["CT"], samples: { target: 2, guide: true } });
    expect(record("runs", "fine")).toMatchObject({ run: "fine", coarse: join("..", "coarse"), samples: { target: 2, guide: true, crop: { factor: 1.2, least: 40 } }, window: [12, 16, 20] });
    expect(record("runs", "coarse")["coarse"]).toBeUndefined();
    // Of the image and of the click.
    expect(loadCheckpoint(at("runs", "coarse"), "latest").tensors.get("first.weight")?.shape).toEqual([4, 2, 3, 3, 3]);
    const scores = readFileSync(at("runs", "fine", "log.jsonl"), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as { dice?: Record<string, number> }).flatMap(({ dice }) => (dice === undefined ? [] : [dice]));
    expect(scores).toHaveLength(2);
    for (const dice of scores) {
      expect(Object.keys(dice)).toEqual(["muscle"]);
      expect(dice["muscle"]).toBeGreaterThan(0);
    }
  });

  it("goes on with both, to the last bit as if it had not stopped", async () => {
    await train(["coarse", "fine"], "parts", "--steps", "4", "--validate-every", "2");
    await train(["coarse", "fine"], "again", "--steps", "4", "--validate-every", "2");
    rmSync(at("again", "fine"), { recursive: true });
    const { code, out, err } = await train(["coarse", "fine"], "again", "--resume", "--steps", "4");
    expect(code).toBe(0);
    expect(out).toContain("nothing to do");
    expect(err).not.toContain("W1071");
    expect(loadCheckpoint(at("again", "fine"), "latest").tensors).toEqual(loadCheckpoint(at("parts", "fine"), "latest").tensors);
    expect(loadCheckpoint(at("again", "fine"), "latest").tensors).not.toEqual(loadCheckpoint(at("runs", "coarse"), "latest").tensors);
  });

  it("names a case without the target, and stops where there is no other", async () => {
    expect((await train(["coarse"], "named", "--steps", "1")).err).toMatch(/W1081[^]*ct_003: there is nothing to click on/);
    mkdirSync(at("none"));
    cpSync(at("data"), at("none"), { recursive: true });
    for (const name of ["ct_001", "ct_002"]) for (const part of ["imagesTr", "labelsTr"]) rmSync(at("none", part, `${name}${part === "imagesTr" ? "_0000" : ""}.nii.gz`));
    const { code, err } = await netc(["train", stagesNet, "coarse", "--data", at("none"), "--out", at("no")]);
    expect({ code, says: err }).toMatchObject({ code: 1, says: expect.stringContaining("N1084") as string });
  });

  it("refuses a class that the data does not have, a run named twice, and a second run that cannot be, before the first begins", async () => {
    const odd = await train(["odd"], "no");
    expect(odd.code).toBe(1);
    expect(odd.err).toMatch(/N1086[^]*`mussel`[^]*2 muscle[^]*did you mean `muscle`/);
    expect((await train(["coarse", "coarse"], "no")).code).toBe(2);
    expect(await train(["coarse", "odd"], "no")).toMatchObject({ code: 1, err: expect.stringContaining("N1086") as string });
    expect(await train(["coarse", "find"], "no")).toMatchObject({ code: 1, err: expect.stringContaining("did you mean `fine`") as string });
    expect((await train(["coarse", "fine"], "runs")).err).toContain("N1062");
    expect(existsSync(at("no"))).toBe(false);
  });
});

describe("predicting", () => {
  it("labels a folder with a click each, on the grid of each image, within the cube the first stage finds", async () => {
    writeFileSync(at("clicks.csv"), "case,i,j,k\nct_007,37,14,14\nct_008,6,17,14\n");
    const { code, err } = await predict("--run", at("runs", "fine"), "-i", join(sample, "imagesTs"), "-o", at("out"), "--clicks", at("clicks.csv"), "--which", "latest");
    expect(err).toContain("Small, latest weights of step 200, after Small, latest weights of step 200");
    expect(code).toBe(0);
    expect((await predict("--run", at("runs", "coarse"), "-i", join(sample, "imagesTs"), "-o", at("masks"), "--clicks", at("clicks.csv"), "--which", "latest")).code).toBe(0);
    for (const name of ["ct_007", "ct_008"]) {
      const [{ volume }, { volume: mask }, { volume: scan }] = [readVolume(at("out", `${name}.nii.gz`)), readVolume(at("masks", `${name}.nii.gz`)), readVolume(image(name))];
      expect(volume.stored).toEqual({ ...scan.stored, version: volume.stored.version });
      // The value of the target in the data set.
      expect(new Set(volume.data)).toEqual(new Set([0, 2]));
      const box = cubeOf(Uint8Array.from(mask.data, (value) => (value === 2 ? 1 : 0)), mask.shape, mask.spacing, { factor: 1.2, least: 40 });
      const start = box?.start ?? [99, 99, 99];
      volume.data.forEach((value, n) => {
        if (value === 0) return;
        const inside = unravel(n, volume.shape).every((place, axis) => place >= (start[axis] ?? 0) && place < (start[axis] ?? 0) + (box?.size[axis] ?? 0));
        expect(inside).toBe(true);
      });
    }
  });

  it("is the same for a click in millimetres, in another order of the file, and with the first stage named", async () => {
    // Rows, columns and slices in another order, two of them backwards.
    const { volume } = readVolume(image("ct_007"));
    const [[sx, , , ox], [, sy, , oy], [, , sz, oz]] = volume.stored.affine;
    const [w, h, d] = volume.stored.size;
    const grid: StoredGrid = {
      ...volume.stored, size: [d, w, h],
      affine: [[0, sx, 0, ox], [0, 0, -sy, oy + sy * (h - 1)], [-sz, 0, 0, oz + sz * (d - 1)]],
      sources: [{ axis: 1, flipped: false }, { axis: 2, flipped: true }, { axis: 0, flipped: true }],
    };
    writeFileSync(at("turned_0000.nii"), encodeImage(volume.data, grid, false));
    expect(readVolume(at("turned_0000.nii")).volume.data).toEqual(volume.data);
    const common = ["--run", at("runs", "fine"), "--coarse", at("runs", "coarse"), "--which", "latest"];
    const inMm = [37 * sx + ox, 14 * sy + oy, 14 * sz + oz];
    const { code } = await predict(...common, at("turned_0000.nii"), image("ct_007"), "-o", at("same"), "--click", `turned=${d - 1 - 14},37,${h - 1 - 14}`, "--click-mm", `ct_007=${inMm.join(",")}`);
    expect(code).toBe(0);
    const first = readVolume(at("out", "ct_007.nii.gz")).volume.data;
    expect(readVolume(at("same", "ct_007.nii.gz")).volume.data).toEqual(first);
    const turned = readVolume(at("same", "turned.nii")).volume;
    expect(turned.stored.size).toEqual([d, w, h]);
    expect(turned.data).toEqual(first);
    const other = await predict(...common, image("ct_007"), "-o", at("other"), "--click", "ct_007=2,90,1");
    expect(other.code).toBe(0);
    expect(readVolume(at("other", "ct_007.nii.gz")).volume.data).not.toEqual(first);
  });

  it("goes on without the cases whose clicks are of no use", async () => {
    const { code, err, out } = await predict("--run", at("runs", "fine"), "-i", join(sample, "imagesTs"), "-o", at("some"), "--click", "ct_007=61,0,0", "--click", "ct_008=6,17,14", "--click", "ct_009=1,1,1");
    expect(code).toBe(1);
    expect(err).toMatch(/N1081[^]*no case ct_009/);
    expect(err).toMatch(/N1082[^]*61, 0, 0[^]*61 x 101 x 28/);
    expect(out).toContain("1 of 2 cases");
    expect(readdirSync(at("some"))).toEqual(["ct_008.nii.gz"]);
  });

  it("draws clicks from label maps where they are known", async () => {
    const { code } = await predict("--run", at("runs", "fine"), image("ct_007"), "-o", at("drawn"), "--clicks", join(sample, "labelsTs"));
    expect(code).toBe(0);
    expect(readdirSync(at("drawn"))).toEqual(["ct_007.nii.gz"]);
  });

  it("says what is wrong with runs and clicks before it computes", async () => {
    expect((await train(["bowel"], "bowel", "--steps", "1", "--validate-every", "0")).code).toBe(0);
    expect((await train(["whole"], "whole", "--steps", "1", "--validate-every", "0")).code).toBe(0);
    expect((await train(["fine"], "alone", "--steps", "1", "--validate-every", "0")).code).toBe(0);
    const to = [image("ct_007"), "-o", at("no")];
    const click = ["--click", "ct_007=1,2,3"];
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [["--run", at("alone"), ...to, ...click], 1, /N1087[^]*needs a coarse run[^]*--coarse DIR/],
      [["--run", at("alone"), "--coarse", at("bowel"), ...to, ...click], 1, /N1087[^]*finds bowel; wanted is muscle/],
      [["--run", at("runs", "coarse"), "--coarse", at("runs", "fine"), ...to, ...click], 1, /N1087[^]*does not crop/],
      [["--run", at("whole"), ...to, ...click], 2, /takes no clicks/],
      [["--run", at("runs", "fine"), ...to], 1, /N1083[^]*ct_007 has no click/],
      [["--run", at("runs", "fine"), ...to, "--click", "ct_007=1;2;3"], 1, /N1081[^]*ct_007=1;2;3/],
      [["--run", at("runs", "fine"), ...to, "--clicks", at("missing.csv")], 1, /N1006[^]*missing\.csv/],
    ];
    for (const [argv, code, says] of cases) {
      const said = await predict(...argv);
      expect(said.err).toMatch(says);
      expect(said.err).not.toMatch(/\n\s+at /);
      expect(said.code).toBe(code);
      expect(existsSync(at("no"))).toBe(false);
    }
  });
});

it("the documentation's example does the same with its two networks", async () => {
  const quick = ["--steps", "4", "--patch", "16,16,16", "--validate-every", "0"];
  expect((await netc(["train", example, "coarse", "fine", "--data", sample, "--out", at("example"), ...quick])).code).toBe(0);
  const { code, out } = await predict("--run", at("example", "fine"), image("ct_007"), "-o", at("example-out"), "--click", "ct_007=37,14,14");
  expect({ code, out }).toEqual({ code: 0, out: `1 of 1 case predicted into ${at("example-out")}` });
  expect(readVolume(at("example-out", "ct_007.nii.gz")).volume.stored.size).toEqual(readVolume(image("ct_007")).volume.stored.size);
}, 300_000);
