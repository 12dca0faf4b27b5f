// Pseudo-Dice: how well the network does on fixed patches while it trains, without sliding over whole images.

import type { Plan, Port } from "../../compiler/plan/plan.ts";
import { IGNORED } from "../data/case.ts";
import { fillBatch } from "../data/patches.ts";
import type { Draw, Indexed, Sampling } from "../data/patches.ts";
import { decide } from "../infer/decide.ts";
import type { Session } from "../session.ts";
import { addCounts, countOverlap, meanOf, scoresOf } from "./metrics.ts";
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
}

/** A batch that was validated: images [N, C, D, H, W], true and found classes [N, D, H, W]. */
export interface Seen {
  readonly draws: readonly Draw[];
  readonly images: Float32Array;
  readonly labels: Float32Array;
  readonly found: Uint8Array;
}

/** Scores the weights of a training session; `see` is shown every batch, whose arrays are used again for the next. */
export async function validate({ session, output, cases, sampling, batches, classes }: ValidationSetup, training: Session, see: (seen: Seen) => void = () => {}): Promise<Validation> {
  await session.copyWeights(training);
  const [image] = session.plan.inputs;
  if (image === undefined) throw new Error("internal: a network without an input");
  const images = new Float32Array(image.slice.bytes / 4);
  const labels = new Float32Array((sampling.batch * sampling.patch[0] * sampling.patch[1] * sampling.patch[2]));
  let counts: readonly Counts[] | undefined;
  for (let batch = 0; batch < batches; batch++) {
    const draws = fillBatch(cases, sampling, batch, images, labels);
    session.write(image.name, images);
    await session.run();
    const logits = await session.read(output.name);
    const found = decide(logits, sampling.batch, output.shape[1] ?? classes, classes);
    const counted = countOverlap(found, labels, classes, classes > IGNORED ? undefined : IGNORED);
    counts = counts === undefined ? counted : addCounts(counts, counted);
    see({ draws, images, labels, found });
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
