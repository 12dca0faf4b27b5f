// The spacing that a data set's images are resampled to, by nnU-Net's rule.

import type { Triple } from "./volume.ts";

/** A percentile of sorted values, with linear interpolation between neighbours. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  const at = (percent / 100) * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below] ?? 0;
  return low + (at - below) * ((sorted[below + 1] ?? low) - low);
}

/** A percentile of values in any order. */
export function percentileOf(values: readonly number[], percent: number): number {
  return percentile([...values].sort((a, b) => a - b), percent);
}

/** The median of values in any order. */
export function median(values: readonly number[]): number {
  return percentileOf(values, 50);
}

/** An axis is thick where it is this many times as coarse as the others, and has so many fewer voxels. */
const THICK = 3;

/**
 * The median spacing. Where the median image is thick along one axis, in millimetres and in voxels, that axis takes the tenth percentile of
 * its spacings, but none finer than the other axes.
 */
export function targetSpacing(spacings: readonly Triple[], shapes: readonly Triple[]): Triple {
  const middle = (of: readonly Triple[]): [number, number, number] => [median(of.map((one) => one[0])), median(of.map((one) => one[1])), median(of.map((one) => one[2]))];
  const target = middle(spacings);
  const shape = middle(shapes);
  const worst = target.indexOf(Math.max(...target)) as 0 | 1 | 2;
  const others = ([0, 1, 2] as const).filter((axis) => axis !== worst);
  const finest = Math.max(...others.map((axis) => target[axis]));
  if (target[worst] > THICK * finest && shape[worst] * THICK < Math.min(...others.map((axis) => shape[axis]))) {
    const tenth = percentileOf(spacings.map((one) => one[worst]), 10);
    target[worst] = tenth < finest ? Math.max(finest, tenth) + 1e-5 : tenth;
  }
  return target;
}
