// What a training set looks like in numbers, and the intensity normalisation that follows from it.

import { diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Case } from "./case.ts";
import { measureCase, pooled, type Intensities, type Measure } from "./measure.ts";
import { percentile, median, targetSpacing } from "./target.ts";
import { lengthsText } from "./volume.ts";
import type { Triple } from "./volume.ts";

/** How a channel's intensities are brought to a common scale. */
export type Scheme = "ct" | "zscore" | "none" | "unit";

/** Intensities of one channel under the foreground of all training cases. */
export interface ChannelFingerprint {
  readonly name: string;
  readonly scheme: Scheme;
  readonly mean: number;
  readonly deviation: number;
  /** The 0.5 and 99.5 percentiles. */
  readonly low: number;
  readonly high: number;
  /** Whether an image's own mean and deviation are those of its voxels that are not zero, the others staying 0; absent for no. */
  readonly masked?: boolean | undefined;
}

/** Plain data, kept beside the weights: a prediction needs it as much as they do. */
export interface Fingerprint {
  readonly channels: readonly ChannelFingerprint[];
  /** Medians over the cases, along D, H, W. */
  readonly spacing: Triple;
  readonly shape: Triple;
  /** Whether images are cut to the box around what is not zero; absent for no. */
  readonly crop?: boolean | undefined;
  /** The spacing along D, H, W that images are resampled to; absent where they stay as they are. */
  readonly target?: Triple | undefined;
}

/** nnU-Net's rule: the channel's name decides. */
export function schemeOf(channel: string): Scheme {
  switch (channel.toLowerCase()) {
    case "ct":
      return "ct";
    case "nonorm":
      return "none";
    case "rescale_to_0_1":
    case "rescale_0_1":
      return "unit";
    default:
      return "zscore";
  }
}

/** What is made of a data set's images besides their intensities. */
export interface Spacing {
  /** `none`: images keep their own, and are not cut either. */
  readonly spacing: "median" | "none" | Triple;
}

/** The fingerprint of cases in memory (at least one), for images that keep their spacing unless said otherwise. */
export function fingerprintOf(cases: readonly Case[], channels: readonly string[], how: Spacing = { spacing: "none" }): Fingerprint {
  return fingerprintFrom(cases.map((one) => measureCase(one, how.spacing !== "none")), channels, how);
}

/**
 * The fingerprint of the training cases (at least one). Every case that has foreground counts the same, large or small, as in
 * nnU-Net, which draws equally many voxels from each; here nothing is left to chance. Without any foreground all voxels count.
 */
export function fingerprintFrom(measures: readonly Measure[], channels: readonly string[], { spacing: how }: Spacing): Fingerprint {
  const labelled = measures.filter((one) => one.labelled);
  const counted = labelled.length > 0 ? labelled : measures;
  const masked = how !== "none" && median(measures.map(({ kept }) => kept)) < MASKED_BELOW;
  const spacings = measures.map(({ spacing }) => spacing);
  const shapes = measures.map(({ shape }) => shape);
  return {
    channels: channels.map((name, channel) => {
      const scheme = schemeOf(name);
      const parts = counted.flatMap((one) => one.channels.slice(channel, channel + 1));
      return { name, scheme, ...statistics(parts), ...(masked && scheme === "zscore" ? { masked } : {}) };
    }),
    spacing: middle(spacings), shape: middle(shapes),
    ...(how === "none" ? {} : { crop: true, target: how === "median" ? targetSpacing(spacings, shapes) : how }),
  };
}

/** Where cutting to what is not zero leaves less than this share of an image, z-scores are taken of that part alone. */
const MASKED_BELOW = 0.75;

function middle(triples: readonly Triple[]): Triple {
  const along = (axis: 0 | 1 | 2): number => median(triples.map((triple) => triple[axis]));
  return [along(0), along(1), along(2)];
}

function statistics(parts: readonly Intensities[]): Omit<ChannelFingerprint, "name" | "scheme"> {
  const average = (value: (one: Intensities) => number): number => parts.reduce((sum, one) => sum + value(one), 0) / Math.max(1, parts.length);
  const mean = average((one) => one.mean);
  const deviation = Math.sqrt(average((one) => one.deviation ** 2 + (one.mean - mean) ** 2));
  const all = pooled(parts.map((one) => one.sorted));
  return { mean, deviation, low: percentile(all, 0.5), high: percentile(all, 99.5) };
}

interface Moments {
  readonly mean: number;
  readonly deviation: number;
}

function moments(values: Float32Array): Moments {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = values.length === 0 ? 0 : sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, deviation: values.length === 0 ? 0 : Math.sqrt(squares / values.length) };
}

/** A new image [C, D, H, W] on the common scale; `mask` [D, H, W] says what counts in channels that are masked. */
export function normalise(image: Float32Array, fingerprint: Fingerprint, mask?: Uint8Array): Float32Array {
  const out = new Float32Array(image.length);
  const size = image.length / fingerprint.channels.length;
  fingerprint.channels.forEach((channel, n) => {
    const from = image.subarray(n * size, (n + 1) * size);
    normaliseChannel(from, channel, out.subarray(n * size, (n + 1) * size), channel.masked === true ? mask : undefined);
  });
  return out;
}

// A flat channel would divide by zero; it becomes 0 throughout.
const LEAST_DEVIATION = 1e-8;

function normaliseChannel(from: Float32Array, channel: ChannelFingerprint, to: Float32Array, mask: Uint8Array | undefined): void {
  switch (channel.scheme) {
    case "ct": {
      const { low, high, mean } = channel;
      const scale = 1 / Math.max(channel.deviation, LEAST_DEVIATION);
      from.forEach((value, n) => { to[n] = (Math.min(Math.max(value, low), high) - mean) * scale; });
      return;
    }
    case "zscore": {
      const { mean, deviation } = moments(mask === undefined ? from : from.filter((_, n) => mask[n] === 1));
      const scale = 1 / Math.max(deviation, LEAST_DEVIATION);
      from.forEach((value, n) => { to[n] = mask === undefined || mask[n] === 1 ? (value - mean) * scale : 0; });
      return;
    }
    case "unit": {
      const low = from.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
      const high = from.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
      const scale = 1 / Math.max(high - low, LEAST_DEVIATION);
      from.forEach((value, n) => { to[n] = (value - low) * scale; });
      return;
    }
    case "none":
      to.set(from);
      return;
    default:
      channel.scheme satisfies never;
  }
}

/** Warns of cases whose voxels differ in size from the median by more than a hundredth: they are not resampled. */
export function spacingFindings(cases: readonly Pick<Case, "name" | "spacing">[], median: Triple): readonly Diagnostic[] {
  const off = cases.filter((one) => one.spacing.some((step, axis) => Math.abs(step - (median[axis] ?? 0)) > 0.01 * (median[axis] ?? 0)));
  const [first] = off;
  if (first === undefined) return [];
  const xyz = (spacing: Triple): string => lengthsText([...spacing].reverse());
  const names = off.slice(0, 5).map((one) => `${one.name} (${xyz(one.spacing)})`).join(", ") + (off.length > 5 ? ", …" : "");
  return [diagnostic("W1055", `${off.length === 1 ? "a case has" : `${off.length} cases have`} another spacing than ${xyz(median)} mm`, {
    facts: [`These are ${names}.`, "Images are not resampled here: the network sees these at another scale."],
    hint: "`spacing = median` in the run brings all to one spacing",
  })];
}

/** Warns of classes whose values no training label has: the network cannot learn them. */
export function absentFindings(values: Iterable<number>, classes: readonly string[]): readonly Diagnostic[] {
  const seen = new Set(values);
  const absent = classes.filter((_, value) => value > 0 && !seen.has(value));
  if (absent.length === 0) return [];
  return [diagnostic("W1056", `no training label contains ${absent.join(", ")}`, { facts: ["The network cannot learn what it never sees."], hint: "take unused classes out of labels in dataset.json" })];
}
