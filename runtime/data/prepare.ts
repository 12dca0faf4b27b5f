// A case as a network sees it: cut to what is not zero, on a common scale of intensities, on the spacing of the run; and the way back.

import type { Case } from "./case.ts";
import { normalise, type Fingerprint } from "./fingerprint.ts";
import type { Box } from "./long-axis.ts";
import { cutImage, cutLabel, nonzeroBox, nonzeroMask, wholeBox } from "./nonzero.ts";
import { regrid, resampleImage, resampleLabels, type Regrid } from "./resample.ts";
import { voxels, type Triple } from "./volume.ts";

/** Where a prepared image lies in the image it was made of. */
export interface Place {
  /** [D, H, W] of the whole image. */
  readonly shape: Triple;
  /** The part of it that was kept. */
  readonly box: Box;
  /** From that part to what the network sees. */
  readonly way: Regrid;
}

/**
 * Prepares a case in nnU-Net's order: cut, intensities, spacing. The result's shape and spacing are its own; its affine and stored
 * grid remain those of the file.
 */
export function prepareCase(one: Case, fingerprint: Fingerprint): { readonly prepared: Case; readonly place: Place } {
  const box = fingerprint.crop === true ? nonzeroBox(one.image, one.shape) : wholeBox(one.shape);
  const cut = cutImage(one.image, one.shape, box);
  const masked = fingerprint.channels.some((channel) => channel.masked === true);
  const scaled = normalise(cut, fingerprint, masked ? nonzeroMask(cut, box.size) : undefined);
  const target = fingerprint.target ?? one.spacing;
  const way = regrid(box.size, one.spacing, target);
  const size = voxels(way.to);
  const whole = voxels(box.size);
  let image = scaled;
  if (way.to.some((extent, axis) => extent !== box.size[axis])) {
    image = new Float32Array(one.channels * size);
    for (let channel = 0; channel < one.channels; channel++) image.set(resampleImage(scaled.subarray(channel * whole, (channel + 1) * whole), way), channel * size);
  }
  const label = one.label === undefined ? undefined : resampleLabels(cutLabel(one.label, one.shape, box), way);
  return { prepared: { ...one, image, label, shape: way.to, spacing: target }, place: { shape: one.shape, box, way } };
}

/** The place in a prepared image of a voxel [D, H, W] of the whole one; fractions and places outside are possible. */
export function inPrepared({ box, way }: Place, voxel: Triple): Triple {
  const along = (axis: 0 | 1 | 2): number => ((voxel[axis] - box.start[axis] + 0.5) * way.to[axis]) / way.from[axis] - 0.5;
  return [along(0), along(1), along(2)];
}
