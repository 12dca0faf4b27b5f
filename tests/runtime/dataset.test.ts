// Data sets on disk: the layout, every way it can be wrong, and the numbers drawn from it.

import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { loadCase, loadCases } from "../../runtime/data/case.ts";
import { openDataset } from "../../runtime/data/dataset.ts";
import { absentFindings, fingerprintOf, normalise, schemeOf, spacingFindings } from "../../runtime/data/fingerprint.ts";
import { percentile } from "../../runtime/data/target.ts";
import { readVolume } from "../../runtime/data/image.ts";
import { encodeLabels } from "../../runtime/data/nifti.ts";
import { refused } from "../refused.ts";

const sample = "tests/data/Dataset001_TotalSegSample";
const shared = process.env["DATA_DIR"] ?? "../shared/data";
const variants = join(shared, "variants");
const hasVariants = existsSync(join(variants, "expected.json"));
if (!hasVariants) console.log(`skipped in part: the variants of ${variants} are not here`);

const scratch = mkdtempSync(join(tmpdir(), "dataset-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let made = 0;
/** A folder with a dataset.json of the sample, changed. */
function folderWith(change: Record<string, unknown>, files: Readonly<Record<string, string>> = {}): string {
  const folder = join(scratch, `d${made++}`);
  const json = { ...JSON.parse(readFileSync(join(sample, "dataset.json"), "utf8")) as object, numTraining: 1, ...change };
  mkdirSync(folder);
  writeFileSync(join(folder, "dataset.json"), JSON.stringify(json));
  const all = Object.keys(files).length > 0 ? files : { "imagesTr/a_0000.nii.gz": join(sample, "imagesTr/ct_001_0000.nii.gz"), "labelsTr/a.nii.gz": join(sample, "labelsTr/ct_001.nii.gz") };
  for (const [to, from] of Object.entries(all)) {
    mkdirSync(join(folder, to, ".."), { recursive: true });
    copyFileSync(from, join(folder, to));
  }
  return folder;
}

const clean = (findings: readonly Diagnostic[]): readonly string[] =>
  findings.map((f) => [f.code, f.headline, ...f.facts].join(" | ").replaceAll(/\S*dataset-\w+\/d\d+/g, "D").replaceAll(variants, "V"));

describe("the sample", () => {
  const { dataset, warnings } = openDataset(sample);
  const { cases } = loadCases(dataset, dataset.training);
  it("opens without a word", () => {
    expect(warnings).toEqual([]);
    expect(dataset.channels).toEqual(["CT"]);
    expect(dataset.classes).toEqual(["background", "bone", "muscle", "liver", "bowel", "kidney"]);
    expect(dataset.training.map((one) => one.name)).toEqual(["ct_001", "ct_002", "ct_003", "ct_004", "ct_005", "ct_006"]);
    expect(dataset.test).toEqual([7, 8].map((n) => ({ name: `ct_00${n}`, images: [join(sample, `imagesTs/ct_00${n}_0000.nii.gz`)], label: join(sample, `labelsTs/ct_00${n}.nii.gz`) })));
  });
  it("loads shapes, spacings, labels", () => {
    expect(cases.map((one) => one.shape)).toEqual(Array(6).fill([28, 101, 61]));
    const counts = [0, 0, 0, 0, 0, 0];
    for (const value of cases[3]?.label ?? []) counts[value] = (counts[value] ?? 0) + 1;
    expect(counts.slice(1)).toEqual([4220, 9566, 15, 22385, 1773]);
    const range = cases[0]?.image.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)] as const, [0, 0] as readonly [number, number]);
    expect(range).toEqual([-1207, 3382]);
  });
  // The reference drew voxels at random, so it is met to sampling error: a standard error of the mean is about 0.1.
  it("has the fingerprint that nnU-Net's rule gives", () => {
    const { channels: [ct], spacing, shape } = fingerprintOf(cases, dataset.channels);
    expect(ct?.scheme).toBe("ct");
    expect(Math.abs((ct?.mean ?? 0) - 25.53)).toBeLessThan(0.3);
    expect(Math.abs((ct?.deviation ?? 0) - 286.6)).toBeLessThan(0.6);
    expect(ct?.low).toBe(-994);
    expect(Math.abs((ct?.high ?? 0) - 889)).toBeLessThanOrEqual(3);
    expect(spacing).toEqual([3, 3, 3]);
    expect(shape).toEqual([28, 101, 61]);
    expect(spacingFindings(cases, spacing)).toEqual([]);
    expect(absentFindings(cases.flatMap((one) => [...new Set(one.label)]), dataset.classes)).toEqual([]);
  });
  it("is clipped and scaled as CT", () => {
    const channel = { name: "CT", scheme: "ct", mean: 25.53, deviation: 286.6, low: -994, high: 889 } as const;
    const image = normalise(Float32Array.of(-2000, 25.53, 312.13, 5000), { channels: [channel], spacing: [3, 3, 3], shape: [1, 1, 4] });
    expect([...image].map((v) => Number(v.toFixed(3)))).toEqual([-3.557, 0, 1, 3.013]);
  });
});

describe.skipIf(!existsSync(join(shared, "Dataset002_TotalSegSampleMR")))("the MR sample", () => {
  it("has its fingerprint and is scaled per image", () => {
    const { dataset } = openDataset(join(shared, "Dataset002_TotalSegSampleMR"));
    const { cases } = loadCases(dataset, dataset.training);
    const fingerprint = fingerprintOf(cases, dataset.channels);
    expect(fingerprint.channels[0]).toMatchObject({ scheme: "zscore", low: -3, high: 342 });
    expect(Math.abs((fingerprint.channels[0]?.mean ?? 0) - 71.32)).toBeLessThan(0.3);
    expect(Math.abs((fingerprint.channels[0]?.deviation ?? 0) - 63.79)).toBeLessThan(0.3);
    expect(fingerprint.shape).toEqual([10, 91, 58.5]);
    const image = normalise(cases[0]?.image ?? new Float32Array(), fingerprint);
    const mean = image.reduce((sum, v) => sum + v, 0) / image.length;
    expect(mean).toBeCloseTo(0, 4);
    expect(image.reduce((sum, v) => sum + (v - mean) ** 2, 0) / image.length).toBeCloseTo(1, 4);
  });
});

describe("dataset.json", () => {
  it.each<[string, Record<string, unknown>]>([
    ["no channels", { channel_names: undefined }],
    ["a hole in the channels", { channel_names: { 0: "CT", 2: "PET" } }],
    ["format 1 channels", { channel_names: undefined, modality: { 0: "CT" } }],
    ["format 1 labels", { labels: { 0: "background", 1: "bone" } }],
    ["no labels", { labels: undefined }],
    ["a gap", { labels: { background: 0, bone: 1, liver: 3 } }],
    ["twice", { labels: { background: 0, bone: 1, liver: 1 } }],
    ["fraction", { labels: { background: 0, bone: 1.5 } }],
    ["regions without an order", { labels: { background: 0, whole: [1, 2] } }],
    ["ignore is not the highest", { labels: { background: 0, bone: 1, ignore: 3 } }],
    ["ending", { file_ending: ".png" }],
  ])("%s", (name, change) => {
    expect([name, ...clean(refused(() => openDataset(folderWith(change))))]).toMatchSnapshot();
  });
  it("is missing, not JSON, or not even in a folder", () => {
    const folder = folderWith({});
    writeFileSync(join(folder, "dataset.json"), "{ \"labels\": ");
    expect(refused(() => openDataset(folder))[0]).toMatchObject({ code: "N1011", headline: `${join(folder, "dataset.json")} is not valid JSON` });
    rmSync(join(folder, "dataset.json"));
    expect(refused(() => openDataset(folder))[0]).toMatchObject({ code: "N1011", headline: `there is no ${join(folder, "dataset.json")}` });
    expect(refused(() => openDataset(join(folder, "nowhere")))[0]).toMatchObject({ code: "N1006" });
  });
});

describe("files", () => {
  const image = join(sample, "imagesTr/ct_001_0000.nii.gz");
  const label = join(sample, "labelsTr/ct_001.nii.gz");
  it("missing halves are all told at once", () => {
    const folder = folderWith({}, { "imagesTr/a_0000.nii.gz": image, "labelsTr/b.nii.gz": label });
    expect(clean(refused(() => openDataset(folder)))).toEqual([
      "N1014 | D/labelsTr/b.nii.gz has no image | There is no D/imagesTr/b_0000.nii.gz.",
      "N1014 | training case a has no label | There is no D/labelsTr/a.nii.gz.",
    ]);
  });
  it("a missing channel", () => {
    const folder = folderWith({ channel_names: { 0: "CT", 1: "PET" } }, { "imagesTr/a_0000.nii.gz": image, "imagesTr/a_0002.nii.gz": image, "labelsTr/a.nii.gz": label });
    expect(clean(refused(() => openDataset(folder)))).toEqual(["N1015 | case a lacks channel 1 (PET) | There is no D/imagesTr/a_0001.nii.gz. | dataset.json declares 2 channels: CT, PET."]);
  });
  it("nothing at all", () => {
    const folder = folderWith({ file_ending: ".nii" });
    expect(refused(() => openDataset(folder))[0]).toMatchObject({ code: "N1014", headline: `${folder} has no training cases` });
  });
  it("files left over and a wrong count only warn; hidden ones are ignored", () => {
    const folder = folderWith({ numTraining: 7 }, { "imagesTr/a_0000.nii.gz": image, "imagesTr/a_0001.nii.gz": image, "imagesTr/._a_0000.nii.gz": image, "labelsTr/a.nii.gz": label });
    expect(clean(openDataset(folder).warnings)).toEqual([
      "W1057 | 1 file of D is not used | For one: a_0001.nii.gz. | dataset.json declares 1 channel (CT) and files that end in .nii.gz.",
      "W1057 | D/dataset.json declares 7 training cases, 1 were found",
    ]);
  });
  it("two channels lie one after the other", () => {
    const folder = folderWith({ channel_names: { 0: "CT", 1: "noNorm" } }, { "imagesTr/a_0000.nii.gz": image, "imagesTr/a_0001.nii.gz": label, "labelsTr/a.nii.gz": label });
    const { dataset } = openDataset(folder);
    const { loaded } = loadCase(dataset, dataset.training[0] ?? { name: "", images: [], label: undefined });
    expect(loaded.channels).toBe(2);
    expect([...loaded.image.subarray(28 * 101 * 61)]).toEqual([...loaded.label ?? []]);
    expect(normalise(loaded.image, fingerprintOf([loaded], dataset.channels)).subarray(28 * 101 * 61)).toEqual(loaded.image.subarray(28 * 101 * 61));
  });
});

describe.skipIf(!hasVariants)("cases of the variants", () => {
  const classes = ["background", "bone", "muscle", "liver", "bowel", "kidney"];
  const load = (image: string, label?: string): ReturnType<typeof loadCase> =>
    loadCase({ classes }, { name: "v", images: image.split(",").map((file) => join(variants, file)), label: label === undefined ? undefined : join(variants, label) });

  it.each(["label_gap", "label_fraction", "label_negative", "label_shape", "label_origin", "label_spacing"])("%s is refused", (name) => {
    expect(clean(refused(() => load("ref_0000.nii.gz", `${name}.nii.gz`)))).toMatchSnapshot();
  });
  it.each(["nan", "inf", "truncated"])("image %s is refused", (name) => {
    expect(clean(refused(() => load(`${name}.nii.gz`, "ref.nii.gz")))).toMatchSnapshot();
  });
  it.each(["label_empty", "constant"])("%s is warned of", (name) => {
    const { loaded, warnings } = name === "constant" ? load("constant.nii.gz", "ref.nii.gz") : load("ref_0000.nii.gz", `${name}.nii.gz`);
    expect(clean(warnings)).toMatchSnapshot();
    const flat = normalise(loaded.image, fingerprintOf([loaded], ["MRI"]));
    expect(flat.every(Number.isFinite)).toBe(true);
    expect(normalise(loaded.image, fingerprintOf([loaded], ["CT"])).every(Number.isFinite)).toBe(true);
  });
  it.each(["orient_LPS", "orient_LAS", "orient_PIR", "orient_SAL"])("%s has its label in place", (name) => {
    const turned = load(`${name}_0000.nii.gz`, `${name}.nii.gz`).loaded;
    const plain = load("ref_0000.nii.gz", "ref.nii.gz").loaded;
    expect(Buffer.compare(turned.label ?? new Uint8Array(), plain.label ?? new Uint8Array())).toBe(0);
    // A label in another stored order than its image is no fault: both are turned.
    expect(load(`${name}_0000.nii.gz`, "ref.nii.gz").loaded.label).toEqual(plain.label);
  });
  it("label_int64 and label_float are labels", () => {
    for (const name of ["label_int64", "label_float"]) expect(load("ref_0000.nii.gz", `${name}.nii.gz`).loaded.label).toEqual(load("ref_0000.nii.gz", "ref.nii.gz").loaded.label);
  });
  it("two channels", () => {
    const { loaded } = load("two_0000.nii.gz,two_0001.nii.gz", "ref.nii.gz");
    const second = loaded.image.subarray(40 * 36 * 24);
    expect(second.reduce((sum, v) => sum + v, 0) / second.length).toBeCloseTo(1.926, 3);
  });
  it("another spacing than the rest is warned of", () => {
    const cases = ["ref", "two", "anisotropic"].map((name) => ({ ...load(`${name}_0000.nii.gz`).loaded, name }));
    expect(clean(spacingFindings(cases, fingerprintOf(cases, ["CT"]).spacing))).toEqual([
      "W1055 | a case has another spacing than 3, 3, 3 mm | These are anisotropic (3, 3, 12). | Images are not resampled here: the network sees these at another scale.",
    ]);
  });
});

describe("several broken cases", () => {
  it("are told together", () => {
    const folder = folderWith({ numTraining: 2 }, { "imagesTr/a_0000.nii.gz": join(sample, "dataset.json"), "labelsTr/a.nii.gz": join(sample, "labelsTr/ct_001.nii.gz"), "imagesTr/b_0000.nii.gz": join(sample, "imagesTr/ct_002_0000.nii.gz"), "labelsTr/b.nii.gz": join(sample, "dataset.json") });
    const { dataset } = openDataset(folder);
    expect(refused(() => loadCases(dataset, dataset.training)).map((f) => f.code)).toEqual(["N1001", "N1001"]);
  });
  it("a label value is counted with its file", () => {
    const folder = folderWith({});
    const { volume } = readVolume(join(sample, "labelsTr/ct_001.nii.gz"));
    const labels = Uint8Array.from(volume.data);
    labels[5] = 9;
    writeFileSync(join(folder, "labelsTr/a.nii.gz"), encodeLabels(labels, volume.stored, true));
    const { dataset } = openDataset(folder);
    expect(clean(refused(() => loadCases(dataset, dataset.training)))).toEqual(["N1019 | D/labelsTr/a.nii.gz has labels that are not declared: 9 (1 voxel) | Declared are 0 background, 1 bone, 2 muscle, 3 liver, 4 bowel, 5 kidney."]);
  });
});

describe("statistics", () => {
  it("percentiles interpolate as numpy's do", () => {
    expect(percentile([1, 2, 4, 8], 50)).toBe(3);
    expect(percentile([1, 2, 4, 8], 99.5)).toBeCloseTo(7.94, 10);
    expect(percentile([5], 0.5)).toBe(5);
  });
  it("the channel's name chooses the scheme", () => {
    expect(["CT", "ct", "MRI", "T1", "noNorm", "rescale_to_0_1"].map(schemeOf)).toEqual(["ct", "ct", "zscore", "zscore", "none", "unit"]);
  });
  it("absent classes are named", () => {
    expect(absentFindings([0, 1, 1], ["background", "bone", "liver"])[0]?.headline).toBe("no training label contains liver");
  });
  it("the sample can be copied and used elsewhere", () => {
    const copy = join(scratch, "with space (1) Müller");
    cpSync(sample, copy, { recursive: true });
    expect(openDataset(copy).dataset.training.length).toBe(6);
  });
});
