// Scores of evaluated cases as files: nnU-Net's summary.json, and CSV.

import { meanScores, scoresOf, type Counts } from "../train/metrics.ts";
import { SURFACE_SCORES, type SurfaceScores } from "./surface.ts";

/** One evaluated case; `counts` begins with the background. */
export interface CaseCounts {
  readonly name: string;
  readonly predicted: string;
  readonly truth: string;
  readonly counts: readonly Counts[];
  /** Of one voxel, in cubic millimetres. */
  readonly volume: number;
  /** As `counts`; undefined where surfaces were not asked for. */
  readonly surfaces?: readonly SurfaceScores[] | undefined;
}

/** What is scored: a class, or a region of several. */
export interface Scored {
  readonly name: string;
  /** Its values in label maps. */
  readonly values: readonly number[];
}

type Entry = Readonly<Record<string, number | null>>;

/** What the distances are called in files. */
const SURFACE_KEYS: Readonly<Record<(typeof SURFACE_SCORES)[number], string>> = { hd: "HD", hd95: "HD95", hd95Pooled: "HD95_pooled", assd: "ASSD", nsd: "NSD" };

function entryOf({ counts, surfaces, volume }: CaseCounts, k: number): Entry {
  const { hits, falseAlarms, misses, rest } = counts[k] ?? { hits: 0, falseAlarms: 0, misses: 0, rest: 0 };
  const { dice, iou, precision, recall } = scoresOf({ hits, falseAlarms, misses, rest });
  const surface = surfaces?.[k];
  return {
    Dice: dice, IoU: iou, Precision: precision, Recall: recall, TP: hits, FP: falseAlarms, FN: misses, TN: rest, n_pred: hits + falseAlarms, n_ref: hits + misses,
    ml_pred: ((hits + falseAlarms) * volume) / 1000, ml_ref: ((hits + misses) * volume) / 1000,
    ...(surface === undefined ? {} : Object.fromEntries(SURFACE_SCORES.map((name) => [SURFACE_KEYS[name], surface[name]]))),
  };
}

function meanEntry(entries: readonly Entry[]): Entry {
  return meanScores(Object.keys(entries[0] ?? {}), entries);
}

/** nnU-Net's key of a class is its value, that of a region the tuple of its values as Python shows it. */
function keyOf({ values }: Scored): string {
  return values.length === 1 ? String(values[0]) : `(${values.join(", ")})`;
}

/** The text of nnU-Net's summary.json with further scores besides; null is what is not defined, "Infinity" a distance to nothing. */
export function summaryJson(cases: readonly CaseCounts[], scored: readonly Scored[]): string {
  const foreground = scored.map((one, k) => ({ key: keyOf(one), k })).slice(1);
  const entries = cases.map((one) => new Map(foreground.map(({ key, k }) => [key, entryOf(one, k)])));
  const perClass = foreground.map(({ key }) => [key, meanEntry(entries.map((of) => of.get(key) ?? {}))] as const);
  const summary = {
    foreground_mean: meanEntry(perClass.map(([, entry]) => entry)),
    labels: Object.fromEntries(scored.map((one) => [keyOf(one), one.name])),
    mean: Object.fromEntries(perClass),
    metric_per_case: cases.map((one, n) => ({ metrics: Object.fromEntries(entries[n] ?? []), prediction_file: one.predicted, reference_file: one.truth })),
  };
  return JSON.stringify(summary, (_, value: unknown) => (value === Infinity ? "Infinity" : value), 2);
}

/** A line per case and class, after one with the names of the columns; empty is what is not defined, inf a distance to nothing. */
export function summaryCsv(cases: readonly CaseCounts[], scored: readonly Scored[]): string {
  const rows = cases.flatMap((one) => scored.slice(1).map((of, n) => ({ case: one.name, label: keyOf(of), class: of.name, ...entryOf(one, n + 1) })));
  const header = Object.keys(rows[0] ?? {});
  const field = (value: string | number | null): string => {
    const text = value === null ? "" : value === Infinity ? "inf" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows.map((row) => Object.values(row))].map((fields) => fields.map(field).join(",")).join("\n");
}
