// What a training set looks like in numbers, and the intensity normalisation that follows from it.

import { diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Case } from "./case.ts";
import { caseVoxels } from "./case.ts";
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
}

/** Plain data, kept beside the weights: a prediction needs it as much as they do. */
export interface Fingerprint {
  readonly channels: readonly ChannelFingerprint[];
  /** Medians over the cases, along D, H, W. */
  readonly spacing: Triple;
  readonly shape: Triple;
}

/** Foreground values looked at per case; more would not move a percentile. */
const SAMPLES = 1_000_000;
/** Values that stand for each case when percentiles are taken over all of them. */
const RANKS = 20_000;

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

/**
 * Gathers the fingerprint of the training cases (at least one). Every case that has foreground counts the same,
 * large or small, as in nnU-Net, which draws equally many voxels from each; here nothing is left to chance.
 * Without any foreground all voxels count.
 */
export function fingerprintOf(cases: readonly Case[], channels: readonly string[]): Fingerprint {
  const middle = (value: (one: Case) => number): number => median(cases.map(value));
  const labelled = cases.some((one) => one.label?.some((value) => value > 0));
  return {
    channels: channels.map((name, channel) => {
      const parts = cases.map((one) => sortedValues(one, channel, labelled)).filter((part) => part.length > 0);
      return { name, scheme: schemeOf(name), ...statistics(parts) };
    }),
    spacing: [middle((c) => c.spacing[0]), middle((c) => c.spacing[1]), middle((c) => c.spacing[2])],
    shape: [middle((c) => c.shape[0]), middle((c) => c.shape[1]), middle((c) => c.shape[2])],
  };
}

/** The foreground values of one case, or an even choice of them when they are many, in order. */
function sortedValues(one: Case, channel: number, foregroundOnly: boolean): Float32Array {
  const size = caseVoxels(one);
  const image = one.image.subarray(channel * size, (channel + 1) * size);
  const wanted = (n: number): boolean => !foregroundOnly || (one.label?.[n] ?? 0) > 0;
  let total = 0;
  for (let n = 0; n < size; n++) if (wanted(n)) total++;
  const every = Math.max(1, Math.ceil(total / SAMPLES));
  const values = new Float32Array(Math.ceil(total / every));
  for (let n = 0, seen = 0; n < size; n++) {
    if (!wanted(n)) continue;
    if (seen % every === 0) values[seen / every] = image[n] ?? 0;
    seen++;
  }
  return values.sort();
}

function statistics(parts: readonly Float32Array[]): Omit<ChannelFingerprint, "name" | "scheme"> {
  const each = parts.map(moments);
  const average = (value: (m: Moments) => number): number => each.reduce((sum, m) => sum + value(m), 0) / Math.max(1, each.length);
  const mean = average((m) => m.mean);
  const deviation = Math.sqrt(average((m) => m.deviation ** 2 + (m.mean - mean) ** 2));
  const ranked = parts.length === 1 ? parts[0] ?? new Float32Array() : new Float32Array(parts.length * RANKS);
  if (parts.length !== 1) {
    parts.forEach((part, n) => {
      for (let rank = 0; rank < RANKS; rank++) ranked[n * RANKS + rank] = part[Math.floor(((rank + 0.5) / RANKS) * part.length)] ?? 0;
    });
    ranked.sort();
  }
  return { mean, deviation, low: percentile(ranked, 0.5), high: percentile(ranked, 99.5) };
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

/** A percentile of sorted values, with linear interpolation between neighbours. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  const at = (percent / 100) * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below] ?? 0;
  return low + (at - below) * ((sorted[below + 1] ?? low) - low);
}

function median(values: readonly number[]): number {
  return percentile([...values].sort((a, b) => a - b), 50);
}

/** A new image [C, D, H, W] on the common scale. */
export function normalise(image: Float32Array, fingerprint: Fingerprint): Float32Array {
  const out = new Float32Array(image.length);
  const size = image.length / fingerprint.channels.length;
  fingerprint.channels.forEach((channel, n) => {
    const from = image.subarray(n * size, (n + 1) * size);
    normaliseChannel(from, channel, out.subarray(n * size, (n + 1) * size));
  });
  return out;
}

// A flat channel would divide by zero; it becomes 0 throughout.
const LEAST_DEVIATION = 1e-8;

function normaliseChannel(from: Float32Array, channel: ChannelFingerprint, to: Float32Array): void {
  switch (channel.scheme) {
    case "ct": {
      const { low, high, mean } = channel;
      const scale = 1 / Math.max(channel.deviation, LEAST_DEVIATION);
      from.forEach((value, n) => { to[n] = (Math.min(Math.max(value, low), high) - mean) * scale; });
      return;
    }
    case "zscore": {
      const { mean, deviation } = moments(from);
      const scale = 1 / Math.max(deviation, LEAST_DEVIATION);
      from.forEach((value, n) => { to[n] = (value - mean) * scale; });
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
    facts: [`These are ${names}.`, "Images are not resampled: the network sees these at another scale."],
    hint: "resample them to the common spacing, label with nearest neighbour",
  })];
}

/** Warns of classes that no training label contains: the network cannot learn them. */
export function absentFindings(cases: readonly Case[], classes: readonly string[]): readonly Diagnostic[] {
  const seen = new Set<number>();
  for (const one of cases) for (const value of one.label ?? []) seen.add(value);
  const absent = classes.filter((_, value) => value > 0 && !seen.has(value));
  if (absent.length === 0) return [];
  return [diagnostic("W1056", `no training label contains ${absent.join(", ")}`, { facts: ["The network cannot learn what it never sees."], hint: "take unused classes out of labels in dataset.json" })];
}
