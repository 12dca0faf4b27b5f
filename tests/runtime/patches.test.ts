// Training patches: who is drawn, from where, and that a resumed run draws the same.

import { describe, expect, it } from "vitest";
import type { Case } from "../../runtime/data/case.ts";
import { cropInto, flipAxis } from "../../runtime/data/crop.ts";
import { nearestAxes } from "../../runtime/data/geometry.ts";
import { choosePatch, fillBatch, indexed, isForced, roundHalfEven } from "../../runtime/data/patches.ts";
import type { Sampling } from "../../runtime/data/patches.ts";
import type { Affine, Triple } from "../../runtime/data/volume.ts";
import { draws } from "../../runtime/draws.ts";
import { threefry } from "../../runtime/random.ts";

const identity: Affine = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]];

/** Voxel n of channel c holds n + 10000 c, so that every copied value tells where it came from. */
function caseOf(shape: Triple, label: (z: number, y: number, x: number) => number, channels = 1): Case {
  const size = shape[0] * shape[1] * shape[2];
  const image = Float32Array.from({ length: channels * size }, (_, n) => (n % size) + 1 + 10000 * Math.floor(n / size));
  const labels = new Uint8Array(size);
  for (let z = 0, n = 0; z < shape[0]; z++) for (let y = 0; y < shape[1]; y++) for (let x = 0; x < shape[2]; x++) labels[n++] = label(z, y, x);
  const stored = { size: [shape[2], shape[1], shape[0]], affine: identity, sources: nearestAxes(identity), sformCode: 1, qformCode: 0, version: 1 } as const;
  return { name: "c", channels, image, label: labels, shape, spacing: [1, 1, 1], affine: identity, stored };
}

describe("draws", () => {
  it("Threefry gives its published answers", () => {
    const answer = (key: readonly [number, number], counter: readonly [number, number]): readonly string[] => {
      const words = Uint32Array.from(counter);
      threefry(words, ...key);
      return [...words].map((word) => word.toString(16));
    };
    expect(answer([0, 0], [0, 0])).toEqual(["6b200159", "99ba4efe"]);
    expect(answer([0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff])).toEqual(["1cb996fc", "bb002be7"]);
    expect(answer([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3])).toEqual(["c4923a9c", "483df7a0"]);
  });
  it("are uniform along a sequence, over steps and over seeds", () => {
    const sources = [
      (() => { const d = draws(7, 1, 2); return () => d.next(); })(),
      (() => { let step = 0; return () => draws(7, 1, step++).next(); })(),
      (() => { let seed = 0; return () => draws(seed++, 1, 2).next(); })(),
    ];
    for (const next of sources) {
      const bins = new Array<number>(32).fill(0);
      let [product, previous] = [0, 0.5];
      for (let n = 0; n < 32000; n++) {
        const value = next();
        bins[Math.floor(value * 32)] = (bins[Math.floor(value * 32)] ?? 0) + 1;
        product += (value - 0.5) * (previous - 0.5);
        previous = value;
      }
      // Chi squared with 31 degrees of freedom: 61 is exceeded once in a thousand; these seeds are fixed.
      expect(bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(61);
      expect(Math.abs(product / 32000 / (1 / 12))).toBeLessThan(0.02);
    }
  });
  it("depend on every part of the place, its order and its length", () => {
    const firsts = [draws(1), draws(1, 0), draws(1, 0, 0), draws(1, 1, 0), draws(1, 0, 1), draws(2, 0, 1), draws(1, 2 ** 32), draws(-1)].map((d) => d.next());
    expect(new Set(firsts).size).toBe(firsts.length);
    expect(draws(1, 0, 1).next()).toBe(draws(1, 0, 1).next());
  });
  it("below stays below and reaches everything", () => {
    const d = draws(3);
    expect(new Set(Array.from({ length: 500 }, () => d.below(7)))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
  });
});

describe("crops", () => {
  const shape: Triple = [3, 4, 5];
  const from = Float32Array.from({ length: 60 }, (_, n) => n + 1);
  const reference = (start: Triple, size: Triple): number[] => {
    const out: number[] = [];
    for (let z = 0; z < size[0]; z++) for (let y = 0; y < size[1]; y++) for (let x = 0; x < size[2]; x++) {
      const [a, b, c] = [z + start[0], y + start[1], x + start[2]];
      const inside = a >= 0 && b >= 0 && c >= 0 && a < 3 && b < 4 && c < 5;
      out.push(inside ? (a * 4 + b) * 5 + c + 1 : 0);
    }
    return out;
  };
  it.each<[Triple, Triple]>([[[0, 0, 0], [3, 4, 5]], [[1, 2, 3], [2, 2, 2]], [[-2, -1, -3], [7, 6, 11]], [[2, 3, 4], [2, 2, 2]], [[9, 0, 0], [1, 1, 1]], [[0, 0, -5], [2, 2, 3]], [[0, 0, 7], [1, 2, 3]]])("at %j of %j", (start, size) => {
    const to = new Float32Array(size[0] * size[1] * size[2] + 2).fill(-1);
    cropInto(from, shape, start, size, to, 1);
    expect([...to]).toEqual([-1, ...reference(start, size), -1]);
  });
  it("axes turn around", () => {
    for (const axis of [0, 1, 2] as const) {
      const box = from.slice();
      flipAxis(box, 0, shape, axis);
      const at = (z: number, y: number, x: number): number => box[(z * 4 + y) * 5 + x] ?? -1;
      expect(at(2, 1, 3)).toBe(axis === 0 ? 0 * 20 + 5 + 3 + 1 : axis === 1 ? 40 + 2 * 5 + 3 + 1 : 40 + 5 + 1 + 1);
      flipAxis(box, 0, shape, axis);
      expect(box).toEqual(from);
    }
  });
});

describe("the rule of forced samples", () => {
  it("is nnU-Net's: the last third, rounded half to even", () => {
    const forced = (batch: number): number => Array.from({ length: batch }, (_, n) => isForced(n, batch, draws(1))).filter(Boolean).length;
    expect([2, 3, 4, 5, 6, 8, 9, 12].map(forced)).toEqual([1, 1, 1, 2, 2, 3, 3, 4]);
    expect([0.5, 1.5, 2.5, 2.4, 2.6, 3].map(roundHalfEven)).toEqual([0, 2, 2, 2, 3, 3]);
  });
  it("falls to chance in a batch of one", () => {
    let count = 0;
    for (let n = 0; n < 3000; n++) if (isForced(0, 1, draws(n))) count++;
    expect(Math.abs(count / 3000 - 0.33)).toBeLessThan(0.03);
  });
});

describe("patches", () => {
  const sampling: Sampling = { seed: 5, batch: 2, patch: [4, 6, 5] };
  // Two classes, one of a single voxel: by class both are centred on equally often.
  const blob = indexed(caseOf([12, 14, 16], (z, y, x) => (z === 2 && y === 11 && x === 9 ? 2 : z > 7 && y < 4 ? 1 : 0)));
  const empty = indexed(caseOf([9, 9, 9], () => 0));

  it("the index lists each class's voxels", () => {
    expect(blob.classes.map(({ value, at }) => [value, at.length])).toEqual([[1, 4 * 4 * 16], [2, 1]]);
    expect([...blob.classes[1]?.at ?? []]).toEqual([(2 * 14 + 11) * 16 + 9]);
    expect(empty.classes).toEqual([]);
  });
  it("of a large class some thousand voxels are remembered, evenly and on no lattice", () => {
    const [{ at } = { at: new Uint32Array() }, more] = indexed(caseOf([32, 64, 64], () => 3)).classes;
    expect(more).toBeUndefined();
    expect(at.length).toBeGreaterThanOrEqual(10_000);
    expect(at.length).toBeLessThan(11_000);
    // Each eighth of the volume, and each column, has its share.
    const share = (count: number, of: (offset: number) => number): readonly number[] => Array.from({ length: count }, (_, n) => (count * at.filter((offset) => of(offset) === n).length) / at.length);
    for (const part of [...share(8, (offset) => offset >> 14), ...share(64, (offset) => offset % 64)]) expect(Math.abs(part - 1)).toBeLessThan(0.15);
  });
  it("a forced one contains its class, centred unless the border is near", () => {
    const seen = new Map<number, number>();
    for (let step = 0; step < 400; step++) {
      const draw = choosePatch([blob], sampling, step, 1);
      seen.set(draw.around ?? 0, (seen.get(draw.around ?? 0) ?? 0) + 1);
      if (draw.around === 2) expect(draw.start).toEqual([0, 8, 7]);
      draw.start.forEach((start, axis) => {
        expect(start).toBeGreaterThanOrEqual(0);
        expect(start).toBeLessThanOrEqual((blob.source.shape[axis] ?? 0) - (sampling.patch[axis] ?? 0));
      });
    }
    expect([...seen.keys()].sort()).toEqual([1, 2]);
    expect(Math.abs((seen.get(2) ?? 0) - 200)).toBeLessThan(50);
  });
  it("a free one may lie anywhere, equally likely", () => {
    const counts = new Array<number>(9).fill(0);
    for (let step = 0; step < 4500; step++) {
      const draw = choosePatch([blob], sampling, step, 0);
      expect(draw.around).toBeUndefined();
      counts[draw.start[0]] = (counts[draw.start[0]] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(90);
  });
  it("cases are drawn equally, and one without foreground gives free patches", () => {
    let second = 0;
    for (let step = 0; step < 1000; step++) {
      const draw = choosePatch([blob, empty], sampling, step, 1);
      if (draw.from === 1) {
        second++;
        expect(draw.around).toBeUndefined();
      }
    }
    expect(Math.abs(second - 500)).toBeLessThan(60);
  });
  it("image and label are cut at the same place, all channels", () => {
    const source = caseOf([12, 14, 16], (z, y, x) => (z + y + x) % 3, 2);
    const image = new Float32Array(2 * 2 * 120);
    const label = new Float32Array(2 * 120);
    for (let step = 0; step < 5; step++) {
      const made = fillBatch([indexed(source)], sampling, step, image, label);
      made.forEach(({ start }, n) => {
        for (let at = 0; at < 120; at++) {
          const [z, y, x] = [Math.floor(at / 30) + start[0], Math.floor(at / 5) % 6 + start[1], at % 5 + start[2]];
          expect(image[n * 240 + at]).toBe((z * 14 + y) * 16 + x + 1);
          expect(image[n * 240 + 120 + at]).toBe((z * 14 + y) * 16 + x + 10001);
          expect(label[n * 120 + at]).toBe((z + y + x) % 3);
        }
      });
    }
  });
  it("a volume smaller than the patch lies in the middle of zeros", () => {
    const small = caseOf([2, 6, 3], () => 1);
    const image = new Float32Array(240);
    const label = new Float32Array(240);
    const made = fillBatch([indexed(small)], sampling, 3, image, label);
    for (const draw of made) expect(draw.start).toEqual([-1, 0, -1]);
    for (let n = 0; n < 2; n++) {
      const part = image.subarray(n * 120, (n + 1) * 120);
      expect(part.filter((v) => v > 0).length).toBe(36);
      expect(part[30 + 1]).toBe(1);
      expect(label.subarray(n * 120, (n + 1) * 120).filter((v) => v === 1).length).toBe(36);
    }
  });
  it("is the same whenever it is asked for, and another with another seed", () => {
    const fill = (step: number, seed: number): Float32Array => {
      const image = new Float32Array(240);
      fillBatch([blob, empty], { ...sampling, seed }, step, image, new Float32Array(240));
      return image;
    };
    const unbroken = [0, 1, 2, 3].map((step) => fill(step, 5));
    expect(fill(3, 5)).toEqual(unbroken[3]);
    expect(fill(3, 6)).not.toEqual(unbroken[3]);
    expect(unbroken[2]).not.toEqual(unbroken[3]);
  });
  it("what is around a patch is cut out with it, the patch in its middle, at the same place", () => {
    const source = caseOf([12, 14, 16], (z, y, x) => (z + y + x) % 3);
    const around = [7, 6, 8] as const;
    const [image, label] = [new Float32Array(2 * 336), new Float32Array(2 * 336)];
    const [plain, of] = [new Float32Array(240), new Float32Array(240)];
    for (let step = 0; step < 5; step++) {
      const made = fillBatch([indexed(source)], { ...sampling, around }, step, image, label);
      expect(fillBatch([indexed(source)], sampling, step, plain, of)).toEqual(made);
      made.forEach(({ start }, n) => {
        for (let at = 0; at < 336; at++) {
          const [z, y, x] = [Math.floor(at / 48) + start[0] - 1, (Math.floor(at / 8) % 6) + start[1], (at % 8) + start[2] - 1];
          const inside = z >= 0 && z < 12 && y >= 0 && y < 14 && x >= 0 && x < 16;
          expect(image[n * 336 + at]).toBe(inside ? (z * 14 + y) * 16 + x + 1 : 0);
          expect(label[n * 336 + at]).toBe(inside ? (z + y + x) % 3 : 0);
        }
      });
    }
  });
});
