// `netc predict`: label maps on the images' own grids, from nothing but the run's folder.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readVolume } from "../../runtime/data/nifti.ts";
import { netc } from "./cli.ts";

const root = join(import.meta.dirname, "..", "..");
const data = join(root, "tests", "data", "Dataset001_TotalSegSample");
const variants = join(root, "..", "shared", "data", "variants");

let folder: string;
const at = (...parts: readonly string[]): string => join(folder, ...parts);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "netc-predict-"));
  // The network's file goes away after training: its copy in the run must do.
  mkdirSync(at("nets"));
  cpSync(join(root, "tests", "train", "nets", "tiny.net"), at("nets", "tiny.net"));
  const trained = await netc(["train", at("nets", "tiny.net"), "--data", data, "--out", at("trained"), "--steps", "2", "--set", "width=3"]);
  expect(trained.err + trained.out).toContain("trained 2 steps");
  rmSync(at("nets"), { recursive: true });
  renameSync(at("trained"), at("run"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const predict = (...argv: readonly string[]) => netc(["predict", "--run", at("run"), "--overlap", "0", ...argv]);

describe("predictions", () => {
  it("of a folder lie on the grids of its images, with classes that exist", async () => {
    const { code, out } = await predict("-i", join(data, "imagesTs"), "-o", at("out"), "--batch", "3");
    expect({ code, out }).toEqual({ code: 0, out: `2 of 2 cases predicted into ${at("out")}` });
    expect(readdirSync(at("out")).sort()).toEqual(["ct_007.nii.gz", "ct_008.nii.gz"]);
    for (const name of ["ct_007", "ct_008"]) {
      const { volume } = readVolume(at("out", `${name}.nii.gz`));
      const { volume: image } = readVolume(join(data, "imagesTs", `${name}_0000.nii.gz`));
      expect(volume.shape).toEqual(image.shape);
      expect(volume.stored).toEqual({ ...image.stored, version: volume.stored.version });
      expect(new Set(volume.data).size).toBeGreaterThan(1);
      expect(Math.max(...new Set(volume.data))).toBeLessThan(6);
    }
  });

  it("do not depend on the batch, and use the checkpoint that is asked for", async () => {
    const { code, err } = await predict(join(data, "imagesTs", "ct_007_0000.nii.gz"), "-o", at("single"), "--which", "latest");
    expect(code).toBe(0);
    expect(err).toContain("latest weights of step 2");
    expect(readVolume(at("single", "ct_007.nii.gz")).volume.data).toEqual(readVolume(at("out", "ct_007.nii.gz")).volume.data);
  });

  it.skipIf(!existsSync(variants))("are the same voxels in whatever order an image is stored (skipped without the sample data)", async () => {
    const orders = ["ref", "orient_LPS", "orient_PIR"];
    const { code } = await predict(...orders.map((name) => join(variants, `${name}_0000.nii.gz`)), "-o", at("orders"));
    expect(code).toBe(0);
    const [reference, ...turned] = orders.map((name) => ({ name, guess: readVolume(at("orders", `${name}.nii.gz`)).volume, image: readVolume(join(variants, `${name}_0000.nii.gz`)).volume }));
    for (const { guess, image } of turned) {
      expect(guess.stored.size).toEqual(image.stored.size);
      expect(guess.stored.affine).toEqual(image.stored.affine);
      expect(guess.data).toEqual(reference?.guess.data);
    }
  });

  it.skipIf(!existsSync(variants))("of a bad image among good ones: the good ones are written (skipped without the sample data)", async () => {
    mkdirSync(at("mixed"));
    cpSync(join(variants, "truncated.nii.gz"), at("mixed", "bad_0000.nii.gz"));
    cpSync(join(variants, "tiny_0000.nii.gz"), at("mixed", "good_0000.nii.gz"));
    const { code, err, out } = await predict("-i", at("mixed"), "-o", at("mixed-out"));
    expect(code).toBe(1);
    expect(err).toContain("bad_0000.nii.gz");
    expect(out).toContain("1 of 2 cases");
    expect(readdirSync(at("mixed-out"))).toEqual(["good.nii.gz"]);
    expect(readVolume(at("mixed-out", "good.nii.gz")).volume.stored.size).toEqual(readVolume(at("mixed", "good_0000.nii.gz")).volume.stored.size);
    expect(err).toContain("W1072");
  });
});

describe("what would go wrong", () => {
  beforeAll(() => {
    const image = join(data, "imagesTs", "ct_007_0000.nii.gz");
    for (const place of ["empty", "two", "gap", "plain", "set/imagesTs"]) mkdirSync(at(place), { recursive: true });
    cpSync(image, at("two", "a_0000.nii.gz"));
    cpSync(image, at("two", "a_0001.nii.gz"));
    cpSync(image, at("gap", "a_0001.nii.gz"));
    cpSync(image, at("plain", "scan.nii.gz"));
    cpSync(image, at("set", "imagesTs", "a_0000.nii.gz"));
  });

  it.each<{ what: string; argv: () => readonly string[]; says: () => readonly string[] }>([
    { what: "a folder without images", argv: () => ["-i", at("empty"), "-o", at("no")], says: () => ["N1064", at("empty")] },
    { what: "a data set instead of its images", argv: () => ["-i", at("set"), "-o", at("no")], says: () => ["N1064", `did you mean ${at("set", "imagesTs")}`] },
    { what: "an image that is not there", argv: () => ["-i", at("nothing"), "-o", at("no")], says: () => ["N1006", at("nothing")] },
    { what: "a channel too many", argv: () => ["-i", at("two"), "-o", at("no")], says: () => ["N1065", "a_0001.nii.gz", "1 channel: 0000 CT"] },
    { what: "a channel too few", argv: () => ["-i", at("gap"), "-o", at("no")], says: () => ["N1015", "channel 0 (CT)"] },
    { what: "an output that cannot be written", argv: () => ["-i", at("plain"), "-o", at("plain", "scan.nii.gz")], says: () => ["N1007"] },
    { what: "an output in the place of the image", argv: () => ["-i", at("plain"), "-o", at("plain")], says: () => ["N1064", "would replace its image"] },
  ])("$what is told of in one message", async ({ argv, says }) => {
    const { code, err } = await predict(...argv());
    expect(code).toBe(1);
    for (const part of says()) expect(err).toContain(part);
    expect(err).not.toMatch(/\n\s+at /);
    expect(existsSync(at("no"))).toBe(false);
  });

  it("is a run with other weights, a damaged record, or none", async () => {
    cpSync(at("run"), at("other"), { recursive: true });
    const record = readFileSync(at("run", "run.json"), "utf8");
    writeFileSync(at("other", "run.json"), record.replace('"width": "3"', '"width": "4"'));
    const elsewhere = (run: string) => netc(["predict", "--run", run, "-i", at("plain"), "-o", at("no")]);
    expect(await elsewhere(at("other"))).toMatchObject({ code: 1, err: expect.stringContaining("N1042") as string });
    writeFileSync(at("other", "run.json"), "{}");
    expect(await elsewhere(at("other"))).toMatchObject({ code: 1, err: expect.stringContaining("N1063") as string });
    expect(await elsewhere(at("empty"))).toMatchObject({ code: 1, err: expect.stringContaining("N1063") as string });
    expect((await netc(["predict", "--run", at("run"), "-i", at("plain")])).code).toBe(2);
    expect((await netc(["predict", "--run", at("run"), "-i", at("plain"), "-o", at("no"), "--overlap", "1"])).code).toBe(2);
  });
});
