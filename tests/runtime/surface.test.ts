// Distances between surfaces: reference numbers, a slow search, and masks that are empty or touch the border.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Triple } from "../../runtime/data/volume.ts";
import { squaredDistances } from "../../runtime/infer/distance.ts";
import { maskOf, surfaceScores } from "../../runtime/infer/surface.ts";
import { readTensors } from "../../runtime/safetensors.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const present = existsSync(join(golden, "training.json"));
if (!present) console.log(`skipped: ${golden} is not here`);

describe.skipIf(!present)("reference numbers", () => {
  it("hd, hd95 in both readings, assd, nsd", () => {
    const { metrics } = JSON.parse(readFileSync(join(golden, "training.json"), "utf8")) as {
      metrics: { spacing: Triple; nsd_tolerance: number } & Readonly<Record<"hd" | "hd95" | "hd95_pooled" | "assd" | "nsd", number>>;
    };
    const { tensors } = readTensors(join(golden, "training.safetensors"));
    const map = (name: string): number[] => Array.from(tensors.get(`metric/${name}`)?.data ?? [], Number);
    const [d = 0, h = 0, w = 0] = tensors.get("metric/ref")?.shape ?? [];
    const scores = surfaceScores(map("pred"), map("ref"), maskOf([1]), [d, h, w], metrics.spacing, metrics.nsd_tolerance);
    expect(scores.hd).toBeCloseTo(metrics.hd, 12);
    expect(scores.hd95).toBeCloseTo(metrics.hd95, 12);
    expect(scores.hd95Pooled).toBeCloseTo(metrics.hd95_pooled, 12);
    expect(scores.assd).toBeCloseTo(metrics.assd, 12);
    expect(scores.nsd).toBeCloseTo(metrics.nsd, 12);
  });
});

/** Surface distances by trying every pair. */
function slow(from: readonly number[], to: readonly number[], shape: Triple, spacing: Triple): number[] {
  const [d, h, w] = shape;
  const surface = (map: readonly number[]): Triple[] => {
    const at = (z: number, y: number, x: number): boolean => z >= 0 && y >= 0 && x >= 0 && z < d && y < h && x < w && map[(z * h + y) * w + x] === 1;
    const found: Triple[] = [];
    for (let z = 0; z < d; z++) for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
      const inside = at(z - 1, y, x) && at(z + 1, y, x) && at(z, y - 1, x) && at(z, y + 1, x) && at(z, y, x - 1) && at(z, y, x + 1);
      if (at(z, y, x) && !inside) found.push([z, y, x]);
    }
    return found;
  };
  const others = surface(to);
  return surface(from).map((a) => Math.min(...others.map((b) => Math.hypot(...a.map((n, axis) => (n - (b[axis] ?? 0)) * (spacing[axis] ?? 0))))));
}

describe("surfaces", () => {
  it.each([1, 2, 3, 4])("agree with a search over all pairs (%i)", (n) => {
    const [shape, spacing]: [Triple, Triple] = [[7, 9, 6], [2.5, 0.7, 1.3]];
    // Smooth blobs that reach the border here and there.
    const blob = (phase: number): number[] => Array.from({ length: 7 * 9 * 6 }, (_, i) => {
      const [z, y, x] = [Math.floor(i / 54), Math.floor(i / 6) % 9, i % 6];
      return Math.sin(z * 0.9 + phase) + Math.cos(y * 0.7 - phase) + Math.sin(x * 0.8 + 2 * phase) > 0.4 ? 1 : 0;
    });
    const [a, b] = [blob(n), blob(n + 0.6)];
    const [there, back] = [slow(a, b, shape, spacing), slow(b, a, shape, spacing)];
    const scores = surfaceScores(a, b, maskOf([1]), shape, spacing, 1);
    const all = [...there, ...back];
    expect(scores.hd).toBeCloseTo(Math.max(...all), 10);
    expect(scores.assd).toBeCloseTo(all.reduce((x, y) => x + y, 0) / all.length, 10);
    expect(scores.nsd).toBeCloseTo(all.filter((x) => x <= 1).length / all.length, 10);
    expect(scores.hd).toBeGreaterThan(0.5);
  });

  it("of equal masks are 0 apart", () => {
    const cube = Array.from({ length: 125 }, (_, i) => (i % 3 === 0 ? 2 : 0));
    expect(surfaceScores(cube, cube, maskOf([2]), [5, 5, 5], [1, 1, 1], 0)).toEqual({ hd: 0, hd95: 0, hd95Pooled: 0, assd: 0, nsd: 1 });
  });

  it("of an empty mask are nowhere: infinitely far from one that is not", () => {
    const [empty, one] = [[0, 0, 0], [0, 1, 0]];
    expect(surfaceScores(empty, empty, maskOf([1]), [1, 1, 3], [1, 1, 1], 1)).toEqual({ hd: null, hd95: null, hd95Pooled: null, assd: null, nsd: null });
    const missed = { hd: Infinity, hd95: Infinity, hd95Pooled: Infinity, assd: Infinity, nsd: 0 };
    expect(surfaceScores(empty, one, maskOf([1]), [1, 1, 3], [1, 1, 1], 1)).toEqual(missed);
    expect(surfaceScores(one, empty, maskOf([1]), [1, 1, 3], [1, 1, 1], 1)).toEqual(missed);
  });

  it("know the larger direction: one far voxel more counts once, and moves only the pooled percentile little", () => {
    const line = (from: number, to: number, ...more: number[]): number[] => Array.from({ length: 60 }, (_, i) => ((i >= from && i < to) || more.includes(i) ? 1 : 0));
    // A line is all surface: 10 voxels against the same with one 40 away.
    const { hd, hd95, hd95Pooled } = surfaceScores(line(0, 10, 49), line(0, 10), maskOf([1]), [1, 1, 60], [1, 1, 1], 1);
    expect(hd).toBe(40);
    expect(hd95).toBeCloseTo(0.5 * 40, 10);
    expect(hd95Pooled).toBeCloseTo(0, 10);
  });

  it("of a region are those of its classes as one", () => {
    const [a, b] = [[0, 1, 2, 2, 0, 0], [0, 1, 1, 2, 2, 0]];
    const one = (map: readonly number[]): number[] => map.map((value) => (value > 0 ? 1 : 0));
    expect(surfaceScores(a, b, maskOf([1, 2]), [1, 1, 6], [1, 1, 2], 1)).toEqual(surfaceScores(one(a), one(b), maskOf([1]), [1, 1, 6], [1, 1, 2], 1));
    expect(surfaceScores(a, b, maskOf([1, 2]), [1, 1, 6], [1, 1, 2], 1).hd).toBe(2);
  });

  it("of two balls are known: shells of radius 12 and 8 about one centre", () => {
    const shape: Triple = [41, 31, 61];
    const spacing: Triple = [0.8, 1, 0.5];
    const ball = (radius: number): Uint8Array => Uint8Array.from({ length: 41 * 31 * 61 }, (_, n) => {
      const [z, y, x] = [Math.floor(n / (31 * 61)) - 20, (Math.floor(n / 61) % 31) - 15, (n % 61) - 30];
      return Math.hypot(z * 0.8, y, x * 0.5) <= radius ? 1 : 0;
    });
    const scores = surfaceScores(ball(12), ball(8), maskOf([1]), shape, spacing, 3);
    // Surface voxels lie up to a voxel inside of the radius.
    for (const score of [scores.hd, scores.hd95, scores.assd]) expect(Math.abs((score ?? NaN) - 4)).toBeLessThan(1.1);
    expect(scores.nsd).toBeLessThan(0.05);
    expect(surfaceScores(ball(12), ball(8), maskOf([1]), shape, spacing, 6).nsd).toBe(1);
  });
});

describe("distances to a set of voxels", () => {
  const random = (n: number): number => ((Math.sin(n * 12.9898) * 43758.5453) % 1 + 1) % 1;
  it.each([[[5, 7, 6], [1, 1, 1], 0.1], [[9, 4, 8], [3, 0.7, 0.31], 0.03], [[1, 12, 11], [5, 1.5, 2], 0.05], [[6, 1, 1], [0.2, 9, 9], 0.4]] as const)("%j at %j: the nearest of all, tried one by one", (shape, spacing, share) => {
    for (let round = 0; round < 4; round++) {
      const size = shape[0] * shape[1] * shape[2];
      const to = Array.from({ length: size }, (_, n) => n).filter((n) => random(n + round * 7919) < share || n === round);
      const place = (n: number): Triple => [Math.floor(n / (shape[1] * shape[2])) * spacing[0], (Math.floor(n / shape[2]) % shape[1]) * spacing[1], (n % shape[2]) * spacing[2]];
      const squares = squaredDistances(to, shape, spacing);
      for (let n = 0; n < size; n++) {
        const [z, y, x] = place(n);
        const least = Math.min(...to.map((one) => place(one)).map(([a, b, c]) => (z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2));
        expect(Math.abs((squares[n] ?? NaN) - least)).toBeLessThan(1e-9 * (1 + least));
      }
    }
  });
  it("from a corner of a long thin volume keep all digits", () => {
    const squares = squaredDistances([0], [1, 2, 5000], [1, 0.1, 0.37]);
    for (const n of [1, 1234, 4999, 9999]) expect(squares[n]).toBeCloseTo(((n % 5000) * 0.37) ** 2 + (n >= 5000 ? 0.01 : 0), 6);
  });
  it("to nothing are infinite", () => expect([...squaredDistances([], [1, 2, 2], [1, 1, 1])]).toEqual([Infinity, Infinity, Infinity, Infinity]));
});
