// Overlap scores against reference numbers and in the corners where they are not defined.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readTensors } from "../../runtime/safetensors.ts";
import { addCounts, countOverlap, meanScores, SCORES, scoresOf, summary } from "../../runtime/train/metrics.ts";
import type { Counts } from "../../runtime/train/metrics.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const present = existsSync(join(golden, "training.json"));
if (!present) console.log(`skipped: ${golden} is not here`);

const none: Counts = { hits: 0, falseAlarms: 0, misses: 0, rest: 0 };

describe.skipIf(!present)("reference numbers", () => {
  it("dice, iou, precision, recall", () => {
    const { metrics } = JSON.parse(readFileSync(join(golden, "training.json"), "utf8")) as { metrics: Readonly<Record<string, number>> };
    const { tensors } = readTensors(join(golden, "training.safetensors"));
    const map = (name: string): number[] => Array.from(tensors.get(`metric/${name}`)?.data ?? [], Number);
    const scores = scoresOf(countOverlap(map("pred"), map("ref"), 2)[1] ?? none);
    for (const name of ["dice", "iou", "precision", "recall"] as const) expect(scores[name]).toBeCloseTo(metrics[name] ?? Number.NaN, 12);
  });
});

describe("counts", () => {
  const counts = countOverlap([0, 1, 1, 2, 0, 2], [0, 1, 2, 2, 1, 0], 4);
  it("per class", () => {
    expect(counts[0]).toEqual({ hits: 1, falseAlarms: 1, misses: 1, rest: 3 });
    expect(counts[1]).toEqual({ hits: 1, falseAlarms: 1, misses: 1, rest: 3 });
    expect(counts[2]).toEqual({ hits: 1, falseAlarms: 1, misses: 1, rest: 3 });
    expect(counts[3]).toEqual({ hits: 0, falseAlarms: 0, misses: 0, rest: 6 });
  });
  it("add up", () => expect(addCounts(counts, counts)[1]).toEqual({ hits: 2, falseAlarms: 2, misses: 2, rest: 6 }));
});

describe("scores without a denominator", () => {
  it("absent from both is not a score", () => expect(scoresOf(none)).toEqual({ dice: null, iou: null, precision: null, recall: null }));
  it("absent from the prediction", () => expect(scoresOf({ ...none, misses: 5 })).toEqual({ dice: 0, iou: 0, precision: null, recall: 0 }));
  it("absent from the truth", () => expect(scoresOf({ ...none, falseAlarms: 5 })).toEqual({ dice: 0, iou: 0, precision: 0, recall: null }));
  it("are left out of means", () => {
    expect(meanScores(SCORES, [scoresOf({ ...none, hits: 1 }), scoresOf(none), scoresOf({ ...none, misses: 1 })])).toEqual({ dice: 0.5, iou: 0.5, precision: 1, recall: 0.5 });
    expect(meanScores(SCORES, [scoresOf(none)]).dice).toBeNull();
  });
});

describe("summary", () => {
  it("has nnU-Net's shape", () => {
    const counts = countOverlap([0, 1, 1, 2], [0, 1, 2, 2], 4);
    const json = JSON.parse(JSON.stringify(summary([{ name: "a", predicted: "p/a.nii.gz", truth: "l/a.nii.gz", counts }], ["background", "bone", "liver", "kidney"]))) as Record<string, unknown>;
    expect(Object.keys(json)).toEqual(["foreground_mean", "labels", "mean", "metric_per_case"]);
    expect(json["mean"]).toMatchObject({ 1: { Dice: 2 / 3, IoU: 0.5, TP: 1, FP: 1, FN: 0, TN: 2, n_pred: 2, n_ref: 1 }, 3: { Dice: null, IoU: null } });
    expect(json["foreground_mean"]).toMatchObject({ Dice: 2 / 3, Precision: 0.75, Recall: 0.75 });
    expect(json["metric_per_case"]).toMatchObject([{ prediction_file: "p/a.nii.gz", reference_file: "l/a.nii.gz" }]);
  });
});
