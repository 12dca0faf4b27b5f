// Predicts a whole volume window by window, mirrored too where that is wanted.

import { invariant } from "../../compiler/report/diagnostic.ts";
import { cropInto, flipAxis } from "../data/crop.ts";
import { voxels } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import { Ring } from "./ring.ts";
import type { Slices } from "./slices.ts";
import { steppedStarts, tileStarts } from "./tiles.ts";

/**
 * Runs the network once: windows [B, C, D, H, W] in, values [B, K, D, H, W] out, logits where windows are blended uniformly, else
 * probabilities (see `sharesWanted`). Every call has all B windows. A guide is channel C.
 * A second call may come before the first is done; the windows may change when the call's promise is kept.
 */
export type RunWindows = (windows: Float32Array) => Promise<Float32Array>;

/**
 * `gaussian`: windows are evenly spread, probabilities are summed with gaussian weights, as nnU-Net does. `uniform`: windows stand at
 * equal steps and logits are summed as they are, as MONAI does.
 */
export type Blending = "gaussian" | "uniform";

/** Whether networks that are blended so are asked for probabilities; otherwise it is logits. */
export function sharesWanted(blend: Blending): boolean {
  return blend === "gaussian";
}

/** Axes of a volume [D, H, W]. */
export type Axis = 0 | 1 | 2;

export interface WindowOptions {
  /** [D, H, W] of a window. */
  readonly patch: Triple;
  /** Share of a window that its neighbour covers too, 0 to less than 1. */
  readonly overlap: number;
  readonly blend: Blending;
  /** Every window is also seen mirrored along each combination of these axes, and the mean of all counts. */
  readonly mirror: readonly Axis[];
  /** Windows per run. */
  readonly batch: number;
  readonly channels: number;
  readonly classes: number;
  /** Values of the network per voxel: as many as classes, or one less (see `decide.ts`). */
  readonly outputs: number;
  /** Fills one more channel, that of the window which begins at `start`, into `windows` at `at`. */
  readonly guide?: ((start: Triple, windows: Float32Array, at: number) => void) | undefined;
  /** Of all windows in all mirrorings, how many are done. */
  readonly progress?: (done: number, total: number) => void;
}

/** Windows that are run at once, all with the same first slice. */
interface Job {
  readonly starts: readonly Triple[];
  readonly mirrored: readonly Axis[];
}

/**
 * The probabilities of an image [C, D, H, W]: per voxel the mean over all windows that see it with their gaussian weights; or the
 * softmax (of independent targets the sigmoid) of the mean of their logits. Only as many slices as a window is deep are held at a time. While the device computes one
 * window, the one before is added up.
 */
export async function* windowSlices(image: Float32Array, shape: Triple, options: WindowOptions, run: RunWindows): Slices {
  const { patch, batch, channels, classes, outputs, guide, blend, mirror } = options;
  invariant(image.length === channels * voxels(shape), () => `an image of ${image.length} values for ${channels} x ${shape.join(" x ")}`);
  invariant(options.overlap >= 0 && options.overlap < 1, () => `an overlap of ${options.overlap}`);
  invariant(classes >= 1 && classes <= 256, () => `${classes} classes`);
  const starts = allStarts(shape, patch, 1 - options.overlap, blend);
  const ways = mirrorings(mirror);
  const jobs = jobsOf(starts, batch, ways);
  const ring = new Ring({ shape, patch, outputs, classes, blend });
  const size = voxels(patch);
  const whole = voxels(shape);
  const all = channels + (guide === undefined ? 0 : 1);
  const inputs = [new Float32Array(batch * all * size), new Float32Array(batch * all * size)] as const;
  const begin = (job: Job, windows: Float32Array): Promise<Float32Array> => {
    windows.fill(0);
    job.starts.forEach((start, n) => {
      for (let channel = 0; channel < channels; channel++) {
        cropInto(image.subarray(channel * whole, (channel + 1) * whole), shape, start, patch, windows, (n * all + channel) * size);
      }
      guide?.(start, windows, (n * all + channels) * size);
    });
    flipChannels(windows, job.starts.length * all, patch, job.mirrored);
    const values = run(windows);
    // It is awaited later, maybe after another run's; what went wrong is told then.
    values.catch(() => undefined);
    return values;
  };
  const total = starts.length * ways.length;
  let done = 0;
  options.progress?.(done, total);
  let last: { readonly job: Job; readonly values: Promise<Float32Array> } | undefined;
  for (let n = 0; n <= jobs.length; n++) {
    const job = jobs[n];
    const now = job && { job, values: begin(job, n % 2 === 0 ? inputs[0] : inputs[1]) };
    if (last !== undefined) {
      const { starts: group, mirrored } = last.job;
      while (ring.next < (group[0]?.[0] ?? 0)) yield ring.take();
      const values = await last.values;
      invariant(values.length === batch * outputs * size, () => `${values.length} values for ${batch} x ${outputs} x ${patch.join(" x ")}`);
      group.forEach((start, k) => ring.add(start, values.subarray(k * outputs * size, (k + 1) * outputs * size), mirrored));
      done += group.length;
      options.progress?.(done, total);
    }
    last = now;
  }
  while (ring.next < shape[0]) yield ring.take();
}

/** First voxels of all windows, ordered by slice, then row, then column; negative where the image is padded. */
export function allStarts(shape: Triple, patch: Triple, step: number, blend: Blending): readonly Triple[] {
  const starts = blend === "uniform" ? steppedStarts : tileStarts;
  // The odd voxel of the padding goes to the end.
  const along = (axis: Axis): readonly number[] =>
    shape[axis] < patch[axis] ? [-Math.floor((patch[axis] - shape[axis]) / 2)] : starts(shape[axis], patch[axis], step);
  const [rows, columns] = [along(1), along(2)];
  return along(0).flatMap((z) => rows.flatMap((y) => columns.map((x): Triple => [z, y, x])));
}

/** All combinations of axes, the empty one first. */
export function mirrorings(axes: readonly Axis[]): readonly (readonly Axis[])[] {
  return axes.reduce<readonly (readonly Axis[])[]>((ways, axis) => [...ways, ...ways.map((way) => [...way, axis])], [[]]);
}

/** Turns `count` boxes of `size`, one after the other, around along each of the axes, in place. */
export function flipChannels(boxes: Float32Array, count: number, size: Triple, axes: readonly Axis[]): void {
  for (const axis of axes) for (let n = 0; n < count; n++) flipAxis(boxes, n * voxels(size), size, axis);
}

/** A slice is finished when all windows over it were seen in all mirrorings: jobs do not reach over to later first slices. */
function jobsOf(starts: readonly Triple[], batch: number, ways: readonly (readonly Axis[])[]): readonly Job[] {
  const levels = [...new Set(starts.map(([z]) => z))].map((first) => starts.filter(([z]) => z === first));
  return levels.flatMap((level) => Array.from({ length: Math.ceil(level.length / batch) }, (_, n) => level.slice(n * batch, (n + 1) * batch))
    .flatMap((group) => ways.map((mirrored) => ({ starts: group, mirrored }))));
}
