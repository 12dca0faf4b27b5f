// Connected parts of masks, by hand and against a slow search.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { components, largest } from "../../runtime/data/components.ts";
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
