// Sliding windows: tiling and weights against reference numbers, blending against a slow one.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Triple } from "../../runtime/data/volume.ts";
import { importance, steppedStarts, tileStarts } from "../../runtime/infer/tiles.ts";
import { allStarts, predictVolume, type Blending } from "../../runtime/infer/window.ts";
import { readTensors } from "../../runtime/safetensors.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const present = existsSync(join(golden, "training.json"));
if (!present) console.log(`skipped: ${golden} is not here`);

describe.skipIf(!present)("reference numbers", () => {
  it("tile starts", () => {
    const { tiling } = JSON.parse(readFileSync(join(golden, "training.json"), "utf8")) as { tiling: { nnunet: readonly { patch: Triple; image: Triple; step: number; starts: readonly (readonly number[])[] }[] } };
    expect(tiling.nnunet.length).toBeGreaterThan(3);
    for (const { patch, image, step, starts } of tiling.nnunet) expect(patch.map((p, axis) => tileStarts(image[axis] ?? 0, p, step))).toEqual(starts);
  });
  it("starts at equal steps", () => {
    const { tiling } = JSON.parse(readFileSync(join(golden, "training.json"), "utf8")) as { tiling: { monai: readonly { roi: Triple; image: Triple; overlap: number; starts: readonly (readonly number[])[] }[] } };
    expect(tiling.monai.length).toBeGreaterThan(2);
    for (const { roi, image, overlap, starts } of tiling.monai) expect(roi.map((p, axis) => steppedStarts(image[axis] ?? 0, p, 1 - overlap))).toEqual(starts);
  });
  it("importance of every stored patch", () => {
    const maps = [...readTensors(join(golden, "training.safetensors")).tensors].filter(([name]) => name.startsWith("gaussian_importance/"));
    expect(maps.length).toBeGreaterThan(1);
    for (const [name, { shape, data }] of maps) {
      const [d = 0, h = 0, w = 0] = shape;
      const ours = importance([d, h, w]);
      expect(ours.length, name).toBe(data.length);
      ours.forEach((weight, n) => expect(Math.abs(weight / Number(data[n]) - 1), name).toBeLessThan(2e-5));
    }
  });
});

describe("tiles", () => {
  it("one when the image is no larger", () => {
    for (const starts of [tileStarts, steppedStarts]) {
      expect(starts(7, 9, 0.5)).toEqual([0]);
      expect(starts(9, 9, 0.5)).toEqual([0]);
    }
  });
  it.each([tileStarts, steppedStarts])("always reach the end and never leave a gap (%o)", (startsOf) => {
    for (let size = 9; size < 60; size++) {
      for (const step of [0.25, 0.5, 1]) {
        const starts = startsOf(size, 9, step);
        expect(starts.at(-1)).toBe(size - 9);
        starts.forEach((start, n) => expect(start - (starts[n - 1] ?? start)).toBeLessThanOrEqual(Math.ceil(9 * step)));
      }
    }
  });
  it("padding is split evenly, the odd voxel at the end", () => {
    expect(allStarts([5, 8, 20], [8, 8, 8], 0.5)[0]).toEqual([-1, 0, 0]);
  });
  it("weights are positive and 1 in the middle, even in a large patch", () => {
    const weights = importance([96, 48, 8]);
    expect(weights.reduce((a, b) => Math.min(a, b))).toBeGreaterThan(0);
    expect(weights[(48 * 48 + 24) * 8 + 4]).toBe(1);
  });
});

/** A deterministic stand-in for a network: logits from the voxel's value and its place in the window. */
function logit(k: number, value: number, at: number): number {
  return Math.sin(value * (k + 1) * 0.37 + at * 0.11 * k) * 3;
}

function standIn(batch: number, channels: number, classes: number, size: number, calls: number[] = []): (windows: Float32Array) => Promise<Float32Array> {
  return async (windows) => {
    calls.push(windows.length);
    const out = new Float32Array(batch * classes * size);
    for (let n = 0; n < batch; n++) for (let k = 0; k < classes; k++) for (let at = 0; at < size; at++) {
      out[(n * classes + k) * size + at] = logit(k, windows[n * channels * size + at] ?? 0, at);
    }
    return out;
  };
}

/** The same prediction with everything held in memory at once, divided by the weights. */
function slow(image: Float32Array, shape: Triple, patch: Triple, classes: number, blend: Blending): Uint8Array {
  const weights = blend === "uniform" ? importance(patch).fill(1) : importance(patch);
  const total = shape[0] * shape[1] * shape[2];
  const sums = Array.from({ length: classes }, () => new Float64Array(total));
  const norm = new Float64Array(total);
  for (const start of allStarts(shape, patch, 0.5, blend)) {
    for (let at = 0; at < weights.length; at++) {
      const z = Math.floor(at / (patch[1] * patch[2])) + start[0];
      const y = Math.floor(at / patch[2]) % patch[1] + start[1];
      const x = at % patch[2] + start[2];
      const inside = z >= 0 && y >= 0 && x >= 0 && z < shape[0] && y < shape[1] && x < shape[2];
      if (!inside) continue;
      const n = (z * shape[1] + y) * shape[2] + x;
      const logits = Array.from({ length: classes }, (_, k) => Math.fround(logit(k, image[n] ?? 0, at)));
      const whole = logits.reduce((sum, l) => sum + Math.exp(l), 0);
      logits.forEach((l, k) => { const of = sums[k]; if (of !== undefined) of[n] = (of[n] ?? 0) + (weights[at] ?? 0) * (blend === "uniform" ? l : Math.exp(l) / whole); });
      norm[n] = (norm[n] ?? 0) + (weights[at] ?? 0);
    }
  }
  return Uint8Array.from({ length: total }, (_, n) => {
    const shares = sums.map((of) => (of[n] ?? 0) / (norm[n] ?? 1));
    if (blend === "gaussian") expect(shares.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
    return shares.indexOf(Math.max(...shares));
  });
}

describe.each<Blending>(["gaussian", "uniform"])("a whole volume (%s)", (blend) => {
  it.each<[Triple, Triple, number]>([[[19, 14, 23], [8, 6, 10], 1], [[19, 14, 23], [8, 6, 10], 4], [[5, 6, 7], [8, 8, 8], 2], [[30, 5, 12], [8, 8, 8], 3], [[8, 8, 8], [8, 8, 8], 2]])("%j with windows of %j, %i at a time", async (shape, patch, batch) => {
    const size = patch[0] * patch[1] * patch[2];
    const image = Float32Array.from({ length: 2 * shape[0] * shape[1] * shape[2] }, (_, n) => Math.cos(n * 0.7) * 4);
    const calls: number[] = [];
    const seen: (readonly [number, number])[] = [];
    const labels = await predictVolume(image, shape, { patch, overlap: 0.5, batch, channels: 2, classes: 4, blend, progress: (done, all) => seen.push([done, all]) }, standIn(batch, 2, 4, size, calls));
    const wanted = slow(image, shape, patch, 4, blend);
    const differ = labels.filter((label, n) => label !== wanted[n]).length;
    // Sums in float32 may break a near tie the other way.
    expect(differ / labels.length).toBeLessThan(0.001);
    expect(new Set(labels).size).toBe(4);
    expect(calls.every((length) => length === batch * 2 * size)).toBe(true);
    const windows = allStarts(shape, patch, 0.5, blend).length;
    expect(calls.length).toBe(Math.ceil(windows / batch));
    expect(seen.at(-1)).toEqual([windows, windows]);
  });
  it("what the windows say alone decides: a network that reads labels off gives them back", async () => {
    const shape: Triple = [13, 11, 17];
    const image = Float32Array.from({ length: 13 * 11 * 17 }, (_, n) => (n * 7919) % 3);
    const labels = await predictVolume(image, shape, { patch: [8, 8, 8], overlap: 0.5, batch: 2, channels: 1, classes: 3, blend }, async (windows) => {
      const out = new Float32Array(2 * 3 * 512);
      for (let n = 0; n < 2; n++) for (let at = 0; at < 512; at++) out[(n * 3 + (windows[n * 512 + at] ?? 0)) * 512 + at] = 100;
      return out;
    });
    expect([...labels]).toEqual([...image]);
  });
});
