// Connected parts of a mask: voxels that touch by a face belong together, or those that touch at all.

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

/** All 6- or 26-connected parts of a mask [D, H, W] (0 is outside), in the order of their first voxels. */
export function components(mask: Uint8Array, shape: Triple, neighbours: 6 | 26 = 6): readonly Component[] {
  const left = Uint8Array.from(mask);
  // One list for all: a part is a stretch of it, and what is still to be looked at its end.
  let count = 0;
  for (const value of mask) if (value !== 0) count++;
  const list = new Uint32Array(count);
  const [depth, height, width] = shape;
  const plane = height * width;
  const found: Component[] = [];
  let end = 0;
  const reach = (at: number): void => {
    if (left[at] === 0) return;
    left[at] = 0;
    list[end++] = at;
  };
  for (let start = 0; start < voxels(shape); start++) {
    if (left[start] === 0) continue;
    const begin = end;
    reach(start);
    let [z0, y0, x0] = unravel(start, shape);
    let [z1, y1, x1] = [z0, y0, x0];
    for (let next = begin; next < end; next++) {
      const at = list[next] ?? 0;
      const z = Math.floor(at / plane);
      const y = Math.floor((at - z * plane) / width);
      const x = at - z * plane - y * width;
      if (z < z0) z0 = z; else if (z > z1) z1 = z;
      if (y < y0) y0 = y; else if (y > y1) y1 = y;
      if (x < x0) x0 = x; else if (x > x1) x1 = x;
      if (neighbours === 26) {
        for (let dz = z > 0 ? -1 : 0; dz <= (z < depth - 1 ? 1 : 0); dz++) for (let dy = y > 0 ? -1 : 0; dy <= (y < height - 1 ? 1 : 0); dy++) {
          for (let dx = x > 0 ? -1 : 0; dx <= (x < width - 1 ? 1 : 0); dx++) reach(at + dz * plane + dy * width + dx);
        }
        continue;
      }
      if (z > 0) reach(at - plane);
      if (z < depth - 1) reach(at + plane);
      if (y > 0) reach(at - width);
      if (y < height - 1) reach(at + width);
      if (x > 0) reach(at - 1);
      if (x < width - 1) reach(at + 1);
    }
    found.push({ at: list.subarray(begin, end), first: [z0, y0, x0], last: [z1, y1, x1] });
  }
  return found;
}

/** The part with the most voxels, the first of equals; undefined for an empty mask. */
export function largest(parts: readonly Component[]): Component | undefined {
  return parts.reduce<Component | undefined>((best, one) => (best === undefined || one.at.length > best.at.length ? one : best), undefined);
}
