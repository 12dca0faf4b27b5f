// Probabilities of a volume slice by slice, so that no step holds all of them: sources, means, and the way to another grid.

import { invariant } from "../../compiler/report/diagnostic.ts";
import type { Box } from "../data/long-axis.ts";
import type { Regrid } from "../data/resample.ts";
import { linearTaps, nearestTaps } from "../data/spline.ts";
import type { Taps } from "../data/spline.ts";
import { voxels } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import { winners } from "./decide.ts";
import type { Written } from "./decide.ts";

/**
 * The probabilities of all classes, one slice [K, H, W] of a volume [D, H, W] after the other, from the first to the last.
 * A slice is only good until the next one is asked for.
 */
export type Slices = AsyncGenerator<Float64Array, void, void>;

/** The mean of several predictions of one volume, e.g. by the networks of several folds. */
export async function* averaged(all: readonly Slices[]): Slices {
  let mean = new Float64Array();
  for (;;) {
    for (const [n, slices] of all.entries()) {
      // One after the other: they share a device, and maybe the buffers of the weights.
      const { value, done } = await slices.next();
      if (done === true) return;
      if (mean.length !== value.length) mean = new Float64Array(value.length);
      for (let at = 0; at < value.length; at++) mean[at] = (n === 0 ? 0 : (mean[at] ?? 0)) + (value[at] ?? 0) / all.length;
    }
    yield mean;
  }
}

/** The most probable classes [D, H, W], or what overlapping targets write; `each` gets every slice and its number before it is gone. */
export async function labelsFrom(slices: Slices, shape: Triple, classes: number, each: (slice: Float64Array, z: number) => void = () => {}, written?: Written): Promise<Uint8Array> {
  const labels = new Uint8Array(voxels(shape));
  const plane = shape[1] * shape[2];
  let z = 0;
  for await (const slice of slices) {
    winners(slice, plane, classes, labels, z * plane, written);
    each(slice, z++);
  }
  invariant(z === shape[0], () => `${z} slices of ${shape[0]}`);
  return labels;
}

/** A prediction of a part of a volume: outside of `box`, which may reach beyond the volume, all is background. */
export async function* placed(slices: Slices, box: Box, shape: Triple, classes: number): Slices {
  const plane = shape[1] * shape[2];
  const out = new Float64Array(classes * plane);
  const [, height, width] = box.size;
  const left = Math.max(0, -box.start[2]);
  const right = Math.min(width, shape[2] - box.start[2]);
  const last = box.start[0] + box.size[0] - 1;
  for (let skipped = box.start[0]; skipped < 0; skipped++) await slices.next();
  for (let z = 0; z < shape[0]; z++) {
    out.fill(0).fill(1, 0, plane);
    const inside = z >= box.start[0] && z <= last ? (await slices.next()).value : undefined;
    if (inside instanceof Float64Array && right > left) {
      for (let k = 0; k < classes; k++) for (let y = Math.max(0, -box.start[1]); y < Math.min(height, shape[1] - box.start[1]); y++) {
        const row = (k * height + y) * width;
        out.set(inside.subarray(row + left, row + right), k * plane + (y + box.start[1]) * shape[2] + box.start[2] + left);
      }
    }
    yield out;
  }
  await slices.return();
}

/** The slices of probabilities [K, D, H, W] that are all there. */
export async function* slicesOf(shares: Float64Array, shape: Triple, classes: number): Slices {
  const plane = shape[1] * shape[2];
  const out = new Float64Array(classes * plane);
  for (let z = 0; z < shape[0]; z++) {
    for (let k = 0; k < classes; k++) out.set(shares.subarray((k * shape[0] + z) * plane, (k * shape[0] + z + 1) * plane), k * plane);
    yield out;
  }
}

/**
 * A prediction on one grid brought to another over the same extent: linearly along each axis, centres of voxels at halves and the
 * border repeated; along an axis with thick slices (`apart`) by the nearest one.
 */
export async function* resized(slices: Slices, { from, to, apart }: Regrid, classes: number): Slices {
  const along = (axis: 0 | 1 | 2): Taps => (axis === apart ? nearestTaps : linearTaps)(from[axis], to[axis]);
  const [depth, rows, columns] = [along(0), along(1), along(2)];
  const size = classes * to[1] * to[2];
  // The last two slices that came, at their new extent.
  let [before, after] = [new Float64Array(size), new Float64Array(size)];
  const out = new Float64Array(size);
  let come = 0;
  for (let z = 0; z < to[0]; z++) {
    const [low, high, share] = [depth.low[z] ?? 0, depth.high[z] ?? 0, depth.share[z] ?? 0];
    for (; come <= high; come++) {
      const { value, done } = await slices.next();
      if (done === true) throw new Error(`internal: ${come} slices of ${from[0]}`);
      [before, after] = [after, before];
      resizeSlice(value, from, rows, columns, after);
    }
    const first = low === come - 1 ? after : before;
    for (let at = 0; at < size; at++) out[at] = (1 - share) * (first[at] ?? 0) + share * (after[at] ?? 0);
    yield out;
  }
  await slices.return();
}

/** Channels of a slice [K, H, W] at another height and width. */
function resizeSlice(slice: Float64Array, [, height, width]: Triple, rows: Taps, columns: Taps, into: Float64Array): void {
  for (let k = 0, at = 0; at < into.length; k++) {
    for (let y = 0; y < rows.low.length; y++) {
      const [top, bottom, down] = [(k * height + (rows.low[y] ?? 0)) * width, (k * height + (rows.high[y] ?? 0)) * width, rows.share[y] ?? 0];
      for (let x = 0; x < columns.low.length; x++, at++) {
        const [left, right, over] = [columns.low[x] ?? 0, columns.high[x] ?? 0, columns.share[x] ?? 0];
        const upper = (1 - over) * (slice[top + left] ?? 0) + over * (slice[top + right] ?? 0);
        const lower = (1 - over) * (slice[bottom + left] ?? 0) + over * (slice[bottom + right] ?? 0);
        into[at] = (1 - down) * upper + down * lower;
      }
    }
  }
}
