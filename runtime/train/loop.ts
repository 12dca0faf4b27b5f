// The training loop: batches in, losses out, until the last step or until somebody stops it.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Indexed, Sampling } from "../data/patches.ts";
import type { Session } from "../session.ts";
import { Feed } from "./feed.ts";

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
  /** What the loss was multiplied by, in half precision. */
  readonly scale: number | undefined;
  readonly seconds: number;
  /** Seconds of these in which the device had nothing to do for want of its batch; too high rather than too low. */
  readonly wait: number;
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
export async function trainLoop(setup: LoopSetup): Promise<number> {
  const feed = new Feed(setup.session, setup.cases, setup.sampling);
  try {
    let step = setup.from;
    while (step < setup.length.total && !setup.interrupted()) {
      setup.onStep(await oneStep(setup, feed, step));
      step++;
      await setup.afterStep(step);
    }
    return step;
  } finally {
    await feed.close();
  }
}

/** Does the step after `done` others, part by part. */
async function oneStep({ session, sampling, length }: LoopSetup, feed: Feed, done: number): Promise<StepReport> {
  const outputs = session.plan.outputs.map(({ name }) => name).filter((name) => name === "loss" || name === "rate" || name === "scale" || name.startsWith(turned));
  const { parts } = feed;
  const started = performance.now();
  let [loss, wait] = [0, 0];
  let values: ReadonlyMap<string, Float32Array> = new Map();
  for (let part = 0; part < parts; part++) {
    const number = done * parts + part;
    wait += await feed.give(number);
    setDials(session, dialsAt(done, length, sampling.seed, { part, parts }));
    await session.run({ update: part === parts - 1 });
    const results = session.readMany(outputs);
    // While the device computes.
    if (number + 1 < length.total * parts) feed.prepare(number + 1);
    values = await results;
    wait += feed.unseen();
    loss += (values.get("loss")?.[0] ?? Number.NaN) / parts;
  }
  const step = done + 1;
  const rate = values.get("rate")?.[0];
  if (!Number.isFinite(loss)) throw diverged(step, loss, rate);
  const dials = Object.fromEntries([...values].flatMap(([name, [value]]) => (name.startsWith(turned) && value !== undefined ? [[name.slice(turned.length), value]] : [])));
  return { step, loss, rate, dials, scale: values.get("scale")?.[0], seconds: (performance.now() - started) / 1000, wait: wait / 1000 };
}

/** A part of a step, from 0, and how many there are. */
export interface Part {
  readonly part: number;
  readonly parts: number;
}

/** The dials of a step, by name: what schedules, random draws and sums of gradients read. Every part of a step draws anew. */
export function dialsAt(step: number, length: Length, seed: number, { part, parts }: Part = { part: 0, parts: 1 }): Readonly<Record<string, number>> {
  return { step, epoch: Math.floor(step / length.steps), epochs: length.epochs, steps: length.steps, draw_step: step * parts + part, draw_seed: seed, "gradient/part": part };
}

/** Sets those of the dials that a plan reads. */
export function setDials(session: Session, dials: Readonly<Record<string, number>>): void {
  for (const { name } of session.plan.uniforms) {
    const value = dials[name];
    if (value !== undefined) session.setUniform(name, value);
  }
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
