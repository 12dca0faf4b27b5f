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
  /** Seconds of these, or before them, in which the device had nothing to do for want of this step's batch; too high rather than too low. */
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
  /** Told of every step, in order, as soon as its loss is known. The next one may be under way then. */
  readonly onStep: (report: StepReport) => void;
  /** Whether `afterStep` needs the session as this step has left it; the next one begins only when that is done. */
  readonly pauses: (step: number) => boolean;
  /** Follows every `onStep`: validation and checkpoints. */
  readonly afterStep: (step: number) => Promise<void>;
  /** Asked before every step is begun; those that are under way are ended. */
  readonly interrupted: () => boolean;
}

/** Seconds that a step takes before nothing is gained by beginning the next one early, and who stops the run would wait for two. */
const long = 1;

/**
 * Runs the steps and gives the number of those done. The loss of a step comes back while the device is at the next one. A `Fault` when
 * the loss is no longer a number: then no later step is told of, and the step before was the last that `afterStep` followed.
 */
export async function trainLoop(setup: LoopSetup): Promise<number> {
  const { session, cases, sampling, length, from, onStep, pauses, afterStep, interrupted } = setup;
  const feed = new Feed(session, cases, sampling);
  const load = new Load(feed);
  const under: Begun[] = [];
  let step = from;
  let last = { at: 0, seconds: Infinity };
  const endTo = async (most: number): Promise<void> => {
    for (let [first] = under; first !== undefined && under.length > most; [first] = under) {
      const { report, at } = await ended(first, last.at);
      last = { at, seconds: report.seconds };
      under.shift();
      onStep(report);
      await afterStep(report.step);
    }
  };
  try {
    while (step < length.total && !interrupted()) {
      under.push(await begin(setup, feed, load, step++));
      await endTo(pauses(step) || last.seconds > long ? 0 : 1);
    }
    await endTo(0);
    return step;
  } finally {
    await Promise.allSettled(under.flatMap(({ parts }) => parts));
    await feed.close();
  }
}

/** A step that the device was given; times in milliseconds. */
interface Begun {
  readonly step: number;
  readonly started: number;
  readonly wait: number;
  /** What each part gives, and when. */
  readonly parts: readonly Promise<{ readonly values: ReadonlyMap<string, Float32Array>; readonly at: number }>[];
}

/** Gives the device the step after `done` others, part by part. */
async function begin({ session, sampling, length }: LoopSetup, feed: Feed, load: Load, done: number): Promise<Begun> {
  const outputs = session.plan.outputs.map(({ name }) => name).filter((name) => name === "loss" || name === "rate" || name === "scale" || name.startsWith(turned));
  const count = feed.parts;
  const started = performance.now();
  const parts: Begun["parts"][number][] = [];
  let wait = 0;
  for (let part = 0; part < count; part++) {
    const number = done * count + part;
    const wanted = performance.now();
    await feed.give(number);
    wait += load.add(wanted);
    setDials(session, dialsAt(done, length, sampling.seed, { part, parts: count }));
    await session.run({ update: part === count - 1 });
    const result = session.readMany(outputs).then((values) => ({ values, at: load.take() }));
    // Told by whoever awaits it.
    result.catch(() => undefined);
    parts.push(result);
    // While the device computes.
    if (number + 1 < length.total * count) feed.prepare(number + 1);
  }
  return { step: done + 1, started, wait, parts };
}

/** What a step gave, once it is done; the step before was done at `before`. */
async function ended({ step, started, wait, parts }: Begun, before: number): Promise<{ readonly report: StepReport; readonly at: number }> {
  let [loss, at] = [0, 0];
  let values: ReadonlyMap<string, Float32Array> = new Map();
  for (const part of parts) {
    ({ values, at } = await part);
    loss += (values.get("loss")?.[0] ?? Number.NaN) / parts.length;
  }
  const rate = values.get("rate")?.[0];
  if (!Number.isFinite(loss)) throw diverged(step, loss, rate);
  const dials = Object.fromEntries([...values].flatMap(([name, [value]]) => (name.startsWith(turned) && value !== undefined ? [[name.slice(turned.length), value]] : [])));
  return { report: { step, loss, rate, dials, scale: values.get("scale")?.[0], seconds: (at - Math.max(started, before)) / 1000, wait: wait / 1000 }, at };
}

/** What the device has to do, as far as the processor knows. Times in milliseconds. */
class Load {
  readonly #feed: Feed;
  #parts = 0;
  /** When it was done with all that it had, and how long before that it may have been so unseen. */
  #done = { at: 0, unseen: 0 };

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** One part more. Gives the time that the device has waited for it since it was `wanted`. */
  add(wanted: number): number {
    const { at, unseen } = this.#done;
    return this.#parts++ > 0 ? 0 : performance.now() - Math.max(at, wanted) + unseen;
  }

  /** The oldest part is done: gives the time. */
  take(): number {
    const at = performance.now();
    if (--this.#parts === 0) this.#done = { at, unseen: this.#feed.unseen() };
    return at;
  }
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
