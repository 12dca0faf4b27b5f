// How far the surfaces of a predicted and a true mask lie apart, in millimetres.

import type { Triple } from "../data/volume.ts";
import { squaredDistances } from "./distance.ts";

/** Distances between two surfaces; null where neither mask has a voxel, infinite where one has none. */
export interface SurfaceScores {
  /** Hausdorff distance: the largest way from a voxel of one surface to the other. */
  readonly hd: number | null;
  /** The larger of the two directions' 95th percentiles. */
  readonly hd95: number | null;
  /** The 95th percentile of both directions together. */
  readonly hd95Pooled: number | null;
  /** The mean of both directions together. */
  readonly assd: number | null;
  /** The share of both surfaces that lies within the tolerance of the other; 0 where only one mask is empty. */
  readonly nsd: number | null;
}

/** Names of the scores, in the order tables show them. */
export const SURFACE_SCORES = ["hd", "hd95", "hd95Pooled", "assd", "nsd"] as const;

/** The scores of a class that neither map has. */
export const NOWHERE: SurfaceScores = { hd: null, hd95: null, hd95Pooled: null, assd: null, nsd: null };

/** The scores of a class that only one map has. */
const MISSED: SurfaceScores = { hd: Infinity, hd95: Infinity, hd95Pooled: Infinity, assd: Infinity, nsd: 0 };

/** Which of a map's values are in a mask: 1 at each of them. */
export type Mask = Uint8Array;

/** The mask of some values. */
export function maskOf(values: readonly number[]): Mask {
  const mask = new Uint8Array(65_536);
  for (const value of values) mask[value] = 1;
  return mask;
}

/**
 * Compares a mask in two label maps [D, H, W] whose voxels lie `spacing` millimetres apart. A surface is a mask without its
 * erosion by the cross of six neighbours, where everything outside of the volume counts as background; a distance is that from a
 * surface voxel to the nearest one of the other surface; percentiles are interpolated linearly. `tolerance` is in millimetres.
 */
export function surfaceScores(predicted: ArrayLike<number>, truth: ArrayLike<number>, mask: Mask, shape: Triple, spacing: Triple, tolerance: number): SurfaceScores {
  const box = boxOf([predicted, truth], mask, shape);
  if (box === undefined) return NOWHERE;
  const [a, b] = [surfaceIn(box, predicted, mask, shape), surfaceIn(box, truth, mask, shape)];
  if (a.length === 0 || b.length === 0) return MISSED;
  const [there, back] = [distances(a, b, box.size, spacing), distances(b, a, box.size, spacing)];
  const all = new Float64Array(there.length + back.length);
  all.set(there);
  all.set(back, there.length);
  all.sort();
  let sum = 0;
  let near = 0;
  for (const one of all) {
    sum += one;
    if (one <= tolerance) near++;
  }
  return {
    hd: all[all.length - 1] ?? 0,
    hd95: Math.max(percentile(there.sort(), 0.95), percentile(back.sort(), 0.95)),
    hd95Pooled: percentile(all, 0.95),
    assd: sum / all.length,
    nsd: near / all.length,
  };
}

interface Box {
  readonly first: Triple;
  readonly size: Triple;
}

/** The smallest box with all voxels of a mask in any of the maps; undefined where none has it. */
function boxOf(maps: readonly ArrayLike<number>[], mask: Mask, shape: Triple): Box | undefined {
  let [z0, y0, x0] = shape;
  let [z1, y1, x1] = [-1, -1, -1];
  const [depth, height, width] = shape;
  for (const map of maps) {
    for (let z = 0, at = 0; z < depth; z++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++, at++) {
      if (mask[map[at] ?? 0] !== 1) continue;
      if (z < z0) z0 = z;
      if (z > z1) z1 = z;
      if (y < y0) y0 = y;
      if (y > y1) y1 = y;
      if (x < x0) x0 = x;
      if (x > x1) x1 = x;
    }
  }
  return z1 < 0 ? undefined : { first: [z0, y0, x0], size: [z1 - z0 + 1, y1 - y0 + 1, x1 - x0 + 1] };
}

/** Offsets within the box of the surface of a mask. */
function surfaceIn({ first, size }: Box, map: ArrayLike<number>, mask: Mask, shape: Triple): Int32Array {
  const [, height, width] = shape;
  const within = (z: number, y: number, x: number): boolean =>
    z >= 0 && y >= 0 && x >= 0 && z < shape[0] && y < height && x < width && mask[map[(z * height + y) * width + x] ?? 0] === 1;
  const found: number[] = [];
  for (let k = 0, at = 0; k < size[0]; k++) for (let j = 0; j < size[1]; j++) for (let i = 0; i < size[2]; i++, at++) {
    const [z, y, x] = [first[0] + k, first[1] + j, first[2] + i];
    if (!within(z, y, x)) continue;
    if (within(z - 1, y, x) && within(z + 1, y, x) && within(z, y - 1, x) && within(z, y + 1, x) && within(z, y, x - 1) && within(z, y, x + 1)) continue;
    found.push(at);
  }
  return Int32Array.from(found);
}

/** From each voxel of one surface to the nearest of the other. */
function distances(from: Int32Array, to: Int32Array, size: Triple, spacing: Triple): Float64Array {
  const squares = squaredDistances(to, size, spacing);
  return Float64Array.from(from, (at) => Math.sqrt(squares[at] ?? Infinity));
}

/** Of sorted values, with linear interpolation between neighbours. */
function percentile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const [a, b] = [sorted[low] ?? 0, sorted[Math.min(low + 1, sorted.length - 1)] ?? 0];
  return a + (b - a) * (place - low);
}
