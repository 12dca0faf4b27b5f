// Reading and writing NIfTI: every file a user may bring, and the way back onto its grid.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { determinant, fromQform, isOrthogonal, nearestAxes, toQform } from "../../runtime/data/geometry.ts";
import { decodeVolume, readVolume, writeLabels } from "../../runtime/data/image.ts";
import { encodeImage, encodeLabels } from "../../runtime/data/nifti.ts";
import type { Affine, StoredGrid, Triple } from "../../runtime/data/volume.ts";
import { draws } from "../../runtime/draws.ts";


function faultOf(run: () => unknown): Fault {
  try {
    run();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was wrong");
}

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
  it("labels of 16 bits are uint16", () => {
    const labels = new Uint16Array(60);
    labels[3] = 50_000;
    const bytes = encodeLabels(labels, grid, false);
    expect(new DataView(bytes.buffer).getInt16(70, true)).toBe(512);
    expect(decodeVolume("a.nii", bytes).volume.data[3]).toBe(50_000);
  });
  it.each([[254, "uint8"], [255, "uint16"], [50_000, "uint16"]] as const)("the highest label, %i, says how a map is stored, whatever the format: %s", (highest, kind) => {
    const folder = mkdtempSync(join(tmpdir(), "labels-"));
    try {
      const labels = Uint16Array.from({ length: 60 }, (_, n) => (n === 7 ? highest : n % 3));
      for (const [ending, said] of [[".nii", undefined], [".nrrd", kind === "uint8" ? "type: uchar" : "type: ushort"], [".mha", kind === "uint8" ? "MET_UCHAR" : "MET_USHORT"]] as const) {
        const path = join(folder, `a${ending}`);
        writeLabels(path, labels, grid);
        expect([...readVolume(path).volume.data]).toEqual([...labels]);
        const bytes = readFileSync(path);
        if (said === undefined) expect(bytes.readInt16LE(70)).toBe(kind === "uint8" ? 2 : 512);
        else expect(bytes.toString("latin1", 0, 600)).toContain(said);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
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
