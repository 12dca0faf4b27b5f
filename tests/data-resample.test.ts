// Resampling against closed forms: what splines, lines and votes must give whatever the implementation.

import { describe, expect, it } from "vitest";
import type { Case } from "../runtime/data/case.ts";
import { nonzeroBox, nonzeroMask } from "../runtime/data/nonzero.ts";
import { inPrepared, prepareCase } from "../runtime/data/prepare.ts";
import { apartAxis, newShape, regrid, resampleImage, resampleLabels, resampleLinear, type Regrid } from "../runtime/data/resample.ts";
import { targetSpacing } from "../runtime/data/target.ts";
import { voxels, type Triple } from "../runtime/data/volume.ts";
import { draws } from "../runtime/draws.ts";

function volume(shape: Triple, value: (z: number, y: number, x: number) => number): Float32Array {
  const out = new Float32Array(voxels(shape));
  let n = 0;
  for (let z = 0; z < shape[0]; z++) for (let y = 0; y < shape[1]; y++) for (let x = 0; x < shape[2]; x++) out[n++] = value(z, y, x);
  return out;
}

/** The way along one axis alone. */
function along(axis: 0 | 1 | 2, from: number, to: number): Regrid {
  const at = (n: number): Triple => [axis === 0 ? n : 2, axis === 1 ? n : 2, axis === 2 ? n : 2];
  return { from: at(from), to: at(to), apart: undefined };
}

/** The first line of a volume along an axis. */
function line(values: Float32Array, shape: Triple, axis: 0 | 1 | 2): readonly number[] {
  const stride = axis === 0 ? shape[1] * shape[2] : axis === 1 ? shape[2] : 1;
  return Array.from({ length: shape[axis] }, (_, n) => values[n * stride] ?? NaN);
}

const place = (n: number, from: number, to: number): number => ((n + 0.5) * from) / to - 0.5;

/** The cubic B-spline. */
function bump(t: number): number {
  const a = Math.abs(t);
  return a < 1 ? 2 / 3 - a * a + (a * a * a) / 2 : a < 2 ? (2 - a) ** 3 / 6 : 0;
}

describe("cubic splines", () => {
  it.each([0, 1, 2] as const)("reproduce polynomials up to the third degree inside, along axis %i", (axis) => {
    for (const to of [17, 60, 61, 140]) {
      const way = along(axis, 60, to);
      for (const degree of [0, 1, 2, 3]) {
        const p = (t: number): number => ((t - 20) / 20) ** degree;
        const out = line(resampleImage(volume(way.from, (...at) => p(at[axis])), way), way.to, axis);
        // The border is repeated, which no polynomial does; its influence falls by 3.7 a point.
        out.forEach((value, n) => {
          const t = place(n, 60, to);
          if (t >= 15 && t <= 44) expect(Math.abs(value - p(t))).toBeLessThan(1e-6);
        });
      }
    }
  });

  it("make the cardinal spline of a single point", () => {
    const z = Math.sqrt(3) - 2;
    const cardinal = (t: number): number => {
      let sum = 0;
      for (let k = -30; k <= 30; k++) sum += Math.sqrt(3) * z ** Math.abs(k) * bump(t - k);
      return sum;
    };
    const way = along(2, 61, 183);
    const input = volume(way.from, (_z, _y, x) => (x === 30 ? 1 : 0));
    // Its undershoot is cut off: nothing leaves the range of the old values.
    line(resampleImage(input, way), way.to, 2).forEach((value, n) => expect(Math.abs(value - Math.max(0, cardinal(place(n, 61, 183) - 30)))).toBeLessThan(1e-7));
    // With room on both sides it shows.
    const deep = volume(way.from, (_z, _y, x) => (x === 30 ? 1 : x === 5 ? -1 : 0));
    const out = line(resampleImage(deep, way), way.to, 2);
    expect(out[86]).toBeCloseTo(cardinal(place(86, 61, 183) - 30), 6);
    expect(Math.min(...out.slice(75, 110))).toBeLessThan(-0.1);
  });

  it("go through the old points and keep constants, whatever the shape", () => {
    for (let n = 0; n < 20; n++) {
      const random = draws(3, n);
      const shape: Triple = [1 + random.below(9), 1 + random.below(9), 1 + random.below(9)];
      const odd: Triple = [shape[0] * 3, shape[1] * 5, shape[2]];
      const input = volume(shape, () => random.next());
      const out = resampleImage(input, { from: shape, to: odd, apart: undefined });
      // The middle one of three, or of five, lies on an old point.
      for (let z = 0; z < shape[0]; z++) for (let y = 0; y < shape[1]; y++) for (let x = 0; x < shape[2]; x++) {
        expect(Math.abs((out[((3 * z + 1) * odd[1] + 5 * y + 2) * odd[2] + x] ?? NaN) - (input[(z * shape[1] + y) * shape[2] + x] ?? NaN))).toBeLessThan(1e-6);
      }
      const flat = resampleImage(new Float32Array(voxels(shape)).fill(-1024), { from: shape, to: [4, 3, 7], apart: undefined });
      expect(flat.every((value) => value === -1024)).toBe(true);
    }
  });

  it("leave slices that are apart alone, and clip each by itself", () => {
    const shape: Triple = [3, 12, 12];
    const input = volume(shape, (z, y) => (z === 1 ? 100 : y < 6 ? 0 : 1));
    const out = resampleImage(input, { from: shape, to: [6, 30, 12], apart: 0 });
    const slice = (z: number): Float32Array => out.subarray(z * 30 * 12, (z + 1) * 30 * 12);
    expect([0, 1, 2, 3, 4, 5].map((z) => Math.max(...slice(z)))).toEqual([1, 1, 100, 100, 1, 1]);
    expect(Math.min(...slice(0))).toBe(0);
    expect([...slice(1)]).toEqual([...slice(0)]);
  });

  it("hand back what need not change", () => {
    const input = volume([2, 3, 4], (z, y, x) => z + y + x);
    expect(resampleImage(input, { from: [2, 3, 4], to: [2, 3, 4], apart: undefined })).toBe(input);
  });
});

describe("straight lines", () => {
  it("reproduce ramps, ends held", () => {
    const way: Regrid = { from: [6, 10, 20], to: [9, 7, 31], apart: undefined };
    const hold = (n: number, axis: 0 | 1 | 2): number => Math.min(Math.max(place(n, way.from[axis], way.to[axis]), 0), way.from[axis] - 1);
    const out = resampleLinear(volume(way.from, (z, y, x) => 3 * z - 2 * y + x), way);
    const wanted = volume(way.to, (z, y, x) => 3 * hold(z, 0) - 2 * hold(y, 1) + hold(x, 2));
    out.forEach((value, n) => expect(Math.abs(value - (wanted[n] ?? NaN))).toBeLessThan(1e-5));
  });
});

describe("labels", () => {
  it("give a point to the class that has at least a half, of two such the larger", () => {
    const to = (labels: readonly number[], extent: number): readonly number[] => [...resampleLabels(Uint8Array.from(labels), { from: [1, 1, labels.length], to: [1, 1, extent], apart: undefined })];
    expect(to([0, 3], 4)).toEqual([0, 0, 3, 3]);
    expect(to([5, 5, 2, 2], 8)).toEqual([5, 5, 5, 5, 2, 2, 2, 2]);
    // Halfway between two.
    expect(to([4, 7], 1)).toEqual([7]);
    expect(to([0, 7], 1)).toEqual([7]);
  });
  it("are nobody's where no class has a half", () => {
    // The middle of four columns of different classes.
    expect([...resampleLabels(Uint8Array.of(1, 2, 3, 4), { from: [1, 2, 2], to: [1, 1, 1], apart: undefined })]).toEqual([0]);
  });
  it("are interpolated class by class: the slow way agrees", () => {
    const random = draws(9);
    const from: Triple = [5, 7, 6];
    const labels = Uint8Array.from({ length: voxels(from) }, () => random.below(4));
    for (const apart of [undefined, 0, 1, 2] as const) {
      const way: Regrid = { from, to: [8, 5, 13], apart };
      const wanted = new Uint8Array(voxels(way.to));
      for (let value = 0; value < 4; value++) resampleLinear(Float32Array.from(labels, (label) => (label === value ? 1 : 0)), way).forEach((share, n) => { if (share >= 0.5 - 1e-7) wanted[n] = value; });
      expect([...resampleLabels(labels, way)]).toEqual([...wanted]);
    }
  });
});

describe("grids", () => {
  it("have nnU-Net's shapes, rounded half to even", () => {
    expect(newShape([10, 11, 5], [3, 1, 1], [1, 1, 2])).toEqual([30, 11, 2]);
    expect(newShape([1, 7, 7], [1, 1, 1], [5, 2, 2])).toEqual([1, 4, 4]);
  });
  it("are apart where one side of a voxel is more than three times another, before or after", () => {
    expect(apartAxis([5, 1, 1], [1, 1, 1])).toBe(0);
    expect(apartAxis([1, 1, 1], [1, 1, 3.5])).toBe(2);
    expect(apartAxis([3, 1, 1], [1, 1, 1])).toBeUndefined();
    // Two thick axes: slices lie nowhere.
    expect(apartAxis([1, 5, 5], [1, 1, 1])).toBeUndefined();
  });
  it("aim at the median spacing, and finer between thick slices", () => {
    expect(targetSpacing([[1, 2, 3], [3, 2, 1], [2, 2, 2]], [[100, 100, 100], [100, 100, 100], [100, 100, 100]])).toEqual([2, 2, 2]);
    const spacings = Array.from({ length: 11 }, (_, n): Triple => [5 + n, 1, 1]);
    expect(targetSpacing(spacings, spacings.map((): Triple => [12, 256, 256]))).toEqual([6, 1, 1]);
    expect(targetSpacing(spacings, spacings.map((): Triple => [200, 256, 256]))).toEqual([10, 1, 1]);
  });
});

describe("zeros around", () => {
  const shape: Triple = [6, 7, 8];
  const ring = volume(shape, (z, y, x) => (z >= 1 && z <= 4 && y >= 2 && y <= 5 && x >= 3 && x <= 7 && !(z > 1 && z < 4 && y > 2 && y < 5 && x > 3 && x < 7) ? 5 : 0));
  const one: Case = {
    name: "a", channels: 1, image: ring, label: Uint8Array.from(ring, (value) => (value > 0 ? 1 : 0)), shape, spacing: [2, 1, 1], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0]],
    stored: { size: [8, 7, 6], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0]], sources: [{ axis: 0, flipped: false }, { axis: 1, flipped: false }, { axis: 2, flipped: false }], sformCode: 1, qformCode: 0, version: 1 },
  };
  it("are cut off, and holes count as inside", () => {
    expect(nonzeroBox(ring, shape)).toEqual({ start: [1, 2, 3], size: [4, 4, 5] });
    const mask = nonzeroMask(ring, shape);
    expect(mask.reduce((sum, value) => sum + value, 0)).toBe(4 * 4 * 5);
    // A tunnel to the outside is no hole.
    const open = ring.slice();
    open[(1 * 7 + 3) * 8 + 4] = 0;
    expect(nonzeroMask(open, shape).reduce((sum, value) => sum + value, 0)).toBe(4 * 4 * 5 - 2 * 2 * 3 - 1);
    expect(nonzeroBox(new Float32Array(voxels(shape)), shape)).toEqual({ start: [0, 0, 0], size: shape });
  });
  it("leave z-scores of what is inside alone, and 0 outside", () => {
    const channel = { name: "MR", scheme: "zscore", mean: 0, deviation: 1, low: 0, high: 1, masked: true } as const;
    const image = volume(shape, (z, y, x) => (z > 0 ? 0 : y + x + 1));
    const { prepared, place: at } = prepareCase({ ...one, image }, { channels: [channel], spacing: [2, 1, 1], shape, crop: true, target: [2, 1, 1] });
    expect(prepared.shape).toEqual([1, 7, 8]);
    expect(at.box).toEqual({ start: [0, 0, 0], size: [1, 7, 8] });
    const mean = prepared.image.reduce((sum, value) => sum + value, 0) / prepared.image.length;
    expect(mean).toBeCloseTo(0, 6);
  });
  it("and another spacing keep places: a voxel is found again in the prepared image", () => {
    const { prepared, place: at } = prepareCase(one, { channels: [{ name: "noNorm", scheme: "none", mean: 0, deviation: 1, low: 0, high: 1 }], spacing: [2, 1, 1], shape, crop: true, target: [1, 1, 1] });
    expect(prepared.shape).toEqual(regrid([4, 4, 5], [2, 1, 1], [1, 1, 1]).to);
    expect(prepared.shape).toEqual([8, 4, 5]);
    expect(prepared.label?.length).toBe(160);
    expect(inPrepared(at, [1, 2, 3])).toEqual([0.5, 0, 0]);
    expect(inPrepared(at, [0, 0, 0])).toEqual([-1.5, -2, -3]);
  });
});
