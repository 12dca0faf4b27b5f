// Sliding windows: tiling and weights against reference numbers, blending against a slow one.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Triple } from "../../runtime/data/volume.ts";
import { importance, steppedStarts, tileStarts } from "../../runtime/infer/tiles.ts";
import { labelsFrom, type Slices } from "../../runtime/infer/slices.ts";
import { allStarts, mirrorings, sharesWanted, windowSlices, type Axis, type Blending } from "../../runtime/infer/window.ts";
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
    expect(allStarts([5, 8, 20], [8, 8, 8], 0.5, "gaussian")[0]).toEqual([-1, 0, 0]);
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

function standIn(blend: Blending, batch: number, channels: number, classes: number, size: number, calls: number[] = []): (windows: Float32Array) => Promise<Float32Array> {
  return async (windows) => {
    calls.push(windows.length);
    const out = new Float32Array(batch * classes * size);
    for (let n = 0; n < batch; n++) for (let at = 0; at < size; at++) {
      const logits = Array.from({ length: classes }, (_, k) => Math.fround(logit(k, windows[n * channels * size + at] ?? 0, at)));
      const whole = logits.reduce((sum, one) => sum + Math.exp(one), 0);
      logits.forEach((one, k) => { out[(n * classes + k) * size + at] = sharesWanted(blend) ? Math.exp(one) / whole : one; });
    }
    return out;
  };
}

/** All slices of a prediction, [K, H, W] each. */
async function gathered(slices: Slices): Promise<readonly Float64Array[]> {
  const all: Float64Array[] = [];
  for await (const slice of slices) all.push(slice.slice());
  return all;
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
    const options = { patch, overlap: 0.5, batch, channels: 2, classes: 4, outputs: 4, mirror: [], blend, progress: (done: number, all: number) => void seen.push([done, all]) };
    const labels = await labelsFrom(windowSlices(image, shape, options, standIn(blend, batch, 2, 4, size, calls)), shape, 4);
    const wanted = slow(image, shape, patch, 4, blend);
    const differ = labels.filter((label, n) => label !== wanted[n]).length;
    // Sums in float32 may break a near tie the other way.
    expect(differ / labels.length).toBeLessThan(0.001);
    expect(new Set(labels).size).toBe(4);
    expect(calls.every((length) => length === batch * 2 * size)).toBe(true);
    const starts = allStarts(shape, patch, 0.5, blend);
    const levels = [...new Set(starts.map(([z]) => z))].map((first) => starts.filter(([z]) => z === first).length);
    expect(calls.length).toBe(levels.reduce((sum, count) => sum + Math.ceil(count / batch), 0));
    expect(seen.at(-1)).toEqual([starts.length, starts.length]);
  });
  it("what the windows say alone decides: a network that reads labels off gives them back", async () => {
    const shape: Triple = [13, 11, 17];
    const image = Float32Array.from({ length: 13 * 11 * 17 }, (_, n) => (n * 7919) % 3);
    const options = { patch: [8, 8, 8] as const, overlap: 0.5, batch: 2, channels: 1, classes: 3, outputs: 3, mirror: [], blend };
    const labels = await labelsFrom(windowSlices(image, shape, options, async (windows) => {
      const out = new Float32Array(2 * 3 * 512);
      for (let n = 0; n < 2; n++) for (let at = 0; at < 512; at++) out[(n * 3 + (windows[n * 512 + at] ?? 0)) * 512 + at] = 100;
      return out;
    }), shape, 3);
    expect([...labels]).toEqual([...image]);
  });
  it("mirrored windows: each is turned around, run, turned back, and the mean counts", async () => {
    const [shape, patch]: [Triple, Triple] = [[11, 9, 13], [8, 6, 8]];
    const image = Float32Array.from({ length: 11 * 9 * 13 }, (_, n) => Math.cos(n * 0.7) * 4);
    const size = 8 * 6 * 8;
    const options = { patch, overlap: 0.5, batch: 2, channels: 1, classes: 3, outputs: 3, blend };
    const run = standIn(blend, 2, 1, 3, size);
    const turned = (boxes: Float32Array, count: number, axes: readonly Axis[]): Float32Array => {
      const out = boxes.slice();
      for (let n = 0; n < count; n++) for (let at = 0; at < size; at++) {
        const place = [Math.floor(at / 48), Math.floor(at / 8) % 6, at % 8].map((p, axis) => (axes.some((one) => one === axis) ? (patch[axis] ?? 0) - 1 - p : p));
        out[n * size + at] = boxes[n * size + ((place[0] ?? 0) * 6 + (place[1] ?? 0)) * 8 + (place[2] ?? 0)] ?? 0;
      }
      return out;
    };
    const ways = mirrorings([0, 2]);
    expect(ways).toEqual([[], [0], [2], [0, 2]]);
    const alone = await Promise.all(ways.map((way) => gathered(windowSlices(image, shape, { ...options, mirror: [] }, async (windows) => turned(await run(turned(windows, 2, way)), 6, way)))));
    const together = await gathered(windowSlices(image, shape, { ...options, mirror: [0, 2] }, run));
    expect(together.length).toBe(11);
    // Of logits, the mean shows in how much likelier a class is than the first.
    const told = (slice: Float64Array | undefined, at: number): number => (blend === "gaussian" ? (slice?.[at] ?? NaN) : Math.log((slice?.[at] ?? NaN) / (slice?.[at % 117] ?? NaN)));
    together.forEach((slice, z) => slice.forEach((_, at) => expect(told(slice, at)).toBeCloseTo(alone.reduce((sum, one) => sum + told(one[z], at), 0) / 4, 5)));
    expect(together.map((slice) => [...slice])).not.toEqual(alone[0]?.map((slice) => [...slice]));
  });
  it("give probabilities: of every voxel they add up to one", async () => {
    const image = Float32Array.from({ length: 9 * 10 * 11 }, (_, n) => Math.cos(n * 0.7) * 4);
    const slices = await gathered(windowSlices(image, [9, 10, 11], { patch: [8, 8, 8], overlap: 0.5, batch: 1, channels: 1, classes: 3, outputs: 3, mirror: [1], blend }, standIn(blend, 1, 1, 3, 512)));
    for (const slice of slices) for (let n = 0; n < 110; n++) expect((slice[n] ?? 0) + (slice[110 + n] ?? 0) + (slice[220 + n] ?? 0)).toBeCloseTo(1, 5);
  });
});

it("the next window is run while the one before is added, and never more", async () => {
  let [open, most] = [0, 0];
  const run = standIn("gaussian", 1, 1, 2, 512);
  const slices = windowSlices(new Float32Array(20 * 20 * 20).map((_, n) => n % 7), [20, 20, 20], { patch: [8, 8, 8], overlap: 0.5, batch: 1, channels: 1, classes: 2, outputs: 2, mirror: [], blend: "gaussian" }, async (windows) => {
    most = Math.max(most, ++open);
    const logits = await run(windows);
    await new Promise((resolve) => setTimeout(resolve, 1));
    open--;
    return logits;
  });
  expect((await gathered(slices)).length).toBe(20);
  expect(most).toBe(2);
});

it("a window that fails ends the prediction with its own error", async () => {
  let calls = 0;
  const slices = windowSlices(new Float32Array(16 * 8 * 8), [16, 8, 8], { patch: [8, 8, 8], overlap: 0.5, batch: 1, channels: 1, classes: 2, outputs: 2, mirror: [], blend: "gaussian" }, async () => {
    if (++calls === 2) throw new Error("the device is gone");
    return new Float32Array(2 * 512);
  });
  await expect(gathered(slices)).rejects.toThrow("the device is gone");
});
