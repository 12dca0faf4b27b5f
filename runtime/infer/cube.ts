// Predicts one cube of an image at the network's own resolution and lays the result back on the image's grid.

import { invariant } from "../../compiler/report/diagnostic.ts";
import type { Box } from "../data/long-axis.ts";
import { clickMap } from "../data/click.ts";
import { pasteBox } from "../data/resize.ts";
import { resizedImage, resizedSpacing } from "../data/samples.ts";
import { voxels } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import { sharesAt } from "./decide.ts";
import type { RunWindows } from "./window.ts";

export interface CubeOptions {
  /** [D, H, W] that the network takes: the cube is resized to it. */
  readonly patch: Triple;
  /** Samples per run; only the first is used. */
  readonly batch: number;
  readonly channels: number;
  readonly classes: number;
  /** Values of the network per voxel. */
  readonly outputs: number;
  /** Millimetres along D, H, W of the image. */
  readonly spacing: Triple;
  /** The clicked voxel of the image, where the network sees one. */
  readonly click: Triple | undefined;
}

/**
 * Labels [D, H, W] of an image [C, D, H, W] from the cube `box` alone, background outside: the probabilities of the
 * classes are resized to the box trilinearly, then the largest wins (of independent targets, one above a half).
 */
export async function predictCube(image: Float32Array, shape: Triple, box: Box, options: CubeOptions, run: RunWindows): Promise<Uint8Array> {
  const { patch, batch, channels, classes, outputs, spacing, click } = options;
  const size = voxels(patch);
  const input = new Float32Array(batch * (channels + (click === undefined ? 0 : 1)) * size);
  resizedImage(image, channels, shape, box, patch, input);
  if (click !== undefined) clickMap(clickIn(box, click, patch), patch, resizedSpacing(box, spacing, patch), input, channels * size);
  const logits = await run(input);
  invariant(logits.length === batch * outputs * size, () => `${logits.length} logits for ${batch} x ${outputs} x ${patch.join(" x ")}`);
  const shares = new Float32Array(classes * size);
  const one = new Float64Array(classes);
  for (let n = 0; n < size; n++) {
    sharesAt(logits, n, size, outputs, classes, one);
    for (let k = 0; k < classes; k++) shares[k * size + n] = one[k] ?? 0;
  }
  const labels = new Uint8Array(voxels(shape));
  const most = new Float32Array(voxels(shape));
  for (let k = 0; k < classes; k++) {
    pasteBox(shares.subarray(k * size, (k + 1) * size), patch, box, shape, (at, value) => {
      if (Math.fround(value) <= (most[at] ?? 0)) return;
      most[at] = value;
      labels[at] = k;
    });
  }
  return labels;
}

/** Where a voxel of the image lies in the cube once resized. */
function clickIn(box: Box, click: Triple, patch: Triple): Triple {
  const along = (axis: 0 | 1 | 2): number => ((click[axis] - box.start[axis] + 0.5) * patch[axis]) / box.size[axis] - 0.5;
  return [along(0), along(1), along(2)];
}
