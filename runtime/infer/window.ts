// Predicts a whole volume window by window and blends what the windows say.

import { invariant } from "../../compiler/report/diagnostic.ts";
import { cropInto } from "../data/crop.ts";
import { voxels } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import { logitsAt, sharesAt } from "./decide.ts";
import { importance, steppedStarts, tileStarts } from "./tiles.ts";

/** Runs the network once: windows [B, C, D, H, W] in, logits [B, K, D, H, W] out. Every call has all B windows. A guide is channel C. */
export type RunWindows = (windows: Float32Array) => Promise<Float32Array>;

/**
 * `gaussian`: windows are evenly spread, probabilities are summed with gaussian weights, as nnU-Net does. `uniform`: windows stand at
 * equal steps and logits are summed as they are, as MONAI does.
 */
export type Blending = "gaussian" | "uniform";

export interface WindowOptions {
  /** [D, H, W] of a window. */
  readonly patch: Triple;
  /** Share of a window that its neighbour covers too, 0 to less than 1. */
  readonly overlap: number;
  /** By a gaussian unless said otherwise. */
  readonly blend?: Blending | undefined;
  /** Windows per run. */
  readonly batch: number;
  readonly channels: number;
  readonly classes: number;
  /** Values of the network per voxel: as many as classes, or one less (see `decide.ts`). */
  readonly outputs?: number;
  /** Fills one more channel, that of the window which begins at `start`, into `windows` at `at`. */
  readonly guide?: ((start: Triple, windows: Float32Array, at: number) => void) | undefined;
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Labels [D, H, W] of an image [C, D, H, W]: per voxel the class with the most probability, summed over all windows
 * that see it with their gaussian weights; or with the largest sum of logits. The sum need not be divided by the weights, as that changes no order.
 *
 * Only as many slices as a window is deep are held at a time: windows come in order of their first slice, and a slice
 * that no later window reaches is decided and forgotten.
 */
export async function predictVolume(image: Float32Array, shape: Triple, options: WindowOptions, run: RunWindows): Promise<Uint8Array> {
  const { patch, batch, channels, classes, guide, blend: by = "gaussian" } = options;
  const outputs = options.outputs ?? classes;
  invariant(image.length === channels * voxels(shape), () => `an image of ${image.length} values for ${channels} x ${shape.join(" x ")}`);
  invariant(options.overlap >= 0 && options.overlap < 1, () => `an overlap of ${options.overlap}`);
  invariant(classes >= 1 && classes <= 256, () => `${classes} classes`);
  const starts = allStarts(shape, patch, 1 - options.overlap, by);
  const blend = new Blend(shape, patch, outputs, classes, by);
  const size = voxels(patch);
  const whole = voxels(shape);
  const all = channels + (guide === undefined ? 0 : 1);
  const windows = new Float32Array(batch * all * size);
  options.progress?.(0, starts.length);
  for (let first = 0; first < starts.length; first += batch) {
    const group = starts.slice(first, first + batch);
    windows.fill(0);
    group.forEach((start, n) => {
      for (let channel = 0; channel < channels; channel++) {
        cropInto(image.subarray(channel * whole, (channel + 1) * whole), shape, start, patch, windows, (n * all + channel) * size);
      }
      guide?.(start, windows, (n * all + channels) * size);
    });
    const logits = await run(windows);
    invariant(logits.length === batch * outputs * size, () => `${logits.length} logits for ${batch} x ${outputs} x ${patch.join(" x ")}`);
    group.forEach((start, n) => blend.add(start, logits.subarray(n * outputs * size, (n + 1) * outputs * size)));
    options.progress?.(Math.min(first + batch, starts.length), starts.length);
  }
  return blend.finish();
}

/** First voxels of all windows, ordered by slice, then row, then column; negative where the image is padded. */
export function allStarts(shape: Triple, patch: Triple, step: number, by: Blending = "gaussian"): readonly Triple[] {
  const starts = by === "uniform" ? steppedStarts : tileStarts;
  // The odd voxel of the padding goes to the end.
  const along = (axis: 0 | 1 | 2): readonly number[] =>
    shape[axis] < patch[axis] ? [-Math.floor((patch[axis] - shape[axis]) / 2)] : starts(shape[axis], patch[axis], step);
  const [rows, columns] = [along(1), along(2)];
  return along(0).flatMap((z) => rows.flatMap((y) => columns.map((x): Triple => [z, y, x])));
}

/** Sums weighted probabilities in a ring of slices. */
class Blend {
  readonly #shape: Triple;
  readonly #patch: Triple;
  readonly #outputs: number;
  readonly #classes: number;
  readonly #votes: typeof sharesAt;
  readonly #weights: Float32Array;
  /** [ring slice, class, H, W]. */
  readonly #sums: Float32Array;
  readonly #labels: Uint8Array;
  #decided = 0;

  constructor(shape: Triple, patch: Triple, outputs: number, classes: number, by: Blending) {
    this.#shape = shape;
    this.#patch = patch;
    this.#outputs = outputs;
    this.#classes = classes;
    this.#votes = by === "uniform" ? logitsAt : sharesAt;
    this.#weights = by === "uniform" ? new Float32Array(voxels(patch)).fill(1) : importance(patch);
    this.#sums = new Float32Array(Math.min(patch[0], shape[0]) * classes * shape[1] * shape[2]);
    this.#labels = new Uint8Array(voxels(shape));
  }

  add(start: Triple, logits: Float32Array): void {
    while (this.#decided < start[0]) this.#decide();
    const [depth, height, width] = this.#shape;
    const [patchDepth, patchHeight, patchWidth] = this.#patch;
    const classes = this.#classes;
    const size = voxels(this.#patch);
    const plane = height * width;
    const ring = Math.min(patchDepth, depth);
    const shares = new Float64Array(classes);
    const [weights, sums] = [this.#weights, this.#sums];
    for (let z = Math.max(0, -start[0]); z < Math.min(patchDepth, depth - start[0]); z++) {
      const slice = ((z + start[0]) % ring) * classes * plane;
      for (let y = Math.max(0, -start[1]); y < Math.min(patchHeight, height - start[1]); y++) {
        const left = Math.max(0, -start[2]);
        const right = Math.min(patchWidth, width - start[2]);
        let from = (z * patchHeight + y) * patchWidth + left;
        let to = slice + (y + start[1]) * width + start[2] + left;
        for (let x = left; x < right; x++, from++, to++) {
          this.#votes(logits, from, size, this.#outputs, classes, shares);
          const weight = weights[from] ?? 0;
          for (let k = 0; k < classes; k++) sums[to + k * plane] = (sums[to + k * plane] ?? 0) + weight * (shares[k] ?? 0);
        }
      }
    }
  }

  finish(): Uint8Array {
    while (this.#decided < this.#shape[0]) this.#decide();
    return this.#labels;
  }

  #decide(): void {
    const [depth, height, width] = this.#shape;
    const plane = height * width;
    const slice = (this.#decided % Math.min(this.#patch[0], depth)) * this.#classes * plane;
    for (let n = 0; n < plane; n++) {
      let best = 0;
      let most = this.#sums[slice + n] ?? 0;
      for (let k = 1; k < this.#classes; k++) {
        const sum = this.#sums[slice + k * plane + n] ?? 0;
        if (sum > most) [best, most] = [k, sum];
      }
      this.#labels[this.#decided * plane + n] = best;
    }
    this.#sums.fill(0, slice, slice + this.#classes * plane);
    this.#decided++;
  }
}
