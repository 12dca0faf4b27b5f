// Targets that are regions of several labels: learned, validated, predicted in their order, scored by name.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { prepareTraining } from "../compiler/front/front.ts";
import { readVolume, writeLabels } from "../runtime/data/image.ts";
import { indexed } from "../runtime/data/patches.ts";
import { written } from "./front/library.ts";
import { netc } from "./train/cli.ts";

const root = mkdtempSync(join(tmpdir(), "regions-"));
const at = (...parts: readonly string[]): string => join(root, ...parts);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const grid = { size: [12, 12, 12], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], sources: [{ axis: 0, flipped: false }, { axis: 1, flipped: false }, { axis: 2, flipped: false }], sformCode: 1, qformCode: 0, version: 1 } as const;
const text = (loss: string): string => `
network Bright(image: [N, M, *S], classes: int) { out logits = image |> Conv(6, 1) as wide |> relu |> Conv(classes, 1) }
train bright for Bright { patch = [8, 8, 8]
 batch = 2
 epochs = 10
 steps = 15
 loss = ${loss}
 optimizer = adam(lr = 5e-2) }
`;
const loss = "dice_bce(logits, label, regions, batch = true)";
const labels = { background: 0, whole: [1, 2, 3], core: [2, 3] };

/** Intensities of the labels. */
const bright = [0, 2, 5, 6];

/** Stripes, in which the intensity tells the label. */
function dataset(name: string, declared: object, of: (n: number) => number): string {
  for (const part of ["imagesTr", "labelsTr"]) mkdirSync(at(name, part), { recursive: true });
  writeFileSync(at(name, "dataset.json"), JSON.stringify({ channel_names: { 0: "noNorm" }, numTraining: 2, file_ending: ".nii", ...declared }));
  for (const one of ["a", "b"]) {
    const map = Uint8Array.from({ length: 12 ** 3 }, (_, n) => of(n));
    writeLabels(at(name, "imagesTr", `${one}_0000.nii`), map.map((value, n) => (value === 255 ? 0 : bright[Math.floor(n / 36) % 4] ?? 0)), grid);
    writeLabels(at(name, "labelsTr", `${one}.nii`), map.map((value) => (value === 255 ? 4 : value)), grid);
  }
  return at(name);
}

const stripes = (n: number): number => Math.floor(n / 36) % 4;
writeFileSync(at("regions.net"), text(loss));
writeFileSync(at("ignoring.net"), text("dice_bce_ignore(logits, label, regions, batch = true)"));
writeFileSync(at("classes.net"), text("dice_ce(logits, label, batch = false)"));

describe("a run on regions", () => {
  it("gets the network one class for each, and its loss their labels", () => {
    const program = written(text(loss));
    const { training, settings } = prepareTraining(program, "bright", { channels: 1, classes: 2, regions: [[1, 2, 3], [2, 3]] });
    expect(settings).toMatchObject({ classes: 2, regional: true });
    expect(training?.heads[0]?.tensor.axes[1]?.extent).toBe(2);
    // Of plain data every class but the background is a region.
    const plain = prepareTraining(program, "bright", { classes: 3 });
    expect([plain.settings?.classes, plain.findings]).toEqual([2, []]);
  });

  it("places patches on voxels of a region, however many labels it has", () => {
    const label = Uint8Array.of(0, 1, 2, 3, 0, 255);
    const source = { name: "a", channels: 1, image: new Float32Array(6), label, shape: [1, 1, 6] as const, spacing: [1, 1, 1] as const, affine: grid.affine, stored: { ...grid, size: [6, 1, 1] as const } };
    expect(indexed(source, [[1, 2, 3], [2, 3], [4]]).classes).toEqual([{ value: 1, at: Uint32Array.of(1, 2, 3) }, { value: 2, at: Uint32Array.of(2, 3) }]);
  });

  it("learns, predicts in regions_class_order, keeps probabilities and scores by name", { timeout: 240_000 }, async () => {
    // A third of the voxels are not annotated, and look like background.
    const data = dataset("data", { labels: { ...labels, ignore: 4 }, regions_class_order: [1, 3] }, (n) => (n % 12 < 4 ? 255 : stripes(n)));
    const trained = await netc(["train", at("ignoring.net"), "--data", data, "--out", at("run"), "--validate-every", "150"]);
    expect(trained.code, trained.err).toBe(0);
    const log = readFileSync(at("run", "log.jsonl"), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as { mean?: number; dice?: unknown });
    expect(log.findLast(({ mean }) => mean !== undefined)?.mean).toBeGreaterThan(0.95);
    const predicted = await netc(["predict", "--run", at("run"), "-i", join(data, "imagesTr"), "-o", at("out"), "--save-probabilities"]);
    expect(predicted.code, predicted.err).toBe(0);
    // The labels 2 and 3 are one region, which is written as 3.
    const { data: map } = readVolume(at("out", "a.nii")).volume;
    expect([...new Set(map)].sort()).toEqual([0, 1, 3]);
    const [header, shares] = npz(at("out", "a.npz"));
    expect(header).toContain("(2, 12, 12, 12)");
    expect([...map]).toEqual([...map].map((_, n) => ((shares[1728 + n] ?? 0) > 0.5 ? 3 : (shares[n] ?? 0) > 0.5 ? 1 : 0)));
    const scored = await netc(["evaluate", at("out"), join(data, "labelsTr"), "--json"]);
    const summary = JSON.parse(scored.out) as { mean: Record<string, { Dice: number }> };
    expect(Object.keys(summary.mean)).toEqual(["(1, 2, 3)", "(2, 3)"]);
    expect(summary.mean["(2, 3)"]?.Dice).toBeGreaterThan(0.9);
    expect((await netc(["predict", "--run", at("run"), "-i", join(data, "imagesTr"), "-o", at("out"), "--keep-largest", "cor"])).err).toContain("did you mean `core`");
  });

  it("is refused where the loss is of classes or counts what is not annotated, or the run looks at one label", async () => {
    const data = dataset("more", { labels, regions_class_order: [1, 2] }, stripes);
    const partly = dataset("partly", { labels: { ...labels, ignore: 4 }, regions_class_order: [1, 2] }, (n) => (n % 12 < 4 ? 255 : stripes(n)));
    expect((await netc(["train", at("regions.net"), "--data", partly, "--out", at("no")])).err).toContain("dice_bce_ignore");
    const plain = await netc(["train", at("classes.net"), "--data", data, "--out", at("no")]);
    expect(plain).toMatchObject({ code: 1, err: expect.stringContaining("dice_bce(logits, label, regions") as string });
    expect((await netc(["train", at("regions.net"), "--data", data, "--out", at("no"), "--set", "target=1"])).err).toContain("`target` and regions");
    expect((await netc(["train", at("regions.net"), "--data", data, "--out", at("no"), "--set", "classes=3"])).err).toMatch(/N0\d+/);
  });
});

/** The header and the values of the one array in a .npz file. */
function npz(path: string): readonly [string, Float32Array] {
  const file = readFileSync(path);
  const from = 30 + file.readUInt16LE(26) + file.readUInt16LE(28);
  const bytes = inflateRawSync(file.subarray(from));
  const head = 10 + bytes.readUInt16LE(8);
  return [bytes.toString("latin1", 10, head), new Float32Array(Uint8Array.from(bytes.subarray(head)).buffer)];
}
