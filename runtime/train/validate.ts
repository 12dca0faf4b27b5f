// Pseudo-Dice: how well the network does on fixed patches while it trains, without sliding over whole images.

import type { Plan, Port } from "../../compiler/plan/plan.ts";
import { IGNORED } from "../data/case.ts";
import type { Region } from "../data/dataset.ts";
import { fillBatch } from "../data/patches.ts";
import type { Draw, Indexed, Sampling } from "../data/patches.ts";
import { decide } from "../infer/decide.ts";
import type { Session } from "../session.ts";
import { partsOf } from "./feed.ts";
import { addCounts, countRegions, meanOf, scoresOf } from "./metrics.ts";
import type { Counts } from "./metrics.ts";

/** Scores of one validation. */
export interface Validation {
  /** Dice per class, the background's left out; null for a class that neither patches nor predictions have. */
  readonly dice: readonly (number | null)[];
  /** Null when no class could be scored. */
  readonly mean: number | null;
}

/**
 * The output that says something of the classes at every voxel of a patch: a value for each, or for each but the background;
 * undefined where a plan has none.
 */
export function classOutput(plan: Pick<Plan, "outputs" | "inputs">, classes: number): Port | undefined {
  const [samples, , ...space] = plan.inputs[0]?.shape ?? [];
  const withChannels = (count: number): Port | undefined => plan.outputs.find(({ shape }) => shape.join() === [samples, count, ...space].join());
  return withChannels(classes) ?? withChannels(classes - 1);
}

/** What it takes to validate. */
export interface ValidationSetup {
  /** The plan that predicts, on patches and batches of the sampling. */
  readonly session: Session;
  readonly output: Port;
  readonly cases: readonly Indexed[];
  /** Patches are the same at every validation: those of the steps 0 ..< `batches` under its seed. */
  readonly sampling: Sampling;
  readonly batches: number;
  readonly classes: number;
  /** What the classes but the background are, where they are regions. */
  readonly regions?: readonly Region[] | undefined;
}

/** A batch that was validated: images [N, C, D, H, W], true and found classes [N, D, H, W]. */
export interface Seen {
  readonly draws: readonly Draw[];
  readonly images: Float32Array;
  readonly labels: Float32Array;
  readonly found: Uint8Array;
}

/** Who follows a validation. */
export interface Follower {
  /** Is shown every batch or part of one; the arrays are used again for the next. */
  readonly see?: (seen: Seen) => void;
  /** Is told the share that is done. */
  readonly tell?: (done: number) => void;
  /** Asked before every batch. */
  readonly interrupted?: () => boolean;
}

/** Scores the weights of a training session; undefined where it was interrupted. Regions are scored on what a prediction would write. */
export async function validate({ session, output, cases, sampling, batches, classes, regions }: ValidationSetup, training: Session, { see, tell, interrupted }: Follower = {}): Promise<Validation | undefined> {
  await session.copyWeights(training);
  const [image] = session.plan.inputs;
  if (image === undefined) throw new Error("internal: a network without an input");
  const images = new Float32Array(image.slice.bytes / 4);
  // A batch may come in parts, as in training.
  const parts = partsOf(session.plan, sampling);
  const samples = sampling.batch / parts;
  const labels = new Float32Array(samples * sampling.patch[0] * sampling.patch[1] * sampling.patch[2]);
  const written = regions?.map((region) => region.written);
  const scored = [[0], ...(regions?.map(({ values }) => values) ?? Array.from({ length: classes - 1 }, (_, k) => [k + 1]))];
  let counts: readonly Counts[] | undefined;
  for (let at = 0; at < batches * parts; at++) {
    if (interrupted?.() === true) return undefined;
    const draws = fillBatch(cases, sampling, Math.floor(at / parts), images, labels, (at % parts) * samples);
    session.write(image.name, images);
    await session.run();
    const logits = await session.read(output.name);
    const found = decide(logits, samples, output.shape[1] ?? classes, classes, written);
    const counted = countRegions(found, labels, scored, classes > IGNORED ? undefined : IGNORED);
    counts = counts === undefined ? counted : addCounts(counts, counted);
    see?.({ draws, images, labels, found });
    tell?.((at + 1) / (batches * parts));
  }
  const dice = (counts ?? []).slice(1).map((one) => scoresOf(one).dice);
  return { dice, mean: meanOf(dice) };
}

/** nnU-Net's running score: a tenth of every new one. */
export function runningScore(before: number | undefined, mean: number): number {
  return before === undefined ? mean : 0.9 * before + 0.1 * mean;
}

/** A seed whose patches have nothing to do with those of training. */
export function validationSeed(seed: number): number {
  return (seed ^ 0x5f3759df) >>> 0;
}
