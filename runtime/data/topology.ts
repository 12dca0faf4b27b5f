// nnU-Net's network for a spacing and a patch: how often each axis is halved, with which kernels, and what that takes.

/** Depth and kernels of a U-Net; lists go from the finest stage to the coarsest. Axes are D, H, W, or H, W of a network for slices. */
export interface Topology {
  /** Of each stage's first convolution; the first stage has 1. */
  readonly strides: readonly (readonly number[])[];
  readonly kernels: readonly (readonly number[])[];
  /** The patch, enlarged to what the halvings divide. */
  readonly patch: readonly number[];
  readonly divisor: readonly number[];
}

/** No axis is halved to fewer points than this. */
const LEAST = 4;

/** Halves, stage by stage, the axes whose spacing is within twice the finest; an axis gets kernels of 3 once it is within that. */
export function topologyOf(spacing: readonly number[], patch: readonly number[]): Topology {
  let axes = spacing.map((step, axis) => ({ step, size: patch[axis] ?? 1, kernel: 1, divisor: 1 }));
  const strides: number[][] = [axes.map(() => 1)];
  const kernels: number[][] = [];
  for (;;) {
    const large = axes.filter(({ size }) => size >= 2 * LEAST);
    const finest = Math.min(...large.map(({ step }) => step));
    const halved = large.filter(({ step }) => step / finest < 2);
    const [only] = halved;
    if (only === undefined || (halved.length === 1 && only.size < 3 * LEAST)) break;
    const least = Math.min(...axes.map(({ step }) => step));
    const stride = axes.map((one) => (halved.includes(one) ? 2 : 1));
    axes = axes.map(({ step, size, kernel, divisor }, axis) => {
      const by = stride[axis] ?? 1;
      return { step: step * by, size: Math.ceil(size / by), kernel: step / least < 2 ? 3 : kernel, divisor: divisor * by };
    });
    kernels.push(axes.map(({ kernel }) => kernel));
    strides.push(stride);
  }
  const divisor = axes.map((one) => one.divisor);
  const padded = divisor.map((by, axis) => Math.ceil((patch[axis] ?? 1) / by) * by);
  return { strides, kernels: [...kernels, axes.map(() => 3)], patch: padded, divisor };
}

/** Channels of a stage: 32, doubled at every further one, at most 320, or 512 of a network for slices. */
export function featuresOf({ strides, patch }: Pick<Topology, "strides" | "patch">): readonly number[] {
  return strides.map((_, n) => Math.min(patch.length === 2 ? 512 : 320, 32 * 2 ** n));
}

/** Convolutions per stage, on the way down and on the way up. */
export const CONVOLUTIONS = 2;

/** Values that all convolutions of nnU-Net's plain U-Net make of one patch: its measure of memory. */
export function featureValues(topology: Topology, classes: number): number {
  const features = featuresOf(topology);
  let size = topology.patch;
  let sum = 0;
  topology.strides.forEach((stride, stage) => {
    size = size.map((points, axis) => Math.floor(points / (stride[axis] ?? 1)));
    const values = (features[stage] ?? 0) * size.reduce((a, b) => a * b);
    // On the way up each stage but the coarsest has its convolutions and the transposed one before them.
    sum += values * (stage === topology.strides.length - 1 ? CONVOLUTIONS : 2 * CONVOLUTIONS + 1);
  });
  return sum + classes * topology.patch.reduce((a, b) => a * b);
}
