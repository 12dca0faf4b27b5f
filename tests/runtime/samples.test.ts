// What a run makes of its cases: one class, no small parts, cubes; and patches with the map of a click.

import { describe, expect, it } from "vitest";
import type { Case } from "../../runtime/data/case.ts";
import { nearestAxes } from "../../runtime/data/geometry.ts";
import { choosePatch, fillBatch, indexed } from "../../runtime/data/patches.ts";
import { demandSamples, lostFindings, sampleOf, targetAlone, withoutSmall } from "../../runtime/data/samples.ts";
import { unravel, voxels, type Affine, type Triple } from "../../runtime/data/volume.ts";

const identity: Affine = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]];

function caseOf(shape: Triple, label: (z: number, y: number, x: number) => number, spacing: Triple = [1, 1, 1], name = "c"): Case {
  const labels = Uint8Array.from({ length: voxels(shape) }, (_, n) => label(...unravel(n, shape)));
  const stored = { size: [shape[2], shape[1], shape[0]], affine: identity, sources: nearestAxes(identity), sformCode: 1, qformCode: 0, version: 1 } as const;
  // Two channels; the first is the label itself.
  const image = Float32Array.from({ length: 2 * voxels(shape) }, (_, n) => (n < voxels(shape) ? (labels[n] ?? 0) : n));
  return { name, channels: 2, image, label: labels, shape, spacing, affine: identity, stored };
}

describe("labels", () => {
  it("keep one class as 1", () => {
    expect([...targetAlone(Uint8Array.of(0, 1, 2, 3, 2), 2)]).toEqual([0, 0, 1, 0, 1]);
  });

  it("lose parts that are short along an axis or have few voxels, and no others", () => {
    const shape: Triple = [4, 4, 9];
    const label = new Uint8Array(voxels(shape));
    const put = (z: number, y: number, x: number): void => { label[(z * 4 + y) * 9 + x] = 3; };
    // 2 x 2 x 2; then 2 x 3 x 1, flat; then four voxels, two along each axis.
    for (const z of [0, 1]) for (const y of [0, 1]) for (const x of [0, 1]) put(z, y, x);
    for (const z of [0, 1]) for (const y of [0, 1, 2]) put(z, y, 4);
    put(0, 0, 7); put(0, 0, 8); put(0, 1, 8); put(1, 1, 8);
    const left = withoutSmall(label, shape, { extent: 2, voxels: 5 });
    expect([...left].filter((value) => value > 0)).toHaveLength(8);
    expect([left[0], left[4], left[7]]).toEqual([3, 0, 0]);
    expect(withoutSmall(label, shape, { extent: 2, voxels: 4 }).filter((value) => value > 0)).toHaveLength(12);
    expect(withoutSmall(label, shape, { extent: 1, voxels: 1 })).toEqual(label);
  });
});

describe("cubes", () => {
  const patch: Triple = [16, 20, 24];
  // 4 x 8 x 8 mm around voxel [4, 10, 13] of unequal voxels, and a small part far away.
  const whole = caseOf([9, 24, 24], (z, y, x) => (z >= 4 && z < 6 && y >= 8 && y < 16 && x >= 9 && x < 17 ? 2 : z === 0 && y === 0 && x < 3 ? 2 : 1), [2, 1, 1]);

  it("lie around the largest part of the target, with label and image at the same places", () => {
    const cube = sampleOf(whole, { target: 2, crop: { factor: 2, least: 4 } }, patch);
    expect(cube?.shape).toEqual(patch);
    const { label, image } = cube ?? { label: undefined, image: new Float32Array() };
    // A block of 7 x 7 mm between centres has its long axis along one side or a diagonal of it.
    const edge = (cube?.spacing[1] ?? 0) * 20;
    expect(edge).toBeGreaterThanOrEqual(14 - 0.5);
    expect(edge).toBeLessThanOrEqual(2 * Math.hypot(7, 7, 2) + 0.5);
    const size = voxels(patch);
    const middle = [0, 0, 0];
    let count = 0;
    label?.forEach((value, n) => {
      if (value === 0) return;
      unravel(n, patch).forEach((at, axis) => { middle[axis] = (middle[axis] ?? 0) + at; });
      count++;
    });
    // The cube begins at a whole voxel: half of one off the centroid at most, and half a point for the nearest label.
    [7.5, 9.5, 11.5].forEach((wanted, axis) => {
      const step = cube?.spacing[axis] ?? 0;
      expect(Math.abs((middle[axis] ?? 0) / count - wanted) * step).toBeLessThanOrEqual((whole.spacing[axis] ?? 0) / 2 + step / 2);
    });
    const mm3 = (cube?.spacing ?? [0, 0, 0]).reduce((a, b) => a * b);
    expect(Math.abs((count * mm3) / (2 * 8 * 8 * 2) - 1)).toBeLessThan(0.25);
    // Channel 0 is the whole label: above 1.5 where the target is.
    let agree = 0;
    label?.forEach((value, n) => { agree += (image[n] ?? 0) > 1.5 === (value === 1) ? 1 : 0; });
    expect(agree / size).toBeGreaterThan(0.97);
  });

  it("need foreground: cases without it are left out by name, and all of them are N1084", () => {
    const empty = caseOf([4, 4, 4], () => 0, [1, 1, 1], "bare");
    expect([whole, empty].map((one) => sampleOf(one, { crop: { factor: 1.5, least: 4 } }, [4, 4, 4])?.name)).toEqual(["c", undefined]);
    expect(lostFindings(["bare"], { crop: { factor: 1.5, least: 4 } })).toMatchObject([{ code: "W1081", facts: [expect.stringContaining("bare") as string] }]);
    expect(sampleOf(empty, {}, [4, 4, 4])).toBe(empty);
    expect(lostFindings([], {})).toEqual([]);
    expect(sampleOf(empty, { guide: true }, [4, 4, 4])).toBeUndefined();
    expect(() => demandSamples([], "somewhere")).toThrow(/N1084.*somewhere/);
    expect(() => demandSamples([whole], "somewhere")).not.toThrow();
  });
});

describe("clicks in training", () => {
  const source = caseOf([6, 7, 8], (z, y, x) => (z === 2 && y < 3 ? 1 : x === 7 && z > 3 ? 2 : 0), [3, 2, 1]);
  const one = indexed(source);
  const sampling = { seed: 5, batch: 3, patch: [4, 4, 6] as Triple, guide: true };

  it("fall on foreground, all of it equally likely, and leave the patches as they were", () => {
    const counts = new Map<number, number>();
    const total = (source.label ?? new Uint8Array()).reduce((sum: number, value) => sum + (value > 0 ? 1 : 0), 0);
    const draws = 40 * total;
    for (let step = 0; step < draws; step++) {
      const { click, ...rest } = choosePatch([one], sampling, step, 0);
      const { click: none, ...plain } = choosePatch([one], { ...sampling, guide: false }, step, 0);
      expect(rest).toEqual(plain);
      expect(none).toBeUndefined();
      const [z, y, x] = ([0, 1, 2] as const).map((axis) => (click?.[axis] ?? 0) + rest.start[axis]);
      const at = ((z ?? 0) * 7 + (y ?? 0)) * 8 + (x ?? 0);
      expect(source.label?.[at]).toBeGreaterThan(0);
      counts.set(at, (counts.get(at) ?? 0) + 1);
    }
    expect(counts.size).toBe(total);
    const chi = [...counts.values()].reduce((sum, count) => sum + (count - 40) ** 2 / 40, 0);
    expect(chi / total).toBeLessThan(1.6);
  });

  it("give the last channel: 0 at the click, growing with the distance in mm, cut out with the rest", () => {
    const size = 4 * 4 * 6;
    const image = new Float32Array(3 * 3 * size);
    const label = new Float32Array(3 * size);
    let inside = 0;
    for (let step = 0; step < 60; step++) {
      const made = fillBatch([one], sampling, step, image, label);
      made.forEach((draw, sample) => {
        const map = image.subarray((sample * 3 + 2) * size, (sample * 3 + 3) * size);
        expect(Math.max(...map)).toBeCloseTo(1, 6);
        const click = draw.click ?? [0, 0, 0];
        if (click.some((n, axis) => n < 0 || n >= (sampling.patch[axis] ?? 0))) return;
        inside++;
        const at = ((click[0] ?? 0) * 4 + (click[1] ?? 0)) * 6 + (click[2] ?? 0);
        expect(map[at]).toBe(0);
        expect(label[sample * size + at]).toBeGreaterThan(0);
        // Channel 0 is the label, so nothing was shifted against it.
        expect(image.subarray(sample * 3 * size, sample * 3 * size + size)).toEqual(label.subarray(sample * size, (sample + 1) * size));
      });
    }
    expect(inside).toBeGreaterThan(30);
  });

  it("have the scale of the patch where more is cut out around it", () => {
    const [image, wide] = [new Float32Array(3 * 3 * 96), new Float32Array(3 * 3 * 6 * 6 * 8)];
    fillBatch([one], sampling, 1, image, new Float32Array(3 * 96));
    fillBatch([one], { ...sampling, around: [6, 6, 8] }, 1, wide, new Float32Array(3 * 288));
    for (let n = 0; n < 3; n++) for (let at = 0; at < 96; at++) {
      const [z, y, x] = [Math.floor(at / 24) + 1, (Math.floor(at / 6) % 4) + 1, (at % 6) + 1];
      for (const c of [0, 1, 2]) expect(wide[(n * 3 + c) * 288 + (z * 6 + y) * 8 + x]).toBe(image[(n * 3 + c) * 96 + at]);
    }
  });
});
