// nnU-Net's network for a spacing and a patch: how often each axis is halved, with which kernels, and what that takes.

import type { Triple } from "./volume.ts";

/** Depth and kernels of a U-Net; lists go from the finest stage to the coarsest, axes are D, H, W. */
export interface Topology {
  /** Of each stage's first convolution; the first stage has 1. */
  readonly strides: readonly Triple[];
  readonly kernels: readonly Triple[];
  /** The patch, enlarged to what the halvings divide. */
  readonly patch: Triple;
  readonly divisor: Triple;
}

const axes = [0, 1, 2] as const;

/** No axis is halved to fewer points than this. */
const LEAST = 4;

/** Halves, stage by stage, the axes whose spacing is within twice the finest; an axis gets kernels of 3 once it is within that. */
export function topologyOf(spacing: Triple, patch: Triple): Topology {
  const step: [number, number, number] = [...spacing];
  const size: [number, number, number] = [...patch];
  const kernel: [number, number, number] = [1, 1, 1];
  const halvings: [number, number, number] = [0, 0, 0];
  const strides: Triple[] = [[1, 1, 1]];
  const kernels: Triple[] = [];
  for (;;) {
    const large = axes.filter((axis) => size[axis] >= 2 * LEAST);
    const finest = Math.min(...large.map((axis) => step[axis]));
    const halved = large.filter((axis) => step[axis] / finest < 2);
    const [only] = halved;
    if (only === undefined || (halved.length === 1 && size[only] < 3 * LEAST)) break;
    for (const axis of axes) if (step[axis] / Math.min(...step) < 2) kernel[axis] = 3;
    kernels.push([...kernel]);
    for (const axis of halved) {
      halvings[axis]++;
      step[axis] *= 2;
      size[axis] = Math.ceil(size[axis] / 2);
    }
    const stride = (axis: 0 | 1 | 2): number => (halved.includes(axis) ? 2 : 1);
    strides.push([stride(0), stride(1), stride(2)]);
  }
  const divisor: Triple = [2 ** halvings[0], 2 ** halvings[1], 2 ** halvings[2]];
  const padded = (axis: 0 | 1 | 2): number => Math.ceil(patch[axis] / divisor[axis]) * divisor[axis];
  return { strides, kernels: [...kernels, [3, 3, 3]], patch: [padded(0), padded(1), padded(2)], divisor };
}

/** Channels of a stage: 32, doubled at every further one, at most 320. */
export function featuresOf(stages: number): readonly number[] {
  return Array.from({ length: stages }, (_, n) => Math.min(320, 32 * 2 ** n));
}

/** Convolutions per stage, on the way down and on the way up. */
export const CONVOLUTIONS = 2;

/** Values that all convolutions of nnU-Net's plain U-Net make of one patch: its measure of memory. */
export function featureValues({ strides, patch }: Topology, classes: number): number {
  const features = featuresOf(strides.length);
  const points: number[] = [];
  let size = patch;
  let sum = 0;
  strides.forEach((stride, stage) => {
    const smaller = (axis: 0 | 1 | 2): number => Math.floor(size[axis] / stride[axis]);
    size = [smaller(0), smaller(1), smaller(2)];
    points.push(size[0] * size[1] * size[2]);
    sum += CONVOLUTIONS * (features[stage] ?? 0) * (points[stage] ?? 0);
  });
  // On the way up each stage has its convolutions and the transposed one before them; the last one the classes too.
  for (let stage = 0; stage < strides.length - 1; stage++) sum += (CONVOLUTIONS + 1) * (features[stage] ?? 0) * (points[stage] ?? 0);
  return sum + classes * (points[0] ?? 0);
}
