// Every network of `nets/` learns from real images: the recipe of its own file, small enough for a processor.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadFile, trainingRun } from "../../cli/compile.ts";
import { labelUse, prepareData } from "../../cli/training-data.ts";
import { compileTraining } from "../../compiler/pipeline.ts";
import type { Triple } from "../../runtime/data/volume.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { logPath } from "../../runtime/train/log.ts";
import { Trainer } from "../../runtime/train/trainer.ts";

/** A run and what makes it small: parameters of the network and settings of the run, as `--set` gives them. */
interface Small {
  readonly net: string;
  readonly patch: Triple;
  readonly batch: number;
  /** Of one of the three passes. */
  readonly steps: number;
  readonly set: Readonly<Record<string, string>>;
}

/** The recipes' own, with a rate that shows within some steps. */
const fast = { adamw: "adamw(lr = poly(1e-2, power = 0.9), weight_decay = 3e-5, eps = 1e-4)", transformer: "adamw(lr = 5e-3, weight_decay = 1e-5)", adam: "adam(lr = 1e-2)" } as const;
const transformer = { width: "4", hidden: "8", heads: "2", mlp: "16", layers: "4" } as const;
const pyramid = { stem: "4", width: "[4, 8, 8]", depth: "[1, 0, 0]", scales: "[0.5]", target: "1" } as const;

/** Patches are the smallest that leave a norm more than one voxel at the deepest level. SEDy's batch norms see one value a sample. */
const nets: readonly Small[] = [
  { net: "mednext", patch: [16, 16, 32], batch: 1, steps: 7, set: { width: "4", depth: "[1, 0, 0, 0, 1, 0, 0, 0, 1]", optimizer: fast.adamw } },
  { net: "nnunet", patch: [16, 16, 16], batch: 1, steps: 10, set: { width: "4", cap: "16", kernels: "[[3, 3, 3]; 5]", strides: "[[1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 1, 1]]" } },
  { net: "dnet", patch: [32, 32, 32], batch: 1, steps: 6, set: { width: "[2, 2, 4, 4, 4]", depth: "[1, 0, 0, 0, 0]", optimizer: fast.adamw } },
  { net: "unetr", patch: [16, 16, 32], batch: 1, steps: 6, set: { ...transformer, optimizer: fast.transformer } },
  { net: "espnet3d", patch: [16, 16, 16], batch: 1, steps: 7, set: { ...pyramid, optimizer: fast.adam } },
  { net: "sedy_nnunet", patch: [16, 16, 16], batch: 2, steps: 8, set: { width: "[4, 8]", kernel: "[[3, 3, 3]; 2]", stride: "[[2, 2, 2]]", kernels: "2", loss: "dice_ce(logits[0], label, batch = false)" } },
  { net: "sedy_unetr", patch: [16, 16, 32], batch: 2, steps: 6, set: { ...transformer, kernels: "1", optimizer: fast.transformer } },
  { net: "deform_uxnet", patch: [16, 16, 32], batch: 1, steps: 5, set: { width: "[4, 4, 4, 4]", depth: "[1; 4]", hidden: "4", optimizer: "adamw(lr = 1e-2)" } },
  { net: "div_unetr", patch: [16, 16, 32], batch: 1, steps: 6, set: { ...transformer, target: "1", optimizer: fast.adam } },
  { net: "div_espnet", patch: [16, 16, 16], batch: 1, steps: 7, set: { ...pyramid, optimizer: fast.adam } },
];

const root = join(import.meta.dirname, "..", "..");
const seed = 1;

const opened = prepareData.open(join(root, "tests", "data", "Dataset001_TotalSegSample"));
let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "netc-every-"));
});
afterAll(() => {
  device?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The losses of three passes over the same patches, each a run that goes on with the weights and memories of the one before. */
async function passes({ net, patch, batch, steps, set }: Small): Promise<readonly (readonly number[])[]> {
  const { dataset } = opened;
  const options = { set: { ...set, augment: "none" }, patch, batch, channels: dataset.channels.length, classes: dataset.classes.length, seed, steps: 1, total: steps };
  const { training, settings } = trainingRun(loadFile(join(root, "nets", `${net}.net`)), undefined, options);
  const data = await prepareData.load(dataset, { ...labelUse(settings, set, dataset), seed, patch, spacing: settings.spacing, holdOut: dataset.training.length - 1 }, undefined, () => undefined);
  const session = await Session.create(device, compileTraining(training, device.profile).plan);
  try {
    const losses: number[][] = [];
    for (const pass of [1, 2, 3]) {
      const own = join(folder, `${net}-${pass}`);
      mkdirSync(own);
      const trainer = new Trainer({
        session, validation: undefined, cases: data.training, sampling: { seed, batch: settings.batch, patch },
        length: { total: steps, steps: settings.steps, epochs: settings.epochs }, folder: own, validateEvery: 0, saveEvery: steps,
        classes: [], meta: {}, teller: { update: () => undefined, log: () => undefined },
      });
      if (pass === 1) await trainer.begin(seed, undefined);
      await trainer.run(() => false);
      losses.push(readFileSync(logPath(own), "utf8").trimEnd().split("\n").map((line) => (JSON.parse(line) as { loss: number }).loss));
    }
    return losses;
  } finally {
    session.destroy();
  }
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe("every network learns", () => {
  it.each(nets)("$net", { timeout: 300_000 }, async (small) => {
    const all = await passes(small);
    expect(all.map((losses) => losses.length)).toEqual([small.steps, small.steps, small.steps]);
    // The same patches, so that a network which does not learn has the same loss in every pass.
    const [first = NaN, second = NaN, third = NaN] = all.map(mean);
    expect(second).toBeLessThan(0.97 * first);
    expect(third).toBeLessThan(0.93 * first);
  });
});
