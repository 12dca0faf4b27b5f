// Every file that users bring and programs stumble over: a test per row of the table that says what it should yield.

import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { loadCase } from "../runtime/data/case.ts";
import { openDataset } from "../runtime/data/dataset.ts";
import { fingerprintOf } from "../runtime/data/fingerprint.ts";
import { locate } from "../runtime/data/geometry.ts";
import { readVolume, writeLabels } from "../runtime/data/image.ts";
import { encodeLabels } from "../runtime/data/nifti.ts";
import { prepareCase } from "../runtime/data/prepare.ts";
import { voxels, type Triple, type Volume } from "../runtime/data/volume.ts";
import { refused as findingsOf } from "./refused.ts";

interface Row {
  readonly file: string;
  readonly what: string;
  readonly expect: string;
  readonly error?: boolean;
  readonly warn?: boolean;
  readonly nan?: number;
  readonly min?: number;
  readonly max?: number;
  readonly mean?: number;
  readonly channel1_mean?: number;
  readonly shape?: Triple;
  readonly spacing?: Triple;
  readonly affine?: readonly (readonly number[])[];
  readonly tolerance?: number;
}

interface Expected {
  readonly reference: {
    readonly canonical_RAS_shape: Triple;
    readonly label_counts: Readonly<Record<string, number>>;
    readonly min: number;
    readonly max: number;
    readonly mean: number;
    readonly probes: readonly { readonly ras_mm: Triple; readonly value: number; readonly label: number }[];
  };
  readonly files: readonly Row[];
}

const folder = join(process.env["DATA_DIR"] ?? "../shared/data", "variants");
const present = existsSync(join(folder, "expected.json"));
if (!present) console.log(`skipped: the variants of ${folder} are not here`);

const scratch = mkdtempSync(join(tmpdir(), "variants-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const classes = ["background", "bone", "muscle", "liver", "bowel", "kidney"];
const at = (file: string): string => join(folder, file);

function counts(data: ArrayLike<number>): Record<string, number> {
  const found: Record<string, number> = {};
  for (let n = 0; n < data.length; n++) found[data[n] ?? ""] = (found[data[n] ?? ""] ?? 0) + 1;
  return found;
}

const mean = (data: Float32Array): number => data.reduce((sum, v) => sum + v, 0) / data.length;

/** The value at the voxel nearest to a point, found by search so that no inverse of ours is trusted. */
function valueAt(volume: Volume, millimetres: Triple): number {
  const [depth, height, width] = volume.shape;
  let best = Number.NaN;
  let nearest = Number.POSITIVE_INFINITY;
  for (let z = 0; z < depth; z++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const place = locate(volume.affine, [x, y, z]);
    const distance = Math.hypot(place[0] - millimetres[0], place[1] - millimetres[1], place[2] - millimetres[2]);
    if (distance < nearest) [nearest, best] = [distance, volume.data[(z * height + y) * width + x] ?? Number.NaN];
  }
  expect(nearest).toBeLessThan(0.01);
  return best;
}

const loadPair = (images: readonly string[], label?: string) =>
  loadCase({ classes }, { name: "v", images: images.map(at), label: label === undefined ? undefined : at(label) });

/** What a row's file gives where a data set would meet it: labels beside the reference image, images as they are. */
function meet(file: string) {
  if (file.startsWith("label_")) return loadPair(["ref_0000.nii.gz"], file);
  if (file.startsWith("twogap")) return openDataset(gapped());
  if (file.startsWith("two_")) return loadPair(["two_0000.nii.gz", "two_0001.nii.gz"]);
  return loadPair([file]);
}

function gapped(): string {
  const root = join(scratch, "gap");
  for (const part of ["imagesTr", "labelsTr"]) mkdirSync(join(root, part), { recursive: true });
  writeFileSync(join(root, "dataset.json"), JSON.stringify({ channel_names: { 0: "CT", 1: "smooth" }, labels: Object.fromEntries(classes.map((name, value) => [name, value])), numTraining: 1, file_ending: ".nii.gz" }));
  for (const file of ["twogap_0000.nii.gz", "twogap_0002.nii.gz"]) copyFileSync(at(file), join(root, "imagesTr", file));
  copyFileSync(at("ref.nii.gz"), join(root, "labelsTr", "twogap.nii.gz"));
  return root;
}

/** What the one line about a bad file must name besides the file. */
const named: Readonly<Record<string, RegExp>> = {
  "label_gap.nii.gz": /\b8 \(/, "label_fraction.nii.gz": /0\.5 \(1 voxel\)/, "label_negative.nii.gz": /-1 \(1 voxel\)/,
  "label_shape.nii.gz": /40 x 36 x 24.*|39 x/, "label_spacing.nii.gz": /4\.5, 4\.5, 4\.5.*3, 3, 3/, "label_origin.nii.gz": /begins at.*begins at/,
  "nan.nii.gz": /6 NaN/, "inf.nii.gz": /1 infinite/, "dim4_two.nii.gz": /2 volumes.*_0000.*_0001/, "rgb.nii.gz": /RGB24/, "truncated.nii.gz": /is truncated/,
  "short.nii": /69472 bytes.*68471 bytes/, "text.nii.gz": /not a NIfTI file/, "empty.nii.gz": /0 bytes/, "dim_negative.nii": /-5 voxels/, "dim_huge.nii.gz": /30000 x 30000 x 30000/,
  "twogap_0000.nii.gz": /twogap_0001\.nii\.gz/,
};

describe.skipIf(!present)("the variants", () => {
  const expected = present ? JSON.parse(readFileSync(at("expected.json"), "utf8")) as Expected : { reference: undefined, files: [] } as never;
  const { reference } = expected;
  const inFolder = present ? new Map(readdirSync(folder).map((name) => [name.normalize(), name])) : new Map<string, string>();
  /** Names may be stored with combining characters. */
  const fileOf = ({ file }: Row): string => inFolder.get(file.normalize()) ?? file;
  const whole = present ? readVolume(at("ref_0000.nii.gz")).volume : undefined;
  // A label that lies elsewhere than its image is refused here; a warning would be enough.
  const refused = (row: Row): boolean => row.error === true || row.file.startsWith("label_origin");

  it("are all here", () => {
    expect(expected.files.length).toBeGreaterThan(50);
    for (const row of expected.files) expect(inFolder.has(row.file.normalize()), row.file).toBe(true);
  });

  it.each(expected.files.filter(refused).map((row) => [row.file, row] as const))("%s is refused in one line", (file, row) => {
    const findings = findingsOf(() => meet(fileOf(row)));
    expect(findings).toHaveLength(1);
    const [finding] = findings;
    const text = [finding?.headline, ...finding?.facts ?? [], finding?.hint].join(" ");
    expect(text).toContain(file.replace(/_0000.*/, ""));
    expect(finding?.hint).not.toBeUndefined();
    expect(text).toMatch(named[file] ?? /a pattern is missing/);
  });

  it.each(expected.files.filter((row) => !refused(row)).map((row) => [row.file, row] as const))("%s reads", (file, row) => {
    const { volume, warnings } = readVolume(at(fileOf(row)));
    expect(volume.data.length).toBe(voxels(volume.shape));
    if (row.expect.includes("equals the reference exactly") || row.expect === "reads; the reference") {
      expect([...volume.shape].reverse()).toEqual(reference.canonical_RAS_shape);
      expect(Buffer.compare(Buffer.from(volume.data.buffer), Buffer.from(whole?.data.buffer ?? new ArrayBuffer(0)))).toBe(0);
      for (const probe of reference.probes) expect(valueAt(volume, probe.ras_mm)).toBe(probe.value);
      expect(volume.spacing.map((step) => Number(step.toFixed(4)))).toEqual([3, 3, 3]);
    }
    if (row.expect.includes("label_counts")) {
      expect(counts(volume.data)).toEqual(reference.label_counts);
      for (const probe of reference.probes) expect(valueAt(volume, probe.ras_mm)).toBe(probe.label);
    }
    if (row.shape !== undefined) expect(volume.stored.size).toEqual(row.shape);
    if (row.spacing !== undefined) expect([...volume.spacing].reverse().map((step) => Number(step.toFixed(4)))).toEqual(row.spacing);
    if (row.min !== undefined) expect(Math.min(...volume.data)).toBe(row.min);
    if (row.max !== undefined) expect(Math.max(...volume.data)).toBe(row.max);
    if (row.mean !== undefined) expect(mean(volume.data)).toBeCloseTo(row.mean, 3);
    if (row.tolerance !== undefined) {
      const worst = volume.data.reduce((most, v, n) => Math.max(most, Math.abs(v - (whole?.data[n] ?? NaN))), 0);
      expect(worst).toBeLessThanOrEqual(row.tolerance);
      expect(worst).toBeGreaterThan(0);
    }
    if (row.affine !== undefined) volume.stored.affine.flat().forEach((entry, n) => expect(entry).toBeCloseTo(row.affine?.flat()[n] ?? NaN, 4));
    expect(warnings.map((w) => w.code)).toEqual(file.startsWith("no_geometry") ? ["W1051"] : file.startsWith("sform_wins") ? ["W1052"] : []);
    const beside = inFolder.get(file.replace("_0000", ""));
    if (file.includes("_0000") && beside !== undefined) {
      const { label } = loadPair([fileOf(row)], beside).loaded;
      expect(label?.length).toBe(volume.data.length);
      if (row.expect.includes("equals the reference exactly")) {
        expect(counts(label ?? [])).toEqual(reference.label_counts);
        for (const probe of reference.probes) expect(valueAt({ ...volume, data: Float32Array.from(label ?? []) }, probe.ras_mm)).toBe(probe.label);
      }
    }
    // As a data set meets it: warned of where the table says so, and never a value that is no number.
    const met = meet(fileOf(row));
    if (row.warn === true) expect(met.warnings.length).toBeGreaterThan(0);
    if (!("loaded" in met)) throw new Error("a data set where a case was expected");
    for (const channel of ["CT", "MRI"]) {
      const names = Array<string>(met.loaded.channels).fill(channel);
      const { prepared } = prepareCase(met.loaded, fingerprintOf([met.loaded], names, { spacing: "median" }));
      expect(prepared.image.every(Number.isFinite)).toBe(true);
      expect(prepared.image.length).toBe(met.loaded.channels * voxels(prepared.shape));
    }
    if (row.channel1_mean !== undefined) expect(mean(met.loaded.image.subarray(met.loaded.image.length / 2))).toBeCloseTo(row.channel1_mean, 3);
  });

  it("agree with the reference's own statistics", () => {
    const data = whole?.data ?? new Float32Array();
    expect([Math.min(...data), Math.max(...data)]).toEqual([reference.min, reference.max]);
    expect(mean(data)).toBeCloseTo(reference.mean, 3);
  });

  const sources = ["ref", "orient_LPS", "orient_LAS", "orient_PIR", "orient_SAL", "oblique", "shear", "tiny", "anisotropic", "qform_only", "no_geometry", "nifti2", "bigendian"];
  it.each(sources.flatMap((name) => [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"].map((ending) => [name, ending] as const)))("a label map for %s goes back onto its stored grid as %s", (name, ending) => {
    const source = [`${name}_0000.nii.gz`, `${name}.nii.gz`, `${name}.nii`].map(at).find((path) => existsSync(path)) ?? "";
    const { volume } = readVolume(source);
    const labels = Uint8Array.from(volume.data, (v) => (v > 0 ? v % 7 : 0));
    const path = join(scratch, `${name}${ending}`);
    writeLabels(path, labels, volume.stored);
    const again = readVolume(path);
    expect(Buffer.compare(Uint8Array.from(again.volume.data), labels)).toBe(0);
    expect(again.volume.stored.size).toEqual(volume.stored.size);
    again.volume.stored.affine.flat().forEach((entry, n) => expect(Math.abs(entry - (volume.stored.affine.flat()[n] ?? NaN))).toBeLessThan(1e-4));
    expect(again.warnings.map((w) => w.code)).toEqual(name === "no_geometry" ? ["W1051"] : []);
    if (ending !== ".nii.gz") return;
    expect(again.volume.stored.version).toBe(volume.stored.version);
    // The raw stored order is the file's own, not RAS.
    expect(gunzipSync(readFileSync(path)).length).toBe((volume.stored.version === 2 ? 544 : 352) + labels.length);
  });

  it("a prediction for PIR has the stored order of the label beside it", () => {
    const { volume } = readVolume(at("orient_PIR_0000.nii.gz"));
    const bytes = encodeLabels(Uint8Array.from(readVolume(at("ref.nii.gz")).volume.data), volume.stored, false);
    expect(Buffer.compare(Buffer.from(bytes.subarray(352)), gunzipSync(readFileSync(at("orient_PIR.nii.gz"))).subarray(352))).toBe(0);
  });

  it("the anisotropic one comes back to the reference's grid, slice by slice, sharp between slices", () => {
    const { loaded } = loadPair(["anisotropic_0000.nii.gz"], "anisotropic.nii.gz");
    const fingerprint = { ...fingerprintOf([loaded], ["noNorm"], { spacing: [3, 3, 3] }), crop: false };
    const { prepared, place } = prepareCase(loaded, fingerprint);
    expect([...prepared.shape].reverse()).toEqual(reference.canonical_RAS_shape);
    expect(place.way.apart).toBe(0);
    // In the plane nothing changes, so every new slice is an old one.
    const plane = prepared.shape[1] * prepared.shape[2];
    for (let z = 0; z < prepared.shape[0]; z++) {
      const old = Math.floor((z + 0.5) / 4);
      expect(Buffer.compare(Buffer.from(prepared.image.slice(z * plane, (z + 1) * plane).buffer), Buffer.from(loaded.image.slice(old * plane, (old + 1) * plane).buffer))).toBe(0);
    }
  });
});
