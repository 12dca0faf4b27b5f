// What one training case adds to the fingerprint of its data set: geometry, and the intensities under its labels.

import { createHash } from "node:crypto";
import type { Case } from "./case.ts";
import { cutImage, cutLabel, nonzeroBox, wholeBox } from "./nonzero.ts";
import { voxels, type Triple } from "./volume.ts";

/** Intensities of one channel of a case, under its foreground; of all voxels where it has none. */
export interface Intensities {
  readonly count: number;
  readonly mean: number;
  readonly deviation: number;
  readonly min: number;
  readonly max: number;
  /** Values in order, evenly chosen where there are many. */
  readonly sorted: Float32Array;
}

/** The numbers of a case; plain data. */
export interface Measure {
  readonly name: string;
  /** [D, H, W] of what was measured. */
  readonly shape: Triple;
  /** Millimetres along D, H, W. */
  readonly spacing: Triple;
  /** Voxels of that, as a share of the image's. */
  readonly kept: number;
  readonly labelled: boolean;
  /** Equal for equal voxels. */
  readonly digest: string;
  /** Values that the label has. */
  readonly values: readonly number[];
  readonly channels: readonly Intensities[];
}

/** Foreground values looked at per case; more would not move a percentile. */
const SAMPLES = 1_000_000;
/** Values that stand for a case when percentiles are taken over all of them. */
const RANKS = 20_000;

/** Measures a case, cut to what is not zero or whole. */
export function measureCase(one: Case, crop: boolean): Measure {
  const box = crop ? nonzeroBox(one.image, one.shape) : wholeBox(one.shape);
  const image = cutImage(one.image, one.shape, box);
  const label = one.label && cutLabel(one.label, one.shape, box);
  const size = voxels(box.size);
  const values = [...new Set(one.label ?? [])].sort((a, b) => a - b);
  const labelled = label?.some((value) => value > 0) === true;
  const wanted = labelled ? label : undefined;
  return {
    name: one.name, shape: box.size, spacing: one.spacing, kept: size / voxels(one.shape), labelled, values,
    digest: createHash("sha1").update(new Uint8Array(one.image.buffer, one.image.byteOffset, one.image.byteLength)).digest("hex"),
    channels: Array.from({ length: one.channels }, (_, channel) => intensities(image.subarray(channel * size, (channel + 1) * size), wanted)),
  };
}

function intensities(image: Float32Array, label: Uint8Array | undefined): Intensities {
  let [count, sum, min, max] = [0, 0, Infinity, -Infinity];
  for (let n = 0; n < image.length; n++) {
    if (label !== undefined && label[n] === 0) continue;
    const value = image[n] ?? 0;
    count++;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const mean = sum / Math.max(1, count);
  const every = Math.max(1, Math.ceil(count / SAMPLES));
  const chosen = new Float32Array(Math.ceil(count / every));
  let squares = 0;
  for (let n = 0, seen = 0; n < image.length; n++) {
    if (label !== undefined && label[n] === 0) continue;
    const value = image[n] ?? 0;
    squares += (value - mean) ** 2;
    if (seen % every === 0) chosen[seen / every] = value;
    seen++;
  }
  return { count, mean, deviation: Math.sqrt(squares / Math.max(1, count)), min, max, sorted: ranked(chosen.sort()) };
}

function ranked(sorted: Float32Array): Float32Array {
  if (sorted.length <= RANKS) return sorted;
  return Float32Array.from({ length: RANKS }, (_, rank) => sorted[Math.floor(((rank + 0.5) / RANKS) * sorted.length)] ?? 0);
}

/** Percentiles over the values of several cases, each of which counts the same. */
export function pooled(parts: readonly Float32Array[]): Float32Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const all = new Float32Array(parts.length * RANKS);
  parts.forEach((part, n) => {
    for (let rank = 0; rank < RANKS; rank++) all[n * RANKS + rank] = part[Math.floor(((rank + 0.5) / RANKS) * part.length)] ?? 0;
  });
  return all.sort();
}
