// How far the surfaces of a predicted and a true mask lie apart, in millimetres.

import type { Triple } from "../data/volume.ts";
import { voxels } from "../data/volume.ts";

/** Distances between two surfaces; null where a mask is empty. */
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

/**
 * Compares one class of two label maps [D, H, W] whose voxels lie `spacing` millimetres apart. A surface is a mask without its
 * erosion by the cross of six neighbours, where everything outside of the volume counts as background; a distance is that from a
 * surface voxel to the nearest one of the other surface; percentiles are interpolated linearly. `tolerance` is in millimetres.
 */
export function surfaceScores(predicted: ArrayLike<number>, truth: ArrayLike<number>, value: number, shape: Triple, spacing: Triple, tolerance: number): SurfaceScores {
  const box = boxOf([predicted, truth], value, shape);
  if (box === undefined) return NOWHERE;
  const [a, b] = [surfaceIn(box, predicted, value, shape), surfaceIn(box, truth, value, shape)];
  if (a.length === 0 || b.length === 0) return { ...NOWHERE, nsd: 0 };
  const [there, back] = [distances(a, b, box.size, spacing), distances(b, a, box.size, spacing)];
  const all = new Float64Array(there.length + back.length);
  all.set(there);
  all.set(back, there.length);
  all.sort();
  return {
    hd: all[all.length - 1] ?? 0,
    hd95: Math.max(percentile(there.sort(), 0.95), percentile(back.sort(), 0.95)),
    hd95Pooled: percentile(all, 0.95),
    assd: all.reduce((sum, one) => sum + one, 0) / all.length,
    nsd: all.filter((one) => one <= tolerance).length / all.length,
  };
}

interface Box {
  readonly first: Triple;
  readonly size: Triple;
}

/** The smallest box with all voxels of a class in any of the maps; undefined where none has it. */
function boxOf(maps: readonly ArrayLike<number>[], value: number, shape: Triple): Box | undefined {
  const low = [...shape];
  const high = [-1, -1, -1];
  const [depth, height, width] = shape;
  for (const map of maps) {
    for (let z = 0, at = 0; z < depth; z++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++, at++) {
      if (map[at] !== value) continue;
      [z, y, x].forEach((n, axis) => {
        if (n < (low[axis] ?? 0)) low[axis] = n;
        if (n > (high[axis] ?? 0)) high[axis] = n;
      });
    }
  }
  const [a = 0, b = 0, c = 0] = low;
  const [d = 0, e = 0, f = 0] = high;
  return d < 0 ? undefined : { first: [a, b, c], size: [d - a + 1, e - b + 1, f - c + 1] };
}

/** Offsets within the box of the surface of a class. */
function surfaceIn({ first, size }: Box, map: ArrayLike<number>, value: number, shape: Triple): Int32Array {
  const [, height, width] = shape;
  const within = (z: number, y: number, x: number): boolean =>
    z >= 0 && y >= 0 && x >= 0 && z < shape[0] && y < height && x < width && map[(z * height + y) * width + x] === value;
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
  const squares = new Float64Array(voxels(size)).fill(Infinity);
  for (const at of to) squares[at] = 0;
  const strides = [size[1] * size[2], size[2], 1] as const;
  for (const axis of [2, 1, 0] as const) {
    const [length, stride] = [size[axis], strides[axis]];
    const line = new Float64Array(length);
    for (let start = 0; start < squares.length; start++) {
      if (Math.floor(start / stride) % length !== 0) continue;
      for (let n = 0; n < length; n++) line[n] = squares[start + n * stride] ?? Infinity;
      nearestAlong(line, spacing[axis], (n, square) => { squares[start + n * stride] = square; });
    }
  }
  return Float64Array.from(from, (at) => Math.sqrt(squares[at] ?? Infinity));
}

/**
 * The least of `line[q] + (step (n - q))^2` over q, for every n: the lower envelope of parabolas, in linear time (Felzenszwalb and
 * Huttenlocher, Distance transforms of sampled functions, 2012).
 */
function nearestAlong(line: Float64Array, step: number, put: (n: number, square: number) => void): void {
  const roots: number[] = [];
  const begins: number[] = [];
  const height = (q: number): number => (line[q] ?? Infinity) + (step * q) ** 2;
  for (let q = 0; q < line.length; q++) {
    if (line[q] === Infinity) continue;
    let begin = -Infinity;
    for (;;) {
      const last = roots.at(-1);
      if (last === undefined) break;
      begin = (height(q) - height(last)) / (2 * step * step * (q - last));
      if (begin > (begins.at(-1) ?? -Infinity)) break;
      roots.pop();
      begins.pop();
      begin = -Infinity;
    }
    roots.push(q);
    begins.push(begin);
  }
  if (roots.length === 0) return;
  let at = 0;
  for (let n = 0; n < line.length; n++) {
    while (at + 1 < roots.length && (begins[at + 1] ?? Infinity) < n) at++;
    const root = roots[at] ?? 0;
    put(n, (line[root] ?? 0) + (step * (n - root)) ** 2);
  }
}

/** Of sorted values, with linear interpolation between neighbours. */
function percentile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const [a, b] = [sorted[low] ?? 0, sorted[Math.min(low + 1, sorted.length - 1)] ?? 0];
  return a + (b - a) * (place - low);
}
