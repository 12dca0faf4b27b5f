// The losses of the library against plain sums over their published definitions, values and gradients.

import { describe, expect, it } from "vitest";
import { instantiate } from "../../compiler/front/front.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { differentiate } from "../../compiler/passes/differentiate.ts";
import { separate } from "../../compiler/passes/separate.ts";
import { draws } from "../../runtime/draws.ts";
import { voxelwise, type Batch } from "./loss-references.ts";
import { written } from "./library.ts";

const classes = 3;
const regions = [[1, 2], [2]];
const listed = JSON.stringify(regions);

interface Loss {
  readonly text: string;
  readonly slowly: (of: Batch) => number;
  /** Channels of the network; one per class where absent. */
  readonly channels?: number;
  /** Whether it is published for voxels without annotation. */
  readonly ignores?: boolean;
}

const { crossEntropy, worst, soft, monai, generalised, tversky, focal, focalBce, regionDice, regionBce, weighted, penalised } = voxelwise;

const all: readonly Loss[] = [
  { text: "cross_entropy(x, y)", slowly: (b) => crossEntropy(b, false) },
  { text: "cross_entropy(x, y, ignore = true)", slowly: (b) => crossEntropy(b, true), ignores: true },
  { text: "weighted_cross_entropy(x, y, weights = [0.5, 2, 3])", slowly: (b) => weighted(b, [0.5, 2, 3]) },
  { text: "dice_ce(x, y, false)", slowly: (b) => crossEntropy(b, false) + soft(b, false, false) },
  { text: "dice_ce(x, y, true)", slowly: (b) => crossEntropy(b, false) + soft(b, true, false) },
  { text: "dice_ce_ignore(x, y, false)", slowly: (b) => crossEntropy(b, true) + soft(b, false, true), ignores: true },
  { text: "dice_ce_ignore(x, y, true)", slowly: (b) => crossEntropy(b, true) + soft(b, true, true), ignores: true },
  { text: "dice_ce_monai(x, y, false)", slowly: (b) => crossEntropy(b, false) + monai(b, false, 0) },
  { text: "dice_ce_monai(x, y, true)", slowly: (b) => crossEntropy(b, false) + monai(b, true, 0) },
  { text: "dice_monai(x, y, background = false)", slowly: (b) => monai(b, false, 1) },
  { text: "generalised_dice(x, y)", slowly: generalised },
  { text: "tversky(x, y)", slowly: (b) => tversky(b, 0.3, 0.7, 1, 0) },
  { text: "tversky(x, y, alpha = 0.5, beta = 0.5, background = false)", slowly: (b) => tversky(b, 0.5, 0.5, 1, 1) },
  { text: "tversky(x, y, power = 0.75)", slowly: (b) => tversky(b, 0.3, 0.7, 0.75, 0) },
  { text: "focal(x, y)", slowly: (b) => focal(b, 2, undefined, false) },
  { text: "focal(x, y, gamma = 1.5, alpha = 0.25)", slowly: (b) => focal(b, 1.5, 0.25, false) },
  { text: "focal(x, y, gamma = 0)", slowly: (b) => crossEntropy(b, false) / classes },
  { text: "focal(x, y, ignore = true)", slowly: (b) => focal(b, 2, undefined, true), ignores: true },
  { text: `focal_bce(x, in_regions(y, regions = ${listed}))`, slowly: (b) => focalBce(b, regions, 2, undefined), channels: 2 },
  { text: `focal_bce(x, in_regions(y, regions = ${listed}), gamma = 1.5, alpha = 0.25)`, slowly: (b) => focalBce(b, regions, 1.5, 0.25), channels: 2 },
  { text: "bce_dice(x, y, 3)", slowly: (b) => penalised(b, 3), channels: 2 },
  { text: "mean_squared_error(x, 0.5 * x + 1)", slowly: (b) => b.logits.reduce((sum, x) => sum + (0.5 * x - 1) ** 2, 0) / b.logits.length },
  { text: "topk_cross_entropy(x, y)", slowly: (b) => worst(b, 10, false) },
  { text: "topk_cross_entropy(x, y, percent = 33)", slowly: (b) => worst(b, 33, false) },
  { text: "dice_topk(x, y, true)", slowly: (b) => worst(b, 10, false) + soft(b, true, false) },
  { text: "dice_topk_ignore(x, y, false)", slowly: (b) => worst(b, 10, true) + soft(b, false, true), ignores: true },
  { text: `dice_bce(x, y, ${listed}, true)`, slowly: (b) => regionBce(b, regions, false) + regionDice(b, regions, true, false), channels: 2 },
  { text: `dice_bce(x, y, ${listed}, false)`, slowly: (b) => regionBce(b, regions, false) + regionDice(b, regions, false, false), channels: 2 },
  { text: `dice_bce_ignore(x, y, ${listed}, true)`, slowly: (b) => regionBce(b, regions, true) + regionDice(b, regions, true, true), channels: 2, ignores: true },
  { text: `dice_bce_ignore(x, y, ${listed}, false)`, slowly: (b) => regionBce(b, regions, true) + regionDice(b, regions, false, true), channels: 2, ignores: true },
];

/** What batches are like; `label` is that of voxel `n`, and `ignores` tells whether some have no annotation. */
const edges: readonly { readonly name: string; readonly samples: number; readonly space: readonly number[]; readonly label: (n: number, random: () => number) => number; readonly spread?: number; readonly ignores?: boolean }[] = [
  { name: "all classes, two samples", samples: 2, space: [2, 3, 5], label: (_, random) => Math.floor(3 * random()) },
  { name: "an empty class", samples: 2, space: [2, 3, 4], label: (_, random) => (random() < 0.5 ? 0 : 2) },
  { name: "background alone", samples: 1, space: [2, 2, 3], label: () => 0 },
  { name: "foreground alone", samples: 1, space: [1, 4, 3], label: () => 2 },
  { name: "one voxel", samples: 1, space: [1, 1, 1], label: () => 1 },
  { name: "far from zero", samples: 1, space: [2, 3, 2], label: (n) => n % 3, spread: 60 },
  { name: "some without annotation", samples: 2, space: [2, 3, 4], label: (n, random) => (n % 3 === 0 ? 255 : Math.floor(3 * random())), ignores: true },
  { name: "a sample without annotation", samples: 2, space: [2, 2, 2], label: (n) => (n < 8 ? 255 : n % 3), ignores: true },
  { name: "nothing annotated", samples: 1, space: [2, 2, 2], label: () => 255, ignores: true },
];

function batchOf({ samples, space, label, spread = 4 }: (typeof edges)[number], channels: number): Batch {
  const random = draws(17, samples, space.length);
  const size = space.reduce((a, b) => a * b, 1);
  const logits = Float64Array.from({ length: samples * channels * size }, () => spread * (random.next() - 0.5));
  return { samples, channels, size, logits, labels: Float64Array.from({ length: samples * size }, (_, n) => label(n, () => random.next())) };
}

const texts = [...new Set([...all.map(({ text }) => text), "topk_cross_entropy(x, y, percent = 30)"])];
const program = written(texts.map((text, n) => `block Case${n}(x: [N, C, *S], y: [N, 1, *S]) = ${text}\n`).join(""));

function valueAndSlope(text: string, { samples, channels, logits, labels }: Batch, space: readonly number[]): readonly [number, Float64Array] {
  const { graph, findings } = instantiate(program, `Case${texts.indexOf(text)}`, { inputs: [[samples, channels, ...space], [samples, 1, ...space]], training: true });
  expect(findings).toEqual([]);
  const tensor = graph?.outputs[0]?.tensor;
  const [x, y] = graph?.inputs ?? [];
  if (tensor === undefined || x === undefined || y === undefined) throw new Error("no graph");
  const values = new Map([[x, logits], [y, labels]]);
  const root = separate([tensor]).get(tensor) ?? tensor;
  const slope = differentiate(root, [x]).get(x);
  if (slope === undefined) throw new Error("no gradient");
  return [interpret(tensor, { values: new Map(values) })[0] ?? NaN, interpret(slope, { values: new Map(values) })];
}

describe.each(edges)("$name", (edge) => {
  it.each(all.filter(({ ignores }) => edge.ignores !== true || ignores === true))("$text", ({ text, slowly, channels = classes }) => {
    const batch = batchOf(edge, channels);
    const [value, slope] = valueAndSlope(text, batch, edge.space);
    const wanted = slowly(batch);
    expect(Math.abs(value - wanted)).toBeLessThan(1e-6 * Math.max(1, Math.abs(wanted)));
    const at = (n: number, step: number): number => slowly({ ...batch, logits: batch.logits.map((logit, m) => (m === n ? logit + step : logit)) });
    const h = 1e-5;
    // A dozen of the slopes, spread over all samples and classes.
    for (let n = 0; n < batch.logits.length; n += Math.max(1, Math.floor(batch.logits.length / 12))) {
      const rise = (at(n, h) - at(n, -h)) / (2 * h);
      expect(Math.abs((slope[n] ?? NaN) - rise), `slope ${n} is ${slope[n]}, not ${rise}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(rise)));
    }
  });
});

describe("the worst voxels", () => {
  it("are found where many are equal, and share their gradient", () => {
    // Of ten voxels three are counted: the worst one, and two of the five that come next.
    const logits = Float64Array.from([9, 1, 1, 1, 1, 1, 0, 0, 0, 0, ...Array.from({ length: 10 }, () => 0)]);
    const batch: Batch = { samples: 1, channels: 2, size: 10, logits, labels: new Float64Array(10).fill(1) };
    const [value, slope] = valueAndSlope("topk_cross_entropy(x, y, percent = 30)", batch, [1, 2, 5]);
    const cost = (logit: number): number => Math.log(1 + Math.exp(logit));
    expect(value).toBeCloseTo((cost(9) + 2 * cost(1)) / 3, 9);
    const share = 1 / (1 + Math.exp(-1));
    expect([...slope.slice(1, 7)]).toEqual([...Array.from({ length: 5 }, () => expect.closeTo((2 / 5) * (share / 3), 9) as number), 0]);
  });
});

describe("the references", () => {
  it("are what a hand computes", () => {
    const batch: Batch = { samples: 1, channels: 2, size: 2, logits: Float64Array.from([0, 0, 0, Math.log(3)]), labels: Float64Array.from([0, 1]) };
    expect(crossEntropy(batch, false)).toBeCloseTo((Math.log(2) + Math.log(4 / 3)) / 2, 12);
    expect(soft(batch, false, false)).toBeCloseTo(-(1.5 + 1e-5) / (2.25 + 1e-5), 7);
  });
});
