// Overlap of a predicted and a true label map, per class, case and on average.

import { invariant } from "../../compiler/report/diagnostic.ts";
import { SURFACE_SCORES, type SurfaceScores } from "../infer/surface.ts";

/** How often prediction and truth agree and differ on one class. */
export interface Counts {
  readonly hits: number;
  readonly falseAlarms: number;
  readonly misses: number;
  readonly rest: number;
}

/** Scores of one class; null where the class is in neither map (or, for a ratio, where it has no denominator). */
export interface Scores {
  readonly dice: number | null;
  readonly iou: number | null;
  readonly precision: number | null;
  readonly recall: number | null;
}

/** Names of the scores, in the order tables show them. */
export const SCORES = ["dice", "iou", "precision", "recall"] as const;

/** Counts for the classes 0 ..< `classes`; values beyond are nobody's. */
export function countOverlap(predicted: ArrayLike<number>, truth: ArrayLike<number>, classes: number): readonly Counts[] {
  invariant(predicted.length === truth.length, () => `${predicted.length} predicted voxels for ${truth.length}`);
  const hits = new Float64Array(classes);
  const inPrediction = new Float64Array(classes);
  const inTruth = new Float64Array(classes);
  for (let n = 0; n < truth.length; n++) {
    const p = predicted[n] ?? 0;
    const t = truth[n] ?? 0;
    if (p < classes) inPrediction[p] = (inPrediction[p] ?? 0) + 1;
    if (t < classes) inTruth[t] = (inTruth[t] ?? 0) + 1;
    if (p === t && p < classes) hits[p] = (hits[p] ?? 0) + 1;
  }
  return Array.from({ length: classes }, (_, k) => {
    const hit = hits[k] ?? 0;
    const falseAlarms = (inPrediction[k] ?? 0) - hit;
    const misses = (inTruth[k] ?? 0) - hit;
    return { hits: hit, falseAlarms, misses, rest: truth.length - hit - falseAlarms - misses };
  });
}

/** Adds up counts class by class, e.g. over the cases of a validation. */
export function addCounts(a: readonly Counts[], b: readonly Counts[]): readonly Counts[] {
  return a.map((one, k) => {
    const other = b[k] ?? { hits: 0, falseAlarms: 0, misses: 0, rest: 0 };
    return { hits: one.hits + other.hits, falseAlarms: one.falseAlarms + other.falseAlarms, misses: one.misses + other.misses, rest: one.rest + other.rest };
  });
}

/** Dice, intersection over union, precision and recall. */
export function scoresOf({ hits, falseAlarms, misses }: Counts): Scores {
  const ratio = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
  return {
    dice: ratio(2 * hits, 2 * hits + falseAlarms + misses),
    iou: ratio(hits, hits + falseAlarms + misses),
    precision: ratio(hits, hits + falseAlarms),
    recall: ratio(hits, hits + misses),
  };
}

/** The mean of what is a number; null when nothing is. */
export function meanOf(values: readonly (number | null)[]): number | null {
  const numbers = values.filter((value) => value !== null);
  return numbers.length === 0 ? null : numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

/** Each score averaged over its numbers; those of `names`. */
export function meanScores<Name extends string>(names: readonly Name[], all: readonly Readonly<Record<Name, number | null>>[]): Record<Name, number | null> {
  return Object.fromEntries(names.map((name) => [name, meanOf(all.map((scores) => scores[name]))])) as Record<Name, number | null>;
}

/** One evaluated case; `counts` begins with the background. */
export interface CaseCounts {
  readonly name: string;
  readonly predicted: string;
  readonly truth: string;
  readonly counts: readonly Counts[];
  /** As `counts`; undefined where surfaces were not asked for. */
  readonly surfaces?: readonly SurfaceScores[] | undefined;
}

/**
 * nnU-Net's summary.json, with precision, recall and the distances of surfaces besides; `labels` gives the class names.
 */
export function summary(cases: readonly CaseCounts[], classes: readonly string[]): Readonly<Record<string, unknown>> {
  const foreground = classes.map((_, k) => k).slice(1);
  const entries = cases.map((one) => foreground.map((k) => ({ k, entry: entryOf(one.counts[k], one.surfaces?.[k]) })));
  const perClass = foreground.map((k) => ({ k, entry: meanEntry(entries.flatMap((of) => of.filter((one) => one.k === k).map(({ entry }) => entry))) }));
  return {
    foreground_mean: meanEntry(perClass.map(({ entry }) => entry)),
    labels: Object.fromEntries(classes.map((name, k) => [String(k), name])),
    mean: Object.fromEntries(perClass.map(({ k, entry }) => [String(k), entry])),
    metric_per_case: cases.map((one, n) => ({
      metrics: Object.fromEntries((entries[n] ?? []).map(({ k, entry }) => [String(k), entry])),
      prediction_file: one.predicted,
      reference_file: one.truth,
    })),
  };
}

type Entry = Readonly<Record<string, number | null>>;

/** What the distances are called in the file. */
const SURFACE_KEYS: Readonly<Record<(typeof SURFACE_SCORES)[number], string>> = { hd: "HD", hd95: "HD95", hd95Pooled: "HD95_pooled", assd: "ASSD", nsd: "NSD" };

function entryOf(counts: Counts = { hits: 0, falseAlarms: 0, misses: 0, rest: 0 }, surface: SurfaceScores | undefined): Entry {
  const { dice, iou, precision, recall } = scoresOf(counts);
  const { hits, falseAlarms, misses, rest } = counts;
  return {
    Dice: dice, IoU: iou, Precision: precision, Recall: recall, TP: hits, FP: falseAlarms, FN: misses, TN: rest, n_pred: hits + falseAlarms, n_ref: hits + misses,
    ...(surface === undefined ? {} : Object.fromEntries(SURFACE_SCORES.map((name) => [SURFACE_KEYS[name], surface[name]]))),
  };
}

function meanEntry(entries: readonly Entry[]): Entry {
  return meanScores(Object.keys(entries[0] ?? {}), entries);
}
