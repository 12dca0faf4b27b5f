// Predicts one cube of an image at the network's own resolution and lays the result back on the image's grid.

import { invariant } from "../../compiler/report/diagnostic.ts";
import type { Box } from "../data/long-axis.ts";
import { clickMap } from "../data/click.ts";
import { resizedImage, resizedSpacing } from "../data/samples.ts";
import { voxels } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import { independent } from "./decide.ts";
import { placed, resized, slicesOf } from "./slices.ts";
import type { Slices } from "./slices.ts";
import { flipChannels, mirrorings } from "./window.ts";
import type { Axis, RunWindows } from "./window.ts";

export interface CubeOptions {
  /** [D, H, W] that the network takes: the cube is resized to it. */
  readonly patch: Triple;
  /** Samples per run; only the first is used. */
  readonly batch: number;
  readonly channels: number;
  readonly classes: number;
  /** Values of the network per voxel. */
  readonly outputs: number;
  /** The mean over all combinations of these axes counts. */
  readonly mirror: readonly Axis[];
  /** Millimetres along D, H, W of the image. */
  readonly spacing: Triple;
  /** The clicked voxel of the image, where the network sees one. */
  readonly click: Triple | undefined;
}

/**
 * The probabilities of an image [C, D, H, W] from the cube `box` alone, resized back to it trilinearly; outside all is background.
 * `run` gives probabilities.
 */
export async function* cubeSlices(image: Float32Array, shape: Triple, box: Box, options: CubeOptions, run: RunWindows): Slices {
  const { patch, batch, channels, classes, outputs, mirror, spacing, click } = options;
  const size = voxels(patch);
  const all = channels + (click === undefined ? 0 : 1);
  const input = new Float32Array(batch * all * size);
  resizedImage(image, channels, shape, box, patch, input);
  if (click !== undefined) clickMap(clickIn(box, click, patch), patch, resizedSpacing(box, spacing, patch), input, channels * size);
  const alone = independent(outputs, classes);
  // The background of independent targets has a half.
  const shares = new Float64Array(classes * size).fill(alone ? 0.5 : 0, 0, size);
  const ways = mirrorings(mirror);
  for (const way of ways) {
    const windows = input.slice();
    flipChannels(windows, all, patch, way);
    const values = await run(windows);
    invariant(values.length === batch * outputs * size, () => `${values.length} values for ${batch} x ${outputs} x ${patch.join(" x ")}`);
    flipChannels(values, outputs, patch, way);
    for (let from = 0, to = alone ? size : 0; to < shares.length; from++, to++) shares[to] = (shares[to] ?? 0) + (values[from] ?? 0) / ways.length;
  }
  yield* placed(resized(slicesOf(shares, patch, classes), { from: patch, to: box.size, apart: undefined }, classes), box, shape, classes);
}

/** Where a voxel of the image lies in the cube once resized. */
function clickIn(box: Box, click: Triple, patch: Triple): Triple {
  const along = (axis: Axis): number => ((click[axis] - box.start[axis] + 0.5) * patch[axis]) / box.size[axis] - 0.5;
  return [along(0), along(1), along(2)];
}
