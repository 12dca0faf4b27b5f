// Voxels without annotation: they do not count in the loss, in validation, or where patches are placed.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { instantiate } from "../compiler/front/front.ts";
import { interpret } from "../compiler/ir/interpret.ts";
import { IGNORED, loadCase } from "../runtime/data/case.ts";
import { writeLabels } from "../runtime/data/image.ts";
import { draws } from "../runtime/draws.ts";
import { written } from "./front/library.ts";
import { netc } from "./train/cli.ts";

const root = mkdtempSync(join(tmpdir(), "ignore-"));
const at = (...parts: readonly string[]): string => join(root, ...parts);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const [classes, size] = [3, 60];

function lossOf(text: string, logits: Float64Array, labels: Float64Array): number {
  const { graph, findings } = instantiate(written(`block Case(x: [N, C, *S], y: [N, 1, *S]) = ${text}\n`), "Case", { inputs: [[1, classes, 3, 4, 5], [1, 1, 3, 4, 5]], training: true });
  expect(findings).toEqual([]);
  const tensor = graph?.outputs[0]?.tensor;
  const [x, y] = graph?.inputs ?? [];
  if (tensor === undefined || x === undefined || y === undefined) throw new Error("no graph");
  return interpret(tensor, { values: new Map([[x, logits], [y, labels]]) })[0] ?? NaN;
}

/** nnU-Net's Dice and cross entropy of the voxels that are kept. */
function slowly(logits: Float64Array, labels: Float64Array): { readonly entropy: number; readonly dice: number } {
  const kept = [...labels.keys()].filter((n) => (labels[n] ?? 0) < classes);
  const share = (n: number, k: number): number => {
    const powers = Array.from({ length: classes }, (_, c) => Math.exp(logits[c * size + n] ?? 0));
    return (powers[k] ?? 0) / powers.reduce((a, b) => a + b);
  };
  const entropy = kept.reduce((sum, n) => sum - Math.log(share(n, labels[n] ?? 0)), 0) / Math.max(1, kept.length);
  const scores = [1, 2].map((k) => {
    const hit = kept.reduce((sum, n) => sum + (labels[n] === k ? share(n, k) : 0), 0);
    const mass = kept.reduce((sum, n) => sum + share(n, k) + (labels[n] === k ? 1 : 0), 0);
    return (2 * hit + 1e-5) / (mass + 1e-5 + 1e-8);
  });
  return { entropy, dice: scores.reduce((a, b) => a + b) / scores.length };
}

describe("the loss", () => {
  const random = draws(8);
  const logits = Float64Array.from({ length: classes * size }, () => 4 * random.next() - 2);
  const labels = Float64Array.from({ length: size }, () => random.below(classes));
  const partly = labels.map((label, n) => (n % 3 === 0 ? IGNORED : label));

  it("counts the annotated voxels alone", () => {
    const { entropy, dice } = slowly(logits, partly);
    expect(lossOf("cross_entropy(x, y, ignore = true)", logits, partly)).toBeCloseTo(entropy, 10);
    expect(lossOf("soft_dice(x, y, ignore = true)", logits, partly)).toBeCloseTo(-dice, 10);
    expect(lossOf("soft_dice(x, y, batch = true, ignore = true)", logits, partly)).toBeCloseTo(-dice, 10);
    expect(lossOf("dice_ce_ignore(x, y, batch = false)", logits, partly)).toBeCloseTo(entropy - dice, 10);
    expect(Math.abs(lossOf("dice_ce(x, y, batch = false)", logits, partly) - (entropy - dice))).toBeGreaterThan(0.01);
  });
  it("is the usual one where all are annotated, and a number where none is", () => {
    expect(lossOf("dice_ce_ignore(x, y, batch = false)", logits, labels)).toBeCloseTo(lossOf("dice_ce(x, y, batch = false)", logits, labels), 12);
    expect(lossOf("cross_entropy(x, y, ignore = true)", logits, new Float64Array(size).fill(IGNORED))).toBe(0);
  });
});

describe("a data set with an ignore label", () => {
  const grid = { size: [12, 12, 12], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], sources: [{ axis: 0, flipped: false }, { axis: 1, flipped: false }, { axis: 2, flipped: false }], sformCode: 1, qformCode: 0, version: 1 } as const;
  const text = (loss: string): string => `
network Bright(image: [N, M, *S], classes: int) { out logits = image |> Conv(4, 1) |> relu |> Conv(classes, 1) }
train bright for Bright { patch = [8, 8, 8]
 batch = 2
 epochs = 4
 steps = 10
 loss = ${loss}
 optimizer = adam(lr = 5e-2) }
`;
  for (const part of ["imagesTr", "labelsTr"]) mkdirSync(at("data", part), { recursive: true });
  writeFileSync(at("data", "dataset.json"), JSON.stringify({ channel_names: { 0: "noNorm" }, labels: { background: 0, bright: 1, ignore: 2 }, numTraining: 2, file_ending: ".nii" }));
  // Bright voxels are class 1 where they are annotated; most are not, and would say the opposite.
  for (const name of ["a", "b"]) {
    const image = Uint8Array.from({ length: 12 ** 3 }, (_, n) => (Math.floor(n / 36) % 2 === 0 ? 1 : 0));
    writeLabels(at("data", "imagesTr", `${name}_0000.nii`), image, grid);
    writeLabels(at("data", "labelsTr", `${name}.nii`), image.map((value, n) => (n % 12 < 8 ? 2 : value)), grid);
  }
  writeFileSync(at("careless.net"), text("dice_ce(logits, label, batch = false)"));
  writeFileSync(at("careful.net"), text("dice_ce_ignore(logits, label, batch = false)"));

  it("is read with that value apart from all classes", () => {
    const { loaded } = loadCase({ classes: ["background", "bright"], ignore: 2 }, { name: "a", images: [at("data", "imagesTr", "a_0000.nii")], label: at("data", "labelsTr", "a.nii") });
    expect([...new Set(loaded.label)].sort((p, q) => p - q)).toEqual([0, 1, IGNORED]);
    expect(() => loadCase({ classes: ["background", "bright"] }, { name: "a", images: [at("data", "imagesTr", "a_0000.nii")], label: at("data", "labelsTr", "a.nii") })).toThrow(/N1019/);
  });

  it("is refused by a loss that would count those voxels, and trained by one that does not", { timeout: 120_000 }, async () => {
    const refused = await netc(["train", at("careless.net"), "--data", at("data"), "--out", at("no")]);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("N1013") as string });
    expect(refused.err).toContain("dice_ce_ignore");
    expect((await netc(["train", at("careful.net"), "--data", at("data"), "--out", at("no"), "--set", "target=1"])).err).toContain("N1013");
    const trained = await netc(["train", at("careful.net"), "--data", at("data"), "--out", at("run"), "--validate-every", "40"]);
    expect(trained.code, trained.err).toBe(0);
    const lines = readFileSync(at("run", "log.jsonl"), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as { mean?: number });
    // Were they counted, two thirds of what is found would be false alarms.
    expect(lines.findLast(({ mean }) => mean !== undefined)?.mean).toBeGreaterThan(0.95);
    expect((await netc(["data", "check", at("data")])).out).toContain("voxels of label 2");
  });
});
