// Where the windows of a sliding prediction lie, and how much each of their voxels counts.

import type { Triple } from "../data/volume.ts";
import { roundHalfEven } from "../data/patches.ts";

/**
 * First voxels of the windows along one axis: evenly spread, neighbours at most `patch × step` apart,
 * the last one flush with the border. One window at 0 when the axis is no longer than the patch.
 */
export function tileStarts(size: number, patch: number, step: number): readonly number[] {
  const last = Math.max(0, size - patch);
  const count = Math.ceil(last / (patch * step)) + 1;
  if (count === 1) return [0];
  return Array.from({ length: count }, (_, n) => roundHalfEven((last / (count - 1)) * n));
}

/**
 * As `tileStarts`, but neighbours are exactly `patch × step` apart, rounded down, and only the last window moves back to the border.
 */
export function steppedStarts(size: number, patch: number, step: number): readonly number[] {
  const last = Math.max(0, size - patch);
  const stride = Math.max(1, Math.trunc(patch * step));
  return Array.from({ length: Math.ceil(last / stride) + 1 }, (_, n) => Math.min(n * stride, last));
}

/**
 * The weight of every voxel of a window: a gaussian of an eighth of the patch along each axis, 1 in the middle,
 * cut off at four deviations; what is cut off gets the smallest weight that is left.
 */
export function importance(patch: Triple): Float32Array {
  const [along0, along1, along2] = [bell(patch[0]), bell(patch[1]), bell(patch[2])];
  const out = new Float32Array(patch[0] * patch[1] * patch[2]);
  let at = 0;
  let least = 1;
  for (const a of along0) for (const b of along1) for (const c of along2) {
    const weight = Math.fround(a * b * c);
    if (weight > 0 && weight < least) least = weight;
    out[at++] = weight;
  }
  return out.map((weight) => (weight === 0 ? least : weight));
}

function bell(size: number): Float64Array {
  const sigma = size / 8;
  const radius = Math.floor(4 * sigma + 0.5);
  const middle = Math.floor(size / 2);
  return Float64Array.from({ length: size }, (_, n) => {
    const away = Math.abs(n - middle);
    return away > radius ? 0 : Math.exp(-0.5 * (away / sigma) ** 2);
  });
}
