// Values of a network to classes: competing ones, and targets that are each a yes or no.

import { describe, expect, it } from "vitest";
import { decide, sharesAt } from "../../runtime/infer/decide.ts";
import { predictVolume } from "../../runtime/infer/window.ts";
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
    sharesAt(Float32Array.of(logit(0.9), logit(0.2)), 0, 1, 2, 3, shares);
    [0.5, 0.9, 0.2].forEach((wanted, k) => expect(shares[k]).toBeCloseTo(wanted, 6));
  });

  it("as many as classes is a softmax", () => {
    const shares = new Float64Array(2);
    sharesAt(Float32Array.of(logit(0.9), 0), 0, 1, 2, 2, shares);
    expect(shares[0]).toBeCloseTo(0.9, 6);
    expect((shares[0] ?? 0) + (shares[1] ?? 0)).toBeCloseTo(1, 12);
  });
});

it("windows of a single target are blended as probabilities: their weighted mean must exceed a half", async () => {
  const shape: Triple = [8, 8, 12];
  const image = Float32Array.from({ length: 768 }, (_, n) => Math.sin(n * 0.37));
  // The first window of two is sure, the second is not; in the middle of their overlap both count the same.
  const windows: number[] = [];
  const labels = await predictVolume(image, shape, { patch: [8, 8, 8], overlap: 0.5, batch: 1, channels: 1, classes: 2, outputs: 1 }, async () => {
    windows.push(1);
    return new Float32Array(512).fill(logit(windows.length === 1 ? 0.9 : 0.3));
  });
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
