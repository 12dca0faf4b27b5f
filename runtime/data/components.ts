// Connected parts of a mask: voxels that touch by a face belong together.

import { unravel, voxels } from "./volume.ts";
import type { Triple } from "./volume.ts";

/** One connected part. */
export interface Component {
  /** Offsets of its voxels, in no particular order. */
  readonly at: Uint32Array;
  /** Its first and its last voxel along D, H, W. */
  readonly first: Triple;
  readonly last: Triple;
}

/** All 6-connected parts of a mask [D, H, W] (0 is outside), in the order of their first voxels. */
export function components(mask: Uint8Array, shape: Triple): readonly Component[] {
  const left = Uint8Array.from(mask);
  // One list for all: a part is a stretch of it, and what is still to be looked at its end.
  const list = new Uint32Array(mask.reduce((sum, value) => sum + (value === 0 ? 0 : 1), 0));
  const found: Component[] = [];
  let end = 0;
  for (let start = 0; start < voxels(shape); start++) {
    if (left[start] === 0) continue;
    const begin = end;
    left[start] = 0;
    list[end++] = start;
    const first: [number, number, number] = [...unravel(start, shape)];
    const last: [number, number, number] = [...first];
    for (let next = begin; next < end; next++) {
      const at = list[next] ?? 0;
      const here = unravel(at, shape);
      for (const axis of [0, 1, 2] as const) {
        first[axis] = Math.min(first[axis], here[axis]);
        last[axis] = Math.max(last[axis], here[axis]);
        const step = axis === 0 ? shape[1] * shape[2] : axis === 1 ? shape[2] : 1;
        for (const [inside, beside] of [[here[axis] > 0, at - step], [here[axis] < shape[axis] - 1, at + step]] as const) {
          if (!inside || left[beside] === 0) continue;
          left[beside] = 0;
          list[end++] = beside;
        }
      }
    }
    found.push({ at: list.subarray(begin, end), first, last });
  }
  return found;
}

/** The part with the most voxels, the first of equals; undefined for an empty mask. */
export function largest(parts: readonly Component[]): Component | undefined {
  return parts.reduce<Component | undefined>((best, one) => (best === undefined || one.at.length > best.at.length ? one : best), undefined);
}
