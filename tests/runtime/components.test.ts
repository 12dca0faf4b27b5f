// Connected parts of masks, by hand and against a slow search.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { components, largest } from "../../runtime/data/components.ts";
import { keepLargest } from "../../runtime/infer/largest.ts";
import { unravel, voxels, type Triple } from "../../runtime/data/volume.ts";

/** The least offset of each voxel's part, by passing labels on until nothing changes. */
function slow(mask: Uint8Array, shape: Triple): number[] {
  const label = [...mask].map((value, n) => (value === 0 ? -1 : n));
  for (let changed = true; changed; ) {
    changed = false;
    for (let a = 0; a < label.length; a++) for (let b = 0; b < label.length; b++) {
      const [p, q] = [unravel(a, shape), unravel(b, shape)];
      const apart = Math.abs(p[0] - q[0]) + Math.abs(p[1] - q[1]) + Math.abs(p[2] - q[2]);
      const [la = -1, lb = -1] = [label[a], label[b]];
      if (apart === 1 && la > lb && lb >= 0) {
        label[a] = lb;
        changed = true;
      }
    }
  }
  return label;
}

describe("parts", () => {
  it("are what a slow search finds, with their extents", () => {
    const shapes = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }));
    fc.assert(fc.property(shapes, fc.array(fc.boolean(), { minLength: 80, maxLength: 80 }), (shape, bits) => {
      const mask = Uint8Array.from(bits.slice(0, voxels(shape)), Number);
      const wanted = slow(mask, shape);
      const got = new Array<number>(mask.length).fill(-1);
      for (const { at, first, last } of components(mask, shape)) {
        const least = Math.min(...at);
        for (const offset of at) got[offset] = least;
        for (const axis of [0, 1, 2] as const) {
          const along = [...at].map((offset) => unravel(offset, shape)[axis]);
          expect([first[axis], last[axis]]).toEqual([Math.min(...along), Math.max(...along)]);
        }
      }
      expect(got).toEqual(wanted);
    }), { numRuns: 60 });
  });

  it("touch by faces: corners, edges and the ends of rows do not join", () => {
    expect(components(Uint8Array.of(1, 0, 0, 1), [1, 2, 2])).toHaveLength(2);
    expect(components(Uint8Array.of(0, 1, 1, 0), [1, 2, 2])).toHaveLength(2);
    expect(components(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1), [2, 2, 2])).toHaveLength(2);
    expect(components(Uint8Array.of(1, 1, 0, 1), [2, 1, 2])).toHaveLength(1);
  });

  it("rank by size, the first of equals; nothing has no largest", () => {
    const parts = components(Uint8Array.of(1, 0, 1, 1, 0, 1, 1), [1, 1, 7]);
    expect([...(largest(parts)?.at ?? [])]).toEqual([2, 3]);
    expect(largest(components(new Uint8Array(8), [2, 2, 2]))).toBeUndefined();
  });
});

describe("the largest part alone", () => {
  it("is of voxels that touch by a face, an edge or a corner; the rest goes to the background", () => {
    // Two voxels that touch by a corner, and two by a face that lie apart from them.
    const labels = Uint8Array.from({ length: 5 * 3 * 3 }, () => 0);
    const at = (z: number, y: number, x: number): number => (z * 3 + y) * 3 + x;
    const corner = [at(0, 0, 0), at(1, 1, 1), at(2, 2, 2)];
    const face = [at(4, 0, 0), at(4, 0, 1)];
    for (const n of [...corner, ...face]) labels[n] = 2;
    labels[at(0, 2, 0)] = 1;
    expect(components(labels.map((label) => (label === 2 ? 1 : 0)), [5, 3, 3])).toHaveLength(4);
    expect(components(labels.map((label) => (label === 2 ? 1 : 0)), [5, 3, 3], 26)).toHaveLength(2);
    keepLargest(labels, [5, 3, 3], [[2]]);
    expect([...labels.keys()].filter((n) => labels[n] === 2)).toEqual(corner);
    expect(labels[at(0, 2, 0)]).toBe(1);
  });

  it("of a region is that of all its labels together", () => {
    const labels = Uint8Array.of(1, 2, 0, 2, 0, 3, 3, 3);
    keepLargest(labels, [1, 1, 8], [[1, 2]]);
    expect([...labels]).toEqual([1, 2, 0, 0, 0, 3, 3, 3]);
  });

  it("does not go around the border, and of one voxel is that voxel", () => {
    const rows = Uint8Array.of(0, 0, 1, 1, 0, 0);
    expect(components(rows, [1, 2, 3], 26)).toHaveLength(2);
    const one = Uint8Array.of(1);
    keepLargest(one, [1, 1, 1], [[1], [4]]);
    expect([...one]).toEqual([1]);
  });
});
