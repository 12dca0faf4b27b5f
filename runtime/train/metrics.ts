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

/** Values of label maps that count as one: those of a class, or of a region of several. */
export type Values = readonly number[];

/** Counts for the classes 0 ..< `classes`; values beyond are nobody's. */
export function countOverlap(predicted: ArrayLike<number>, truth: ArrayLike<number>, classes: number, ignore?: number): readonly Counts[] {
  return countRegions(predicted, truth, Array.from({ length: classes }, (_, k) => [k]), ignore);
}

/** Counts for regions; voxels whose truth is `ignore` are not looked at. */
export function countRegions(predicted: ArrayLike<number>, truth: ArrayLike<number>, regions: readonly Values[], ignore?: number): readonly Counts[] {
  invariant(predicted.length === truth.length, () => `${predicted.length} predicted voxels for ${truth.length}`);
  const { together, ofPrediction, ofTruth, seen } = tally(predicted, truth, ignore);
  return regions.map((values) => {
    let [hits, inPrediction, inTruth] = [0, 0, 0];
    for (const p of values) {
      inPrediction += ofPrediction.get(p) ?? 0;
      inTruth += ofTruth.get(p) ?? 0;
      for (const t of values) hits += together.get(pair(p, t)) ?? 0;
    }
    return { hits, falseAlarms: inPrediction - hits, misses: inTruth - hits, rest: seen - inPrediction - inTruth + hits };
  });
}

const pair = (p: number, t: number): number => 65_536 * p + t;

/** How often each value, whole and below 65536, is predicted where each is true: one look at every voxel, however many regions there are. */
function tally(predicted: ArrayLike<number>, truth: ArrayLike<number>, ignore: number | undefined) {
  const together = new Map<number, number>();
  const [ofPrediction, ofTruth] = [new Map<number, number>(), new Map<number, number>()];
  let seen = 0;
  const add = (to: Map<number, number>, key: number, count: number): void => void to.set(key, (to.get(key) ?? 0) + count);
  // Neighbours mostly have the same label.
  for (let n = 0; n < truth.length; ) {
    const [p, t] = [predicted[n] ?? 0, truth[n] ?? 0];
    const from = n++;
    while (n < truth.length && predicted[n] === p && truth[n] === t) n++;
    if (t === ignore) continue;
    seen += n - from;
    add(ofPrediction, p, n - from);
    add(ofTruth, t, n - from);
    add(together, pair(p, t), n - from);
  }
  return { together, ofPrediction, ofTruth, seen };
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
