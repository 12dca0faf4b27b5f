// Reading and writing NIfTI: every file a user may bring, and the way back onto its grid.

import { existsSync, mkdtempSync, readFileSync, rmSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { determinant, fromQform, isOrthogonal, locate, nearestAxes, toQform } from "../../runtime/data/geometry.ts";
import { decodeVolume, encodeImage, encodeLabels, readVolume, writeLabels } from "../../runtime/data/nifti.ts";
import type { Affine, StoredGrid, Triple, Volume } from "../../runtime/data/volume.ts";
import { draws } from "../../runtime/draws.ts";

interface Expected {
  readonly reference: {
    readonly canonical_RAS_shape: Triple;
    readonly label_counts: Readonly<Record<string, number>>;
    readonly min: number;
    readonly max: number;
    readonly mean: number;
    readonly probes: readonly { readonly ras_mm: Triple; readonly value: number; readonly label: number }[];
  };
  readonly files: readonly {
    readonly file: string;
    readonly expect: string;
    readonly error?: boolean;
    readonly warn?: boolean;
    readonly optional?: boolean;
    readonly min?: number;
    readonly max?: number;
    readonly mean?: number;
    readonly shape?: Triple;
    readonly spacing?: Triple;
    readonly affine?: readonly (readonly number[])[];
    readonly tolerance?: number;
  }[];
}

const folder = join(process.env["DATA_DIR"] ?? "../shared/data", "variants");
const present = existsSync(join(folder, "expected.json"));
if (!present) console.log(`skipped: the variants of ${folder} are not here`);

const scratch = mkdtempSync(join(tmpdir(), "nifti-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Errors that belong to a data set (a label against its image), not to a file alone. */
const judgedElsewhere = /^label_|^twogap|^nan|^inf/;

function counts(data: Float32Array): Record<string, number> {
  const found: Record<string, number> = {};
  for (const value of data) found[value] = (found[value] ?? 0) + 1;
  return found;
}

/** The value at the voxel nearest to a point, found by search so that no inverse of ours is trusted. */
function valueAt(volume: Volume, millimetres: Triple): number {
  const [depth, height, width] = volume.shape;
  let best = Number.NaN;
  let nearest = Number.POSITIVE_INFINITY;
  for (let z = 0; z < depth; z++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const at = locate(volume.affine, [x, y, z]);
    const distance = Math.hypot(at[0] - millimetres[0], at[1] - millimetres[1], at[2] - millimetres[2]);
    if (distance < nearest) [nearest, best] = [distance, volume.data[(z * height + y) * width + x] ?? Number.NaN];
  }
  expect(nearest).toBeLessThan(0.01);
  return best;
}

function faultOf(run: () => unknown): Fault {
  try {
    run();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was wrong");
}

describe.skipIf(!present)("the variants", () => {
  const expected = present ? JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as Expected : { reference: undefined, files: [] } as never;
  const { reference } = expected;
  const images = expected.files.filter((row) => /\.nii(\.gz)?$/.test(row.file));
  const good = images.filter((row) => row.error !== true || judgedElsewhere.test(row.file));
  const bad = images.filter((row) => row.error === true && !judgedElsewhere.test(row.file));

  it("lists what the folder holds", () => {
    const listed = new Set(expected.files.map((row) => row.file.normalize()));
    for (const row of images) expect(readdirSync(folder).map((name) => name.normalize())).toContain(row.file.normalize());
    expect(listed.size).toBeGreaterThan(50);
  });

  it.each(good.map((row) => [row.file, row] as const))("%s reads", (file, row) => {
    const { volume, warnings } = readVolume(join(folder, file));
    const [i, j, k] = volume.stored.size;
    expect(volume.data.length).toBe(i * j * k);
    if (row.expect.includes("equals the reference exactly")) {
      const whole = readVolume(join(folder, "ref_0000.nii.gz")).volume;
      expect([volume.shape[2], volume.shape[1], volume.shape[0]]).toEqual(reference.canonical_RAS_shape);
      expect(Buffer.compare(Buffer.from(volume.data.buffer), Buffer.from(whole.data.buffer))).toBe(0);
      for (const probe of reference.probes) expect(valueAt(volume, probe.ras_mm)).toBe(probe.value);
      expect(volume.spacing.map((step) => Number(step.toFixed(4)))).toEqual([3, 3, 3]);
    }
    if (row.expect.includes("label_counts")) expect(counts(volume.data)).toEqual(reference.label_counts);
    if (row.shape !== undefined) expect(volume.stored.size).toEqual(row.shape);
    if (row.spacing !== undefined) expect([...volume.spacing].reverse().map((step) => Number(step.toFixed(4)))).toEqual(row.spacing);
    if (row.min !== undefined) expect(Math.min(...volume.data)).toBe(row.min);
    if (row.max !== undefined) expect(Math.max(...volume.data)).toBe(row.max);
    if (row.mean !== undefined) expect(volume.data.reduce((sum, v) => sum + v, 0) / volume.data.length).toBeCloseTo(row.mean, 3);
    if (row.tolerance !== undefined) {
      const whole = readVolume(join(folder, "ref_0000.nii.gz")).volume;
      const worst = volume.data.reduce((most, v, n) => Math.max(most, Math.abs(v - (whole.data[n] ?? 0))), 0);
      expect(worst).toBeLessThanOrEqual(row.tolerance);
      expect(worst).toBeGreaterThan(0);
    }
    if (row.affine !== undefined) volume.stored.affine.flat().forEach((entry, n) => expect(entry).toBeCloseTo(row.affine?.flat()[n] ?? Number.NaN, 4));
    expect(warnings.map((w) => w.code)).toEqual(file.startsWith("no_geometry") ? ["W1051"] : file.startsWith("sform_wins") ? ["W1052"] : []);
  });

  it("agrees with the reference's own statistics", () => {
    const { data } = readVolume(join(folder, "ref_0000.nii.gz")).volume;
    expect(Math.min(...data)).toBe(reference.min);
    expect(Math.max(...data)).toBe(reference.max);
    expect(data.reduce((sum, v) => sum + v, 0) / data.length).toBeCloseTo(reference.mean, 3);
  });

  it("each refused file has its own reason", () => {
    const told = Object.fromEntries(bad.map((row) => {
      const [finding] = faultOf(() => readVolume(join(folder, row.file))).findings;
      expect(finding?.headline).toContain(row.file);
      return [row.file, `${finding?.code} ${finding?.facts.join(" ")}`];
    }));
    expect(told).toMatchInlineSnapshot(`
      {
        "dim4_two.nii.gz": "N1005 Its header has dim = [4, 40, 36, 24, 2, 1, 1, 1].",
        "dim_huge.nii.gz": "N1002 Its header promises 30000 x 30000 x 30000 voxels of int16: 54000000000352 bytes in all. The compressed file cannot hold that much.",
        "dim_negative.nii": "N1003 Its header has dim = [3, -5, 36, 24, 1, 1, 1, 1].",
        "empty.nii.gz": "N1001 The file is empty (0 bytes).",
        "rgb.nii.gz": "N1004 A voxel must be one number, this has three colours.",
        "short.nii": "N1002 Its header promises 40 x 36 x 24 voxels of int16: 69472 bytes in all. Found are 68471 bytes.",
        "text.nii.gz": "N1001 It begins with the text "this is not an image\\nthi".",
        "truncated.nii.gz": "N1002 Its compressed stream stops before its end.",
      }
    `);
  });

  it.each(["ref", "orient_LPS", "orient_LAS", "orient_PIR", "orient_SAL", "oblique", "shear", "tiny", "qform_only", "no_geometry", "nifti2", "bigendian"])("a label map for %s goes back onto its stored grid", (name) => {
    const source = [`${name}_0000.nii.gz`, `${name}.nii.gz`, `${name}.nii`].map((file) => join(folder, file)).find((path) => existsSync(path)) ?? "";
    const { volume } = readVolume(source);
    const labels = Uint8Array.from(volume.data, (v) => (v > 0 ? (v % 7) : 0));
    const path = join(scratch, `${name}.nii.gz`);
    writeLabels(path, labels, volume.stored);
    const again = readVolume(path);
    expect([...again.volume.data]).toEqual([...labels]);
    expect(again.volume.stored.size).toEqual(volume.stored.size);
    expect(again.volume.stored.version).toBe(volume.stored.version);
    again.volume.stored.affine.flat().forEach((entry, n) => expect(Math.abs(entry - (volume.stored.affine.flat()[n] ?? Number.NaN))).toBeLessThan(1e-4));
    expect(again.warnings.map((w) => w.code)).toEqual(name === "no_geometry" ? ["W1051"] : []);
    // The raw stored order is the file's own, not RAS.
    const raw = gunzipSync(readFileSync(path));
    expect(raw.length).toBe((volume.stored.version === 2 ? 544 : 352) + labels.length);
  });

  it("a prediction for LPS has the stored order of the label beside it", () => {
    const { volume } = readVolume(join(folder, "orient_PIR_0000.nii.gz"));
    const label = readVolume(join(folder, "ref.nii.gz")).volume;
    const bytes = encodeLabels(Uint8Array.from(label.data), volume.stored, false);
    const beside = gunzipSync(readFileSync(join(folder, "orient_PIR.nii.gz")));
    expect(Buffer.compare(Buffer.from(bytes.subarray(352)), beside.subarray(352))).toBe(0);
  });
});

/** A grid of 3 x 4 x 5 voxels in LPS with unequal steps. */
const grid: StoredGrid = (() => {
  const affine: Affine = [[-1.5, 0, 0, 30], [0, -2, 0, 40], [0, 0, 2.5, -10]];
  return { size: [3, 4, 5], affine, sources: nearestAxes(affine), sformCode: 1, qformCode: 0, version: 1 };
})();

/** An uncompressed file of 60 voxels with given type and data bytes, by patching what we write. */
function patched(datatype: number, data: Uint8Array, change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(352 + data.length);
  bytes.set(encodeImage(new Float32Array(60), grid, false).subarray(0, 352));
  bytes.set(data, 352);
  const view = new DataView(bytes.buffer);
  view.setInt16(70, datatype, true);
  change(view);
  return bytes;
}

describe("data types", () => {
  const cases: readonly (readonly [number, number, (view: DataView, at: number, value: number) => void, number])[] = [
    [2, 1, (v, at, x) => v.setUint8(at, x), 200], [256, 1, (v, at, x) => v.setInt8(at, x), -100],
    [4, 2, (v, at, x) => v.setInt16(at, x, true), -30000], [512, 2, (v, at, x) => v.setUint16(at, x, true), 60000],
    [8, 4, (v, at, x) => v.setInt32(at, x, true), -100000], [768, 4, (v, at, x) => v.setUint32(at, x, true), 4000000000],
    [1024, 8, (v, at, x) => v.setBigInt64(at, BigInt(x), true), -5000000000], [1280, 8, (v, at, x) => v.setBigUint64(at, BigInt(x), true), 5000000000],
    [16, 4, (v, at, x) => v.setFloat32(at, x, true), -0.25], [64, 8, (v, at, x) => v.setFloat64(at, x, true), 0.125],
  ];
  it.each(cases)("%i", (datatype, width, set, value) => {
    const data = new Uint8Array(60 * width);
    set(new DataView(data.buffer), 59 * width, value);
    const { volume } = decodeVolume("a.nii", patched(datatype, data));
    // The last stored voxel is x = y = 0 of the top slice, as both in-plane axes are flipped.
    expect(volume.data[4 * 12]).toBe(Math.fround(value));
    expect(volume.data.filter((v) => v !== 0).length).toBe(1);
  });
  it.each([[32, "complex64"], [128, "RGB24"], [1536, "float128"], [77, "number 77"]])("%i is refused by name", (datatype, name) => {
    expect(faultOf(() => decodeVolume("a.nii", patched(datatype, new Uint8Array(60 * 16)))).findings[0]).toMatchObject({ code: "N1004", headline: `a.nii has the data type ${name}, which cannot be used` });
  });
});

describe("odd headers", () => {
  it("slopes: zero, NaN and infinite mean none", () => {
    for (const slope of [0, Number.NaN, Number.POSITIVE_INFINITY]) {
      const file = patched(2, new Uint8Array(60).fill(7), (view) => { view.setFloat32(112, slope, true); view.setFloat32(116, 100, true); });
      expect(decodeVolume("a.nii", file).volume.data[0]).toBe(7);
    }
    const file = patched(2, new Uint8Array(60).fill(7), (view) => { view.setFloat32(112, 2, true); view.setFloat32(116, 100, true); });
    expect(decodeVolume("a.nii", file).volume.data[0]).toBe(114);
  });
  it("metres become millimetres", () => {
    const file = patched(2, new Uint8Array(60), (view) => view.setUint8(123, 1));
    expect(decodeVolume("a.nii", file).volume.spacing).toEqual([2500, 2000, 1500]);
  });
  it("a sform of zeros falls back and says so", () => {
    const file = patched(2, new Uint8Array(60), (view) => { for (let at = 280; at < 328; at += 4) view.setFloat32(at, 0, true); view.setInt16(252, 0, true); });
    const { volume, warnings } = decodeVolume("a.nii", file);
    expect(volume.spacing).toEqual([2.5, 2, 1.5]);
    expect(warnings[0]).toMatchObject({ code: "W1051", facts: ["Its sform or qform is not a usable matrix.", "Its axes are taken as right, front, up."] });
  });
  it("two axes are one slice", () => {
    const file = patched(2, new Uint8Array(60), (view) => { view.setInt16(40, 2, true); view.setInt16(46, 99, true); });
    expect(decodeVolume("a.nii", file.slice()).volume.shape).toEqual([1, 4, 3]);
  });
  it("a damaged stream is not called truncated", () => {
    const packed = new Uint8Array(gzipSync(patched(2, new Uint8Array(60))));
    packed[packed.length - 6] = (packed[packed.length - 6] ?? 0) ^ 255;
    expect(faultOf(() => decodeVolume("a.nii.gz", packed)).findings[0]).toMatchObject({ code: "N1002", headline: "a.nii.gz is damaged" });
  });
  it("half a pair and Analyze are told apart", () => {
    const half = patched(2, new Uint8Array(60), (view) => view.setUint8(345, 105));
    expect(faultOf(() => decodeVolume("a.hdr", half)).findings[0]?.facts).toEqual(["It is one half of a NIfTI pair (.hdr and .img)."]);
    const analyze = patched(2, new Uint8Array(60), (view) => view.setUint32(344, 0));
    expect(faultOf(() => decodeVolume("a.img", analyze)).findings[0]?.facts[0]).toContain("Analyze 7.5");
  });
  it("a file that is not there", () => {
    expect(faultOf(() => readVolume("no/such.nii")).findings[0]).toMatchObject({ code: "N1006", headline: "cannot read no/such.nii" });
  });
});

describe("damage", () => {
  it("never ends in anything but a finding or a volume", () => {
    const whole = encodeLabels(new Uint8Array(60).fill(3), grid, false);
    const told = new Set<string>();
    for (let n = 0; n < 3000; n++) {
      const random = draws(11, n);
      const bytes = whole.slice(0, random.below(10) === 0 ? random.below(whole.length) : whole.length);
      for (let change = 0; change < 1 + random.below(4); change++) bytes[random.below(bytes.length)] = random.below(256);
      const file = random.below(2) === 0 ? bytes : gzipSync(bytes, { level: 1 });
      try {
        const { volume } = decodeVolume("a.nii", file);
        expect(volume.data.length).toBeLessThanOrEqual(60 * 8);
        expect(volume.affine.flat().every(Number.isFinite)).toBe(true);
        told.add("read");
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        for (const finding of error.findings) told.add(finding.code);
      }
    }
    expect([...told].sort()).toEqual(["N1001", "N1002", "N1003", "N1004", "read"]);
  });
});

describe("writing", () => {
  it("labels beyond a byte become int16", () => {
    const labels = new Int16Array(60);
    labels[3] = 300;
    const bytes = encodeLabels(labels, grid, false);
    expect(new DataView(bytes.buffer).getInt16(70, true)).toBe(4);
    expect(decodeVolume("a.nii", bytes).volume.data[3]).toBe(300);
  });
  it("float images survive", () => {
    const values = Float32Array.from({ length: 60 }, (_, n) => n / 7);
    expect([...decodeVolume("a.nii.gz", encodeImage(values, grid, true)).volume.data]).toEqual([...values]);
  });
});

describe("quaternions", () => {
  it("every signed permutation and many rotations survive", () => {
    const spacing: Triple = [1.5, 2, 2.5];
    for (let n = 0; n < 200; n++) {
      const [b, c, d] = n < 8 ? [n & 1, (n >> 1) & 1, (n >> 2) & 1].map((v) => v / Math.max(1, Math.hypot(n & 1, (n >> 1) & 1, (n >> 2) & 1))) as unknown as Triple
        : [Math.sin(n) * 0.57, Math.cos(2 * n) * 0.57, Math.sin(3 * n + 1) * 0.57] as const;
      const affine = fromQform({ b, c, d, offset: [1, 2, 3], handed: n % 2 ? -1 : 1, spacing });
      expect(isOrthogonal(affine)).toBe(true);
      expect(Math.abs(determinant(affine))).toBeCloseTo(7.5, 6);
      fromQform(toQform(affine)).flat().forEach((entry, at) => expect(entry).toBeCloseTo(affine.flat()[at] ?? Number.NaN, 6));
    }
  });
});
