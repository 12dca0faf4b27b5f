// `netc predict`: label maps on the images' own grids, from nothing but the run's folder.

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { components } from "../../runtime/data/components.ts";
import { readVolume } from "../../runtime/data/image.ts";
import { encodeImage } from "../../runtime/data/nifti.ts";
import { storeVoxels } from "../../runtime/data/voxels.ts";
import { readNpz } from "../runtime/npz.ts";
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

describe("several ways", () => {
  const image = join(data, "imagesTs", "ct_007_0000.nii.gz");
  const both = join(data, "imagesTs");
  const labels = (...path: readonly string[]): Float32Array => readVolume(at(...path)).volume.data;
  const shares = (folder: string): Float32Array => readNpz(at(folder, "ct_007.npz")).values;
  /** The largest of the probabilities, in the order of the file. */
  const winner = (values: Float32Array): Uint8Array => {
    const size = values.length / 6;
    return Uint8Array.from({ length: size }, (_, n) => {
      const own = [0, 1, 2, 3, 4, 5].map((k) => values[k * size + n] ?? 0);
      return own.indexOf(Math.max(...own));
    });
  };

  beforeAll(async () => {
    cpSync(join(root, "tests", "train", "nets", "tiny.net"), at("tiny.net"));
    const trained = await netc(["train", at("tiny.net"), "--data", data, "--out", at("second"), "--steps", "2", "--set", "width=3", "--set", "mirror=[2]", "--set", "blend=uniform", "--seed", "5"]);
    expect(trained.code).toBe(0);
    mkdirSync(at("folds"));
    renameSync(at("second"), at("folds", "fold_1"));
    cpSync(at("run"), at("folds", "fold_0"), { recursive: true });
    expect((await predict(image, "-o", at("one"), "--save-probabilities")).code).toBe(0);
    expect((await netc(["predict", "--run", at("folds", "fold_1"), "--overlap", "0", image, "-o", at("other"), "--save-probabilities"])).code).toBe(0);
  });

  it("probabilities are those that the labels were decided by, in the order of the file", () => {
    expect(readdirSync(at("one")).sort()).toEqual(["ct_007.nii.gz", "ct_007.npz"]);
    expect(readNpz(at("one", "ct_007.npz")).header).toContain("'shape': (6, 28, 101, 61)");
    const size = 28 * 101 * 61;
    const values = shares("one");
    for (let n = 0; n < size; n += 97) expect([0, 1, 2, 3, 4, 5].reduce((sum, k) => sum + (values[k * size + n] ?? NaN), 0)).toBeCloseTo(1, 5);
    const { volume } = readVolume(at("one", "ct_007.nii.gz"));
    // Stored as x, y, z, of which some may run backwards.
    expect(volume.stored.sources.map(({ axis }) => axis)).toEqual([0, 1, 2]);
    expect(storeVoxels(volume.data, volume.stored, new Uint8Array(size))).toEqual(winner(values));
  });

  it("several runs, or the folds in a folder, are averaged", async () => {
    const { code, err } = await netc(["predict", "--run", at("run"), "--run", at("folds", "fold_1"), "--overlap", "0", image, "-o", at("mean"), "--save-probabilities"]);
    expect(code).toBe(0);
    expect(err.match(/weights of step 2, on/g)).toHaveLength(2);
    const [one, other, mean] = [shares("one"), shares("other"), shares("mean")];
    let [differ, off] = [0, 0];
    for (let n = 0; n < mean.length; n++) {
      off = Math.max(off, Math.abs((mean[n] ?? NaN) - ((one[n] ?? NaN) + (other[n] ?? NaN)) / 2));
      if (one[n] !== other[n]) differ++;
    }
    expect(off).toBeLessThan(1e-6);
    expect(differ).toBeGreaterThan(mean.length / 2);
    expect((await netc(["predict", "--run", at("folds"), "--overlap", "0", image, "-o", at("folded")])).code).toBe(0);
    expect(labels("folded", "ct_007.nii.gz")).toEqual(labels("mean", "ct_007.nii.gz"));
  });

  it("flags overrule what the run says of mirroring and blending", async () => {
    const fold = (out: string, ...argv: readonly string[]) => netc(["predict", "--run", at("folds", "fold_1"), "--overlap", "0", image, "-o", at(out), "--save-probabilities", ...argv]);
    const record = JSON.parse(readFileSync(at("folds", "fold_1", "run.json"), "utf8")) as Record<string, unknown>;
    expect(record).toMatchObject({ mirror: [2], blend: "uniform" });
    let runs = 0;
    await netc(["predict", "--run", at("folds", "fold_1"), "--overlap", "0", image, "-o", at("all"), "--mirror", "--save-probabilities"], (text) => { runs = Math.max(runs, Number(/of (\d+)(,|$)/.exec(text)?.[1] ?? 0)); });
    expect(runs % 8).toBe(0);
    await fold("straight", "--no-mirror");
    await fold("bell", "--blend", "gaussian");
    const made = ["other", "all", "straight", "bell"].map(shares);
    for (const [n, values] of made.entries()) for (const more of made.slice(n + 1)) expect(values).not.toEqual(more);
    expect((await fold("no", "--mirror", "--no-mirror")).code).toBe(2);
  });

  it("an image of one window has the same probabilities, whether the device or the host makes them of logits", async () => {
    const { volume } = readVolume(image);
    const grid = { ...volume.stored, size: [16, 12, 8] as const };
    writeFileSync(at("small_0000.nii"), encodeImage(volume.data.slice(20_000, 20_000 + 16 * 12 * 8), grid, false));
    for (const blend of ["gaussian", "uniform"]) expect((await predict(at("small_0000.nii"), "-o", at(blend), "--blend", blend, "--save-probabilities")).code).toBe(0);
    const [device, host] = ["gaussian", "uniform"].map((blend) => readNpz(at(blend, "small.npz")).values);
    expect(host).toHaveLength(6 * 16 * 12 * 8);
    host?.forEach((value, n) => expect(Math.abs(value - (device?.[n] ?? NaN))).toBeLessThan(2e-6));
    expect(readVolume(at("gaussian", "small.nii")).volume.data).toEqual(readVolume(at("uniform", "small.nii")).volume.data);
  });

  it("what is there and whole is left out with --continue, what is damaged is not", async () => {
    mkdirSync(at("again"));
    cpSync(at("out", "ct_007.nii.gz"), at("again", "ct_007.nii.gz"));
    const first = await predict("-i", both, "-o", at("again"), "--continue");
    expect(first).toMatchObject({ code: 0, out: `1 of 1 case predicted into ${at("again")}`, err: expect.stringContaining("1 of 2 cases are there already") as string });
    expect(labels("again", "ct_008.nii.gz")).toEqual(labels("out", "ct_008.nii.gz"));
    writeFileSync(at("again", "ct_007.nii.gz"), readFileSync(at("out", "ct_007.nii.gz")).subarray(0, 4000));
    expect((await predict("-i", both, "-o", at("again"), "--continue")).out).toBe(`1 of 1 case predicted into ${at("again")}`);
    expect(labels("again", "ct_007.nii.gz")).toEqual(labels("out", "ct_007.nii.gz"));
    // Nothing is left to do, and no device is needed for it.
    expect(await predict("-i", both, "-o", at("again"), "--continue", "-q")).toMatchObject({ code: 0, out: `0 of 0 cases predicted into ${at("again")}` });
    expect((await predict("-i", both, "-o", at("again"), "--continue", "--save-probabilities", "--part", "2/2")).out).toBe(`1 of 1 case predicted into ${at("again")}`);
    expect(existsSync(at("again", "ct_008.npz"))).toBe(true);
  });

  it("parts share the cases out, each to one", async () => {
    for (const part of ["1/3", "2/3", "3/3"]) expect((await predict("-i", both, "-o", at("parts", part.slice(0, 1)), "--part", part, "-q")).code).toBe(0);
    expect(["1", "2"].map((part) => readdirSync(at("parts", part)))).toEqual([["ct_007.nii.gz"], ["ct_008.nii.gz"]]);
    expect(existsSync(at("parts", "3"))).toBe(false);
    for (const part of ["0/2", "3/2", "1", "x/2"]) expect((await predict("-i", both, "-o", at("no"), "--part", part)).code).toBe(2);
  });

  it("only the largest part of a class is kept where that is asked for", async () => {
    expect((await predict(image, "-o", at("largest"), "--keep-largest", "bone", "--keep-largest", "muscle")).code).toBe(0);
    const [before, after] = [readVolume(at("out", "ct_007.nii.gz")).volume, readVolume(at("largest", "ct_007.nii.gz")).volume];
    const parts = (data: Float32Array, value: number) => components(Uint8Array.from(data, (one) => (one === value ? 1 : 0)), after.shape, 26);
    const many = [1, 2, 3, 4, 5].filter((value) => parts(before.data, value).length > 1);
    expect(many.length).toBeGreaterThan(0);
    for (const value of [1, 2]) expect(parts(after.data, value).length).toBe(Math.min(1, parts(before.data, value).length));
    for (const value of [3, 4, 5]) expect(parts(after.data, value).length).toBe(parts(before.data, value).length);
    expect((await predict(image, "-o", at("all-largest"), "--keep-largest", "all")).code).toBe(0);
    for (const value of [1, 2, 3, 4, 5]) expect(parts(readVolume(at("all-largest", "ct_007.nii.gz")).volume.data, value).length).toBeLessThan(2);
    const odd = await predict(image, "-o", at("no"), "--keep-largest", "bones");
    expect(odd).toMatchObject({ code: 2, err: expect.stringContaining("did you mean `bone`") as string });
  });

  it("runs of other classes cannot be averaged", async () => {
    cpSync(at("run"), at("odd"), { recursive: true });
    writeFileSync(at("odd", "run.json"), readFileSync(at("run", "run.json"), "utf8").replace('"kidney"', '"spleen"'));
    const { code, err } = await netc(["predict", "--run", at("run"), "--run", at("odd"), image, "-o", at("no")]);
    expect(code).toBe(1);
    expect(err).toMatch(/N1087[^]*different classes[^]*kidney[^]*spleen/);
  });

  it("-q says nothing but the result", async () => {
    expect(await predict(image, "-o", at("quiet"), "-q")).toEqual({ code: 0, out: `1 of 1 case predicted into ${at("quiet")}`, err: "" });
  });
});

it("Ctrl-C ends after the case at hand, nothing is half-written, and --continue goes on", async () => {
  const [images, out] = [at("six"), at("six-out")];
  mkdirSync(images);
  for (let n = 1; n <= 6; n++) cpSync(join(data, "imagesTs", "ct_007_0000.nii.gz"), join(images, `a${n}_0000.nii.gz`));
  const argv = ["predict", "--run", at("run"), "-i", images, "-o", out, "--save-probabilities"];
  const child = spawn(process.execPath, ["--import", "tsx", join(root, "cli", "main.ts"), ...argv], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => { said += text.toString(); });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  while (!existsSync(join(out, "a1.nii.gz")) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGINT");
  expect({ code: await ended, said }).toMatchObject({ code: 130, said: expect.stringMatching(/[1-5] of 6 cases predicted/) as string });
  expect(said).not.toMatch(/\n\s+at /);
  const written = readdirSync(out);
  expect(written.filter((name) => name.startsWith("."))).toEqual([]);
  for (const name of written.filter((one) => one.endsWith(".npz"))) expect(readNpz(join(out, name)).values).toHaveLength(6 * 28 * 101 * 61);
  for (const name of written.filter((one) => one.endsWith(".nii.gz"))) expect(readVolume(join(out, name)).volume.data).toHaveLength(28 * 101 * 61);
  expect((await netc([...argv, "--overlap", "0", "--continue"])).out).toBe(`${6 - written.length / 2} of ${6 - written.length / 2} case${written.length === 10 ? "" : "s"} predicted into ${out}`);
  expect(readdirSync(out)).toHaveLength(12);
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
