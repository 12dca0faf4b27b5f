// Values of a network to classes: competing ones, and targets that are each a yes or no.

import { describe, expect, it } from "vitest";
import { decide, toShares, votesOf, winners } from "../../runtime/infer/decide.ts";
import { labelsFrom } from "../../runtime/infer/slices.ts";
import { windowSlices } from "../../runtime/infer/window.ts";
import { classOutput } from "../../runtime/train/validate.ts";
import type { Port } from "../../compiler/plan/plan.ts";
import type { Triple } from "../../runtime/data/volume.ts";

const logit = (p: number): number => Math.log(p / (1 - p));

describe("one value less than classes", () => {
  it("is a target where its sigmoid is more than a half", () => {
    expect([...decide(Float32Array.of(-0.1, 0, 0.1, 5), 1, 1, 2)]).toEqual([0, 0, 1, 1]);
    // Two samples, two targets, two voxels: the likelier of those above a half.
    expect([...decide(Float32Array.of(1, -1, 2, -2, -3, 4, -1, 3), 2, 2, 3)]).toEqual([2, 0, 0, 1]);
  });

  it("gives sigmoids, against a half for the background", () => {
    const shares = new Float64Array(3);
    votesOf(Float32Array.of(logit(0.9), logit(0.2)), 1, 2, 3, 0, 1, shares);
    toShares(shares, 1, 3, true);
    [0.5, 0.9, 0.2].forEach((wanted, k) => expect(shares[k]).toBeCloseTo(wanted, 6));
  });

  it("as many as classes is a softmax, that of large values too", () => {
    const shares = new Float64Array(4);
    votesOf(Float32Array.of(logit(0.9), 500, 0, -500), 2, 2, 2, 0, 2, shares);
    toShares(shares, 2, 2, false);
    [0.9, 1, 0.1, 0].forEach((wanted, n) => expect(shares[n]).toBeCloseTo(wanted, 6));
  });
});

it("votes are laid side by side by class; the largest wins, the first of equals", () => {
  const logits = Float32Array.of(1, 2, 3, 4, 5, 3, 3, 0);
  const votes = new Float64Array(6);
  votesOf(logits, 4, 2, 2, 1, 3, votes);
  expect([...votes]).toEqual([2, 3, 4, 3, 3, 0]);
  const labels = new Uint8Array(5).fill(9);
  winners(votes, 3, 2, labels, 1);
  expect([...labels]).toEqual([9, 1, 0, 0, 9]);
});

it("of targets that overlap the last that holds is written, each where it has more than a half", () => {
  // Five voxels: none, the first, both, the second alone, and the first exactly at a half.
  const logits = Float32Array.of(-1, 2, 3, -0.1, 0, -1, -2, 0.1, 4, -3);
  expect([...decide(logits, 1, 2, 3, [7, 2])]).toEqual([0, 7, 2, 2, 0]);
  expect([...decide(logits, 1, 2, 3, [2, 7])]).toEqual([0, 2, 7, 7, 0]);
  // Of probabilities the same, and only where they are asked for.
  const shares = Float64Array.of(0.5, 0.5, 0.9, 0.4, 0.8, 0.6);
  const labels = new Uint8Array(4).fill(9);
  winners(shares, 2, 3, labels, 1, [1, 3]);
  expect([...labels]).toEqual([9, 3, 3, 9]);
});

it("many voxels are decided like few", () => {
  const logits = Float32Array.from({ length: 2 * 3 * 5000 }, (_, n) => Math.sin(n * 1.7));
  const labels = decide(logits, 2, 3, 3);
  for (const n of [0, 4095, 4096, 4999]) for (const sample of [0, 1]) {
    const own = [0, 1, 2].map((k) => logits[(sample * 3 + k) * 5000 + n] ?? 0);
    expect(labels[sample * 5000 + n]).toBe(own.indexOf(Math.max(...own)));
  }
});

it("windows of a single target are blended as probabilities: their weighted mean must exceed a half", async () => {
  const shape: Triple = [8, 8, 12];
  const image = Float32Array.from({ length: 768 }, (_, n) => Math.sin(n * 0.37));
  // The first window of two is sure, the second is not; in the middle of their overlap both count the same.
  const windows: number[] = [];
  const options = { patch: [8, 8, 8] as const, overlap: 0.5, batch: 1, channels: 1, classes: 2, outputs: 1, blend: "gaussian" as const, mirror: [] };
  const labels = await labelsFrom(windowSlices(image, shape, options, async () => {
    windows.push(1);
    return new Float32Array(512).fill(windows.length === 1 ? 0.9 : 0.3);
  }), shape, 2);
  expect(windows).toHaveLength(2);
  const row = [...labels.subarray(0, 12)];
  expect(row.slice(0, 4)).toEqual([1, 1, 1, 1]);
  expect(row.slice(8)).toEqual([0, 0, 0, 0]);
  // 0.9 a + 0.3 b > 0.5 (a + b) as long as b < 2 a; in logits it would be otherwise.
  expect(row[5]).toBe(1);
});

it("an output is found by its shape: a value for each class before one less", () => {
  const port = (name: string, shape: readonly number[]): Port => ({ name, shape, slice: { buffer: 0, offset: 0, bytes: 0 } }) as unknown as Port;
  const inputs = [port("image", [2, 3, 4, 4, 4])];
  const [fine, coarse, pair] = [port("fine", [2, 1, 4, 4, 4]), port("coarse", [2, 1, 2, 2, 2]), port("pair", [2, 2, 4, 4, 4])];
  expect(classOutput({ inputs, outputs: [coarse, fine] }, 2)?.name).toBe("fine");
  expect(classOutput({ inputs, outputs: [fine, pair] }, 2)?.name).toBe("pair");
  expect(classOutput({ inputs, outputs: [coarse] }, 2)).toBeUndefined();
});
