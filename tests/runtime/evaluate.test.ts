// Evaluation of folders and files: pairing, refusals, and numbers that can be worked out by hand.

import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { command } from "../../cli/commands/evaluate.ts";
import { terminalOn } from "../../cli/terminal.ts";
import { readVolume, writeLabels } from "../../runtime/data/image.ts";
import type { StoredGrid } from "../../runtime/data/volume.ts";
import { evaluate } from "../../runtime/infer/evaluate.ts";
import { scoresOf } from "../../runtime/train/metrics.ts";
import { refused } from "../refused.ts";

const sample = "tests/data/Dataset001_TotalSegSample";
const labels = join(sample, "labelsTs");
const scratch = mkdtempSync(join(tmpdir(), "evaluate-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const predictions = join(scratch, "predictions");
beforeEach(() => {
  rmSync(predictions, { recursive: true, force: true });
  cpSync(labels, predictions, { recursive: true });
});

/** Rewrites one prediction, values and grid. */
function change(file: string, value: (old: number) => number, grid: (old: StoredGrid) => StoredGrid = (old) => old): void {
  const { volume } = readVolume(join(predictions, file));
  writeLabels(join(predictions, file), Uint8Array.from(volume.data, value), grid(volume.stored));
}

describe("folders", () => {
  it("a perfect prediction scores 1, absent classes nothing", () => {
    const { cases, scored, warnings } = evaluate(predictions, labels);
    expect(warnings).toEqual([]);
    expect(scored.map(({ name }) => name)).toEqual(["background", "bone", "muscle", "liver", "bowel", "kidney"]);
    expect(cases.map((one) => [one.name, ...one.counts.slice(1).map((c) => scoresOf(c).dice)])).toEqual([["ct_007", 1, 1, null, 1, null], ["ct_008", 1, 1, 1, 1, 1]]);
  });
  it("a class that is missed scores 0 and one taken for another is counted on both sides", () => {
    change("ct_008.nii.gz", (old) => (old === 3 ? 4 : old));
    const [, second] = evaluate(predictions, labels).cases;
    const dice = second?.counts.map((c) => scoresOf(c).dice);
    expect(dice?.[3]).toBe(0);
    expect(dice?.[4]).toBeCloseTo(2 * 16119 / (2 * 16119 + 2864), 12);
  });
  it("a missing prediction is named", () => {
    rmSync(join(predictions, "ct_007.nii.gz"));
    expect(refused(() => evaluate(predictions, labels))).toMatchObject([{ code: "N1031", headline: "one case has no prediction: ct_007" }]);
  });
  it("a prediction too many is left out", () => {
    cpSync(join(predictions, "ct_007.nii.gz"), join(predictions, "ct_009.nii.gz"));
    const { cases, warnings } = evaluate(predictions, labels);
    expect(cases.length).toBe(2);
    expect(warnings).toMatchObject([{ code: "W1058", headline: "one prediction has no label: ct_009" }]);
  });
  it.each<{ what: string; grid: (old: StoredGrid) => StoredGrid; says: readonly [string, string] }>([
    { what: "shape", grid: (old) => ({ ...old, size: [60, 101, 28] }), says: ["has 60 x 101 x 28 voxels of 3, 3, 3 mm", "has 61 x 101 x 28 voxels of 3, 3, 3 mm"] },
    { what: "spacing", grid: (old) => ({ ...old, affine: [[3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 5, 0]] }), says: ["voxels of 3, 3, 5 mm", "voxels of 3, 3, 3 mm"] },
    { what: "place", grid: (old) => ({ ...old, affine: [[3, 0, 0, 500], [0, 3, 0, 0], [0, 0, 3, 0]] }), says: ["the first at 500, 0, 0 mm", "the first at"] },
    { what: "direction", grid: (old) => ({ ...old, affine: [[2.9, 0.77, 0, 0], [-0.77, 2.9, 0, 0], [0, 0, 3, 0]] }), says: ["its axes along (0.967, -0.257, 0)", "its axes along (1, 0, 0)"] },
  ])("another $what is refused with what both are", ({ grid, says }) => {
    const { volume } = readVolume(join(labels, "ct_007.nii.gz"));
    const stored = grid(volume.stored);
    writeLabels(join(predictions, "ct_007.nii.gz"), new Uint8Array(stored.size[0] * stored.size[1] * stored.size[2]), stored);
    const [finding, ...more] = refused(() => evaluate(predictions, labels));
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ code: "N1033", headline: `${join(predictions, "ct_007.nii.gz")} does not lie on the grid of its label` });
    says.forEach((text, n) => expect(finding?.facts[n]).toContain(text));
  });
  it("the same voxels stored in another order are the same", () => {
    const { volume } = readVolume(join(labels, "ct_008.nii.gz"));
    const [sx, sy, sz] = volume.stored.sources;
    expect([sx, sy, sz].map(({ axis }) => axis)).toEqual([0, 1, 2]);
    const [[a, , , x], [, b, , y], [, , c, z]] = volume.stored.affine;
    const grid: StoredGrid = {
      ...volume.stored, size: [28, 61, 101], affine: [[0, a, 0, x], [0, 0, -b, y + b * 100], [c, 0, 0, z]],
      sources: [{ axis: 1, flipped: sx.flipped }, { axis: 2, flipped: !sy.flipped }, { axis: 0, flipped: sz.flipped }],
    };
    writeLabels(join(predictions, "ct_008.nii.gz"), Uint8Array.from(volume.data), grid);
    const { cases, warnings } = evaluate(predictions, labels);
    expect(warnings).toEqual([]);
    expect(cases[1]?.counts.slice(1).map((one) => scoresOf(one).dice)).toEqual([1, 1, 1, 1, 1]);
  });
  it("values no class has are told", () => {
    change("ct_007.nii.gz", (old) => (old === 4 ? 77 : old));
    expect(refused(() => evaluate(predictions, labels))[0]).toMatchObject({ code: "N1019", headline: expect.stringContaining("77 (13242 voxels)") as string });
  });
  it("an empty folder and a mixture are refused", () => {
    const empty = join(scratch, "empty");
    mkdirSync(empty, { recursive: true });
    expect(refused(() => evaluate(predictions, empty))[0]?.code).toBe("N1032");
    expect(refused(() => evaluate(predictions, join(labels, "ct_007.nii.gz")))[0]?.code).toBe("N1032");
    expect(refused(() => evaluate(join(scratch, "nowhere"), labels))[0]?.code).toBe("N1006");
  });
});

describe("files", () => {
  it("are compared whatever their names", () => {
    const { cases } = evaluate(join(predictions, "ct_008.nii.gz"), join(labels, "ct_008.nii.gz"));
    expect(cases.map((one) => one.name)).toEqual(["ct_008"]);
  });
  it("without a data set classes are numbers", () => {
    const alone = join(scratch, "alone", "labels");
    cpSync(labels, alone, { recursive: true });
    expect(readdirSync(alone).length).toBe(2);
    expect(evaluate(predictions, alone).scored.map(({ name }) => name)).toEqual(["0", "1", "2", "3", "4", "5"]);
    expect(evaluate(predictions, alone, { datasetJson: join(sample, "dataset.json") }).scored[1]?.name).toBe("bone");
  });
});

describe("the command", () => {
  const run = async (...argv: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> => {
    let [out, err] = ["", ""];
    const code = await command.run(argv, terminalOn({ write: (text) => { out += text; } }, { write: (text) => { err += text; } }, {}));
    return { code, out, err };
  };
  it("prints Dice by case and all scores by class", async () => {
    change("ct_008.nii.gz", (old) => (old === 5 ? 0 : old));
    const { code, out, err } = await run(predictions, labels);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatchInlineSnapshot(`
      "Dice      bone  muscle   liver   bowel  kidney    mean
      ct_007  1.0000  1.0000     n/a  1.0000     n/a  1.0000
      ct_008  1.0000  1.0000  1.0000  1.0000  0.0000  0.8000

      mean of 2 cases    Dice     IoU  precision  recall
      bone             1.0000  1.0000     1.0000  1.0000
      muscle           1.0000  1.0000     1.0000  1.0000
      liver            1.0000  1.0000     1.0000  1.0000
      bowel            1.0000  1.0000     1.0000  1.0000
      kidney           0.0000  0.0000        n/a  0.0000
      all classes      0.8000  0.8000     1.0000  0.8000
      "
    `);
  });
  it("prints JSON, with null for what is not defined, and warnings elsewhere", async () => {
    cpSync(join(predictions, "ct_007.nii.gz"), join(predictions, "more.nii.gz"));
    const { out, err } = await run("--json", predictions, labels);
    const json = JSON.parse(out) as { readonly metric_per_case: readonly { readonly metrics: Readonly<Record<string, { readonly Dice: number | null }>> }[]; readonly labels: unknown };
    expect(json.metric_per_case[0]?.metrics["3"]?.Dice).toBeNull();
    expect(json.metric_per_case[1]?.metrics["3"]?.Dice).toBe(1);
    expect(err).toContain("warning[W1058]: one prediction has no label: more");
  });
  it("with a tolerance measures surfaces in millimetres, in the table and in JSON", async () => {
    // The labels, one voxel (3 mm) further along the last stored axis: every distance is 0 or 3 mm.
    const { volume } = readVolume(join(labels, "ct_008.nii.gz"));
    const moved = Uint8Array.from(volume.data, (_, n) => (n % volume.shape[2] === 0 ? 0 : (volume.data[n - 1] ?? 0)));
    writeLabels(join(predictions, "ct_008.nii.gz"), moved, volume.stored);
    const pair = [join(predictions, "ct_008.nii.gz"), join(labels, "ct_008.nii.gz")];
    const { out } = await run("--json", "--surface", "2.9", ...pair);
    const { mean } = JSON.parse(out) as { readonly mean: Readonly<Record<string, Readonly<Record<string, number>>>> };
    expect(mean["1"]?.["HD"]).toBeCloseTo(3, 6);
    expect(mean["1"]?.["HD95"]).toBeCloseTo(3, 6);
    expect(mean["1"]?.["ASSD"]).toBeGreaterThan(0.5);
    expect(mean["1"]?.["ASSD"]).toBeLessThan(3);
    expect((1 - (mean["1"]?.["NSD"] ?? NaN)) * 3).toBeCloseTo(mean["1"]?.["ASSD"] ?? NaN, 6);
    const wide = await run("--surface", "3.1", ...pair);
    expect(wide.out).toMatch(/surfaces +HD mm +HD95 mm +ASSD mm +NSD/);
    expect(wide.out).toMatch(/bone +3\.0000 +3\.0000 +\d\.\d{4} +1\.0000/);
    expect((await run(...pair)).out).not.toContain("surfaces");
    await expect(run("--surface", "-1", ...pair)).rejects.toThrow("millimetres");
  });
  it("a structure that only one map has is infinitely far, which shows, and so does in how many cases", async () => {
    change("ct_008.nii.gz", (old) => (old === 5 ? 0 : old));
    const { out } = await run("--surface", "1", predictions, labels);
    expect(out).toMatch(/surfaces .*in one map only/);
    expect(out).toMatch(/kidney +inf +inf +inf +0\.0000 +1/);
    expect(out).toMatch(/liver +0\.0000 +0\.0000 +0\.0000 +1\.0000 +0/);
    expect(out).toMatch(/all classes +inf +inf +inf +0\.8000 +1/);
  });
  it("writes files as their endings say, and prints CSV", async () => {
    const [json, csv] = [join(scratch, "scores", "summary.json"), join(scratch, "scores", "scores.csv")];
    const { out } = await run("--csv", "-o", json, "-o", csv, predictions, labels);
    expect(readFileSync(csv, "utf8")).toBe(out);
    expect(out.split("\n")[1]).toMatch(/^ct_007,1,bone,1,1,1,1,11453,0,0,161055,11453,11453,309\.\d+,309\.\d+$/);
    expect(Object.keys(JSON.parse(readFileSync(json, "utf8")) as object)).toContain("metric_per_case");
    await expect(run("-o", join(scratch, "scores.txt"), predictions, labels)).rejects.toThrow(".json or .csv");
    await expect(run("--csv", "--json", predictions, labels)).rejects.toThrow("exclude each other");
  });
  it("leaves out voxels whose truth is to be ignored, in counts and in surfaces", async () => {
    // What the truth does not tell is predicted all wrong.
    const [folder, told] = [join(scratch, "ignored"), readVolume(join(labels, "ct_008.nii.gz")).volume];
    mkdirSync(folder, { recursive: true });
    const half = Uint8Array.from(told.data, (value, n) => (n % told.shape[2] < 30 ? 6 : value));
    writeLabels(join(folder, "ct_008.nii.gz"), half, told.stored);
    change("ct_008.nii.gz", (old) => old);
    const { volume } = readVolume(join(predictions, "ct_008.nii.gz"));
    writeLabels(join(predictions, "ct_008.nii.gz"), Uint8Array.from(volume.data, (value, n) => (n % told.shape[2] < 30 ? 3 : value)), volume.stored);
    const pair = [join(predictions, "ct_008.nii.gz"), join(folder, "ct_008.nii.gz")];
    const { out } = await run("--ignore", "6", "--surface", "1", "--csv", "--dataset", join(sample, "dataset.json"), ...pair);
    for (const line of out.trim().split("\n").slice(1)) expect(line).toMatch(/,(1,1,1,1,\d+,0,0,.*,0,0,0,0,1|,,,,0,0,0,.*,,,,,)$/);
    // The data set may say it.
    const declared = JSON.parse(readFileSync(join(sample, "dataset.json"), "utf8")) as { labels: object };
    writeFileSync(join(folder, "dataset.json"), JSON.stringify({ ...declared, labels: { ...declared.labels, ignore: 6 } }));
    expect((await run("--surface", "1", "--csv", ...pair)).out).toBe(out);
    expect(refused(() => evaluate(pair[0] ?? "", pair[1] ?? "", { datasetJson: join(sample, "dataset.json") }))[0]?.code).toBe("N1019");
  });
  it("scores every label that a map has where no data set names them, up to 16 bits", async () => {
    const folder = join(scratch, "wide");
    mkdirSync(folder, { recursive: true });
    const { stored } = readVolume(join(labels, "ct_008.nii.gz")).volume;
    const grid = { ...stored, size: [2, 3, 2] as const };
    const [truth, guess] = [Uint16Array.of(0, 0, 0, 255, 255, 300, 300, 300, 50_000, 0, 0, 0), Uint16Array.of(0, 0, 0, 255, 255, 300, 300, 0, 0, 0, 0, 7)];
    writeLabels(join(folder, "truth.nii.gz"), truth, grid);
    writeLabels(join(folder, "guess.nii.gz"), guess, grid);
    const { out } = await run("--surface", "1", "--csv", join(folder, "guess.nii.gz"), join(folder, "truth.nii.gz"));
    const rows = out.trim().split("\n").map((line) => line.split(","));
    expect(rows.map(([, label, , dice]) => [label, dice])).toEqual([["label", "Dice"], ["7", "0"], ["255", "1"], ["300", "0.8"], ["50000", "0"]]);
    expect(rows.slice(1).map((row) => row[15])).toEqual(["inf", "0", expect.stringMatching(/^\d/) as string, "inf"]);
    // Of several cases each may have labels that the other lacks: there they are n/a.
    const { cases, scored } = await withTwo(folder, guess, truth, grid);
    expect(scored.map(({ name }) => name)).toEqual(["0", "7", "255", "300", "50000", "60000"]);
    expect(cases.map(({ counts }) => counts[5])).toEqual([{ hits: 0, falseAlarms: 0, misses: 0, rest: 12 }, { hits: 12, falseAlarms: 0, misses: 0, rest: 0 }]);
    expect(cases.map(({ counts }) => counts[0]?.hits)).toEqual([5, 0]);
  });
  it("scores regions where the data set has them", async () => {
    const declared = JSON.parse(readFileSync(join(sample, "dataset.json"), "utf8")) as object;
    const file = join(scratch, "regions.json");
    writeFileSync(file, JSON.stringify({ ...declared, labels: { background: 0, body: [1, 2, 3, 4, 5], soft: [2, 3, 4, 5], kidney: [5] }, regions_class_order: [1, 2, 5] }));
    change("ct_008.nii.gz", (old) => (old === 2 ? 3 : old));
    const { out } = await run("--dataset", file, predictions, labels);
    expect(out).toMatch(/ct_008 +1\.0000 +1\.0000 +1\.0000/);
    const { out: json } = await run("--dataset", file, "--json", predictions, labels);
    expect(Object.keys((JSON.parse(json) as { mean: object }).mean).sort()).toEqual(["(1, 2, 3, 4, 5)", "(2, 3, 4, 5)", "5"]);
  });
  it("needs two operands", async () => {
    await expect(run(predictions)).rejects.toThrow("2 of PREDICTED LABELS are needed, 1 given");
  });
});

/** The evaluation of those two maps, and of one whose voxels are all 60000. */
async function withTwo(folder: string, guess: Uint16Array, truth: Uint16Array, grid: StoredGrid): Promise<ReturnType<typeof evaluate>> {
  for (const [part, map] of [["guesses", guess], ["truths", truth]] as const) {
    mkdirSync(join(folder, part), { recursive: true });
    writeLabels(join(folder, part, "a.nii.gz"), map, grid);
    writeLabels(join(folder, part, "b.nii.gz"), new Uint16Array(12).fill(60_000), grid);
  }
  return evaluate(join(folder, "guesses"), join(folder, "truths"));
}
