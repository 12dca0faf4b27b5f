// The training loop: batches in, losses out, until the last step or until somebody stops it.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import { fillBatch } from "../data/patches.ts";
import type { Indexed, Sampling } from "../data/patches.ts";
import type { Session } from "../session.ts";

/** What the compiler calls the input for the true classes. */
const labelPort = "label";

/** Outputs of a training plan that tell the value of a dial. */
const turned = "dial/";

/** How long a run is; `steps` of an epoch may end beyond the run. */
export interface Length {
  /** Steps of the whole run. */
  readonly total: number;
  /** Steps of an epoch. */
  readonly steps: number;
  /** Epochs of the run; a fraction where the run ends within one. */
  readonly epochs: number;
}

/** One step that was done. */
export interface StepReport {
  /** Steps done, this one among them. */
  readonly step: number;
  readonly loss: number;
  /** The learning rate, where the run has one. */
  readonly rate: number | undefined;
  /** Values of the dials that the run turns, by name. */
  readonly dials: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** What a run is made of. */
export interface LoopSetup {
  /** The plan of a training step, with its weights filled. */
  readonly session: Session;
  readonly cases: readonly Indexed[];
  readonly sampling: Sampling;
  readonly length: Length;
  /** Steps done before. */
  readonly from: number;
  /** Told of every step, in order, as soon as its loss is known. */
  readonly onStep: (report: StepReport) => void;
  /** Runs between two steps, after `onStep`: validation and checkpoints. */
  readonly afterStep: (step: number) => Promise<void>;
  /** Asked before every step. */
  readonly interrupted: () => boolean;
}

/** Runs the steps and gives the number of those done. A `Fault` when the loss is no longer a number. */
export async function trainLoop({ session, cases, sampling, length, from, onStep, afterStep, interrupted }: LoopSetup): Promise<number> {
  const { image, label } = batchPorts(session.plan);
  const images = new Float32Array(image.slice.bytes / 4);
  const labels = new Float32Array(label.slice.bytes / 4);
  const outputs = session.plan.outputs.map(({ name }) => name).filter((name) => name === "loss" || name === "rate" || name.startsWith(turned));
  fillBatch(cases, sampling, from, images, labels);
  let step = from;
  while (step < length.total && !interrupted()) {
    const started = performance.now();
    session.write(image.name, images);
    session.write(label.name, labels);
    setDials(session, dialsAt(step, length, sampling.seed));
    await session.run();
    const results = session.readMany(outputs);
    // While the device computes.
    if (step + 1 < length.total) fillBatch(cases, sampling, step + 1, images, labels);
    const values = await results;
    step++;
    const loss = values.get("loss")?.[0] ?? Number.NaN;
    const rate = values.get("rate")?.[0];
    if (!Number.isFinite(loss)) throw diverged(step, loss, rate);
    const dials = Object.fromEntries([...values].flatMap(([name, [value]]) => (name.startsWith(turned) && value !== undefined ? [[name.slice(turned.length), value]] : [])));
    onStep({ step, loss, rate, dials, seconds: (performance.now() - started) / 1000 });
    await afterStep(step);
  }
  return step;
}

/** The dials of a step, by name: what schedules and random draws read. */
export function dialsAt(step: number, length: Length, seed: number): Readonly<Record<string, number>> {
  return { step, epoch: Math.floor(step / length.steps), epochs: length.epochs, steps: length.steps, draw_step: step, draw_seed: seed };
}

/** Sets those of the dials that a plan reads. */
export function setDials(session: Session, dials: Readonly<Record<string, number>>): void {
  for (const { name } of session.plan.uniforms) {
    const value = dials[name];
    if (value !== undefined) session.setUniform(name, value);
  }
}

/** The two inputs of a training plan. */
export function batchPorts(plan: Plan): { readonly image: Plan["inputs"][number]; readonly label: Plan["inputs"][number] } {
  const label = plan.inputs.find(({ name }) => name === labelPort);
  const image = plan.inputs.find(({ name }) => name !== labelPort);
  if (label === undefined || image === undefined) throw new Error(`internal: a training plan with the inputs ${plan.inputs.map(({ name }) => name).join(", ")}`);
  return { image, label };
}

/** What is said when weights or the loss stop being numbers. */
export function diverged(step: number, loss: number, rate: number | undefined): Fault {
  return new Fault(diagnostic("N1061", `the loss is ${loss} at step ${step}`, {
    facts: [
      ...(rate === undefined ? [] : [`The learning rate was ${Number(rate.toPrecision(4))}.`]),
      "The checkpoints of the run are as they were before.",
    ],
    hint: "a lower rate (`lr`), a `clip`, or a warm-up usually helps; look at the intensities of the images too",
  }));
}

/** As `diverged`, for a step whose loss was a number but whose update was not. */
export function brokenWeights(step: number, name: string): Fault {
  return new Fault(diagnostic("N1061", `\`${name}\` is no longer a number after step ${step}`, {
    facts: ["The loss of the step was still one; its gradient was not.", "The checkpoints of the run are as they were before."],
    hint: "a lower rate (`lr`), a `clip`, or a warm-up usually helps",
  }));
}
