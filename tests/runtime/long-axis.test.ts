// Long axes and the cubes around them, against reference numbers and closed forms.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eigenvectors, type Matrix } from "../../runtime/data/eigen.ts";
import { cubeAround, longAxis } from "../../runtime/data/long-axis.ts";
import type { Triple } from "../../runtime/data/volume.ts";
import { readTensors } from "../../runtime/safetensors.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const present = existsSync(join(golden, "training.json"));
if (!present) console.log(`skipped: ${golden} is not here`);

const offsets = (values: ArrayLike<number | bigint>): Uint32Array => Uint32Array.from([...Array.from(values, Number).keys()].filter((n) => Number(values[n]) > 0));

describe("the long axis", () => {
  it.skipIf(!present)("is the reference's", () => {
    interface Reference { mask: string; centroid_mm: Triple; covariance_mm2: Matrix; eigenvalues: readonly number[]; direction_up_to_sign: Triple; length_mm: number }
    const { long_axis: wanted, metrics } = JSON.parse(readFileSync(join(golden, "training.json"), "utf8")) as { long_axis: Reference; metrics: { spacing: Triple } };
    const mask = readTensors(join(golden, "training.safetensors")).tensors.get(wanted.mask);
    const [d = 0, h = 0, w = 0] = mask?.shape ?? [];
    const axis = longAxis(offsets(mask?.data ?? []), [d, h, w], metrics.spacing);
    axis.centroid.forEach((n, r) => expect(n).toBeCloseTo(wanted.centroid_mm[r] ?? NaN, 9));
    axis.covariance.forEach((row, r) => row.forEach((n, c) => expect(n).toBeCloseTo(wanted.covariance_mm2[r]?.[c] ?? NaN, 9)));
    expect(eigenvectors(axis.covariance).map(({ value }) => value).sort((a, b) => a - b)).toEqual(wanted.eigenvalues.map((n) => expect.closeTo(n, 9) as number));
    const along = axis.direction.reduce((sum, n, r) => sum + n * (wanted.direction_up_to_sign[r] ?? 0), 0);
    expect(Math.abs(along)).toBeCloseTo(1, 9);
    expect(axis.length).toBeCloseTo(wanted.length_mm, 9);
  });

  it("of an oblique row of voxels is its length in millimetres", () => {
    const shape: Triple = [9, 9, 9];
    const row = Uint32Array.from([0, 1, 2, 3], (n) => (n * 9 + 2 * n) * 9 + n);
    const axis = longAxis(row, shape, [5, 1, 2]);
    expect(axis.length).toBeCloseTo(3 * Math.hypot(5, 2, 2), 9);
    axis.centroid.forEach((n, r) => expect(n).toBeCloseTo([7.5, 3, 3][r] ?? NaN, 9));
  });

  it("of one voxel is 0", () => {
    expect(longAxis(Uint32Array.of(13), [3, 3, 3], [1, 2, 3])).toMatchObject({ centroid: [1, 2, 3], length: 0 });
  });
});

describe("eigenvectors", () => {
  it("solve the matrix, are orthonormal, and come in order", () => {
    const number = fc.double({ min: -100, max: 100, noNaN: true });
    fc.assert(fc.property(fc.tuple(number, number, number, number, number, number), ([a, b, c, d, e, f]) => {
      const matrix: Matrix = [[a, b, c], [b, d, e], [c, e, f]];
      const pairs = eigenvectors(matrix);
      const scale = Math.max(1, ...matrix.flat().map(Math.abs));
      for (const { value, direction } of pairs) {
        matrix.forEach((row, r) => {
          const image = row.reduce((sum, n, k) => sum + n * (direction[k] ?? 0), 0);
          expect(Math.abs(image - value * (direction[r] ?? 0)) / scale).toBeLessThan(1e-12);
        });
      }
      pairs.forEach((p, i) => pairs.forEach((q, j) => {
        const product = p.direction.reduce((sum, n, k) => sum + n * (q.direction[k] ?? 0), 0);
        expect(product).toBeCloseTo(i === j ? 1 : 0, 12);
      }));
      expect(pairs[0].value >= pairs[1].value && pairs[1].value >= pairs[2].value).toBe(true);
    }), { numRuns: 300 });
  });
});

describe("the cube", () => {
  it("has its edge in millimetres and its middle at the centroid", () => {
    const box = cubeAround({ centroid: [30, 20, 10], length: 40 }, [5, 2, 1], { factor: 1.5, least: 32 });
    expect(box).toEqual({ size: [12, 30, 60], start: [1, -4, -19] });
    // Centres of voxels: (start + (size - 1) / 2) steps, to half a voxel.
    ([5, 2, 1] as const).forEach((step, axis) => {
      const middle = ((box.start[axis] ?? 0) + ((box.size[axis] ?? 0) - 1) / 2) * step;
      expect(Math.abs(middle - ([30, 20, 10][axis] ?? 0))).toBeLessThanOrEqual(step / 2);
    });
  });

  it("is never smaller than the least edge, and at least a voxel", () => {
    expect(cubeAround({ centroid: [0, 0, 0], length: 1 }, [1, 2, 100], { factor: 1.5, least: 32 }).size).toEqual([32, 16, 1]);
  });
});
