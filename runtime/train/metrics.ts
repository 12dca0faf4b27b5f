// Overlap of a predicted and a true label map, per class, case and on average.

import { invariant } from "../../compiler/report/diagnostic.ts";

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

/** Values of label maps that count as one: those of a class, or of a region of several. Only values up to 255 are in any. */
export type Values = readonly number[];

/** Counts for the classes 0 ..< `classes`; values beyond are nobody's. */
export function countOverlap(predicted: ArrayLike<number>, truth: ArrayLike<number>, classes: number, ignore?: number): readonly Counts[] {
  return countRegions(predicted, truth, Array.from({ length: classes }, (_, k) => [k]), ignore);
}

/** Counts for regions; voxels whose truth is `ignore` are not looked at. */
export function countRegions(predicted: ArrayLike<number>, truth: ArrayLike<number>, regions: readonly Values[], ignore?: number): readonly Counts[] {
  invariant(predicted.length === truth.length, () => `${predicted.length} predicted voxels for ${truth.length}`);
  // How often each value is predicted where each is true: one look at every voxel, however many regions there are.
  const together = new Float64Array(256 * 256);
  let seen = 0;
  for (let n = 0; n < truth.length; n++) {
    const t = truth[n] ?? 0;
    if (t === ignore) continue;
    const p = predicted[n] ?? 0;
    seen++;
    if (p < 256 && t < 256) together[256 * p + t] = (together[256 * p + t] ?? 0) + 1;
  }
  const [ofPrediction, ofTruth] = [new Float64Array(256), new Float64Array(256)];
  together.forEach((count, at) => {
    const [p, t] = [at >> 8, at & 255];
    ofPrediction[p] = (ofPrediction[p] ?? 0) + count;
    ofTruth[t] = (ofTruth[t] ?? 0) + count;
  });
  return regions.map((values) => {
    let [hits, inPrediction, inTruth] = [0, 0, 0];
    for (const p of values) {
      inPrediction += ofPrediction[p] ?? 0;
      inTruth += ofTruth[p] ?? 0;
      for (const t of values) hits += together[256 * p + t] ?? 0;
    }
    return { hits, falseAlarms: inPrediction - hits, misses: inTruth - hits, rest: seen - inPrediction - inTruth + hits };
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

/** The mean of what is not null, infinite where one is; null when all are. */
export function meanOf(values: readonly (number | null)[]): number | null {
  const numbers = values.filter((value) => value !== null);
  return numbers.length === 0 ? null : numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

/** Each score averaged over its numbers; those of `names`. */
export function meanScores<Name extends string>(names: readonly Name[], all: readonly Readonly<Record<Name, number | null>>[]): Record<Name, number | null> {
  return Object.fromEntries(names.map((name) => [name, meanOf(all.map((scores) => scores[name]))])) as Record<Name, number | null>;
}
