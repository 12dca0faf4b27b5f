// Overlap scores against reference numbers and in the corners where they are not defined.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readTensors } from "../../runtime/safetensors.ts";
import { summaryCsv, summaryJson } from "../../runtime/infer/summary.ts";
import { addCounts, countOverlap, countRegions, meanScores, SCORES, scoresOf } from "../../runtime/train/metrics.ts";
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

describe("voxels that do not count, and regions", () => {
  const [predicted, truth] = [[0, 1, 1, 2, 0, 2, 1], [0, 1, 2, 2, 1, 0, 3]];
  it("where the truth is to be ignored, nothing is counted, right or wrong", () => {
    const counts = countOverlap(predicted, truth, 3, 3);
    expect(counts).toEqual(countOverlap(predicted.slice(0, 6), truth.slice(0, 6), 3));
    expect(countOverlap(predicted, truth, 3)[1]).toEqual({ hits: 1, falseAlarms: 2, misses: 1, rest: 3 });
  });
  it("a region is counted as one class, and regions may overlap", () => {
    const one = (map: readonly number[]): number[] => map.map((value) => (value === 1 || value === 2 ? 1 : 0));
    expect(countRegions(predicted, truth, [[1, 2], [2]])).toEqual([countOverlap(one(predicted), one(truth), 2)[1], countOverlap(predicted, truth, 3)[2]]);
  });
});

describe("summary", () => {
  const counts = countOverlap([0, 1, 1, 2], [0, 1, 2, 2], 4);
  const cases = [{ name: "a", predicted: "p/a.nii.gz", truth: "l/a.nii.gz", counts, volume: 500 }];
  const scored = ["background", "bone", "liver, all", "kidney"].map((name, value) => ({ name, values: [value] }));
  it("has nnU-Net's shape", () => {
    const json = JSON.parse(summaryJson(cases, scored)) as Record<string, unknown>;
    expect(Object.keys(json)).toEqual(["foreground_mean", "labels", "mean", "metric_per_case"]);
    expect(json["mean"]).toMatchObject({ 1: { Dice: 2 / 3, IoU: 0.5, TP: 1, FP: 1, FN: 0, TN: 2, n_pred: 2, n_ref: 1, ml_pred: 1, ml_ref: 0.5 }, 3: { Dice: null, IoU: null } });
    expect(json["foreground_mean"]).toMatchObject({ Dice: 2 / 3, Precision: 0.75, Recall: 0.75 });
    expect(json["metric_per_case"]).toMatchObject([{ prediction_file: "p/a.nii.gz", reference_file: "l/a.nii.gz" }]);
  });
  it("names a region as nnU-Net does", () => {
    const json = JSON.parse(summaryJson(cases, [{ name: "background", values: [0] }, { name: "both", values: [1, 2] }])) as Record<string, object>;
    expect(Object.keys(json["mean"] ?? {})).toEqual(["(1, 2)"]);
    expect(json["labels"]).toEqual({ 0: "background", "(1, 2)": "both" });
  });
  it("says of an infinite distance that it is one, and of its mean; as a table too", () => {
    const far = { hd: Infinity, hd95: Infinity, hd95Pooled: Infinity, assd: Infinity, nsd: 0 };
    const near = { hd: 3, hd95: 2, hd95Pooled: 2, assd: 1, nsd: 0.5 };
    const none = { hd: null, hd95: null, hd95Pooled: null, assd: null, nsd: null };
    const both = ["a", "b"].map((name, n) => ({ ...cases[0], name, predicted: "", truth: "", counts, volume: 500, surfaces: [none, n === 0 ? near : far, near, none] }));
    const json = JSON.parse(summaryJson(both, scored)) as { mean: Record<string, Record<string, unknown>>; foreground_mean: Record<string, unknown> };
    expect(json.mean["1"]).toMatchObject({ HD: "Infinity", HD95: "Infinity", ASSD: "Infinity", NSD: 0.25 });
    expect(json.mean["2"]).toMatchObject({ HD: 3, NSD: 0.5 });
    expect(json.mean["3"]).toMatchObject({ HD: null, NSD: null });
    expect(json.foreground_mean).toMatchObject({ HD: "Infinity", NSD: 0.375 });
    const lines = summaryCsv(both, scored).split("\n");
    expect(lines).toHaveLength(7);
    expect(lines[0]).toBe("case,label,class,Dice,IoU,Precision,Recall,TP,FP,FN,TN,n_pred,n_ref,ml_pred,ml_ref,HD,HD95,HD95_pooled,ASSD,NSD");
    expect(lines[2]).toBe(`a,2,"liver, all",${2 / 3},0.5,1,0.5,1,0,1,2,1,2,0.5,1,3,2,2,1,0.5`);
    expect(lines[3]).toBe("a,3,kidney,,,,,0,0,0,4,0,0,0,0,,,,,");
    expect(lines[4]).toMatch(/^b,1,bone,.*,inf,inf,inf,inf,0$/);
  });
});
