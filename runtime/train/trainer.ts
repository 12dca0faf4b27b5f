// A whole run: the loop with its log, its validations and its checkpoints.

import { join } from "node:path";
import type { Indexed, Sampling } from "../data/patches.ts";
import type { Session } from "../session.ts";
import { saveCheckpoint } from "./checkpoint.ts";
import type { Checkpoint, Which } from "./checkpoint.ts";
import { appendLog, trimLog } from "./log.ts";
import { brokenWeights, trainLoop } from "./loop.ts";
import type { Length, StepReport } from "./loop.ts";
import { durationText, progressLine, scoreText, Smoothed } from "./progress.ts";
import type { ClassScore } from "./progress.ts";
import type { Starting } from "../weights/start.ts";
import { firstBroken, gather, numberIn, resume, startWith } from "./state.ts";
import { runningScore, validate } from "./validate.ts";
import type { ValidationSetup } from "./validate.ts";

/** Where a run tells how it is getting on. */
export interface Teller {
  /** The state of things now; replaces the last one. */
  readonly update: (text: string) => void;
  /** A line that stays. */
  readonly log: (text: string) => void;
}

export interface TrainerSetup {
  readonly session: Session;
  /** Undefined to train without validation. */
  readonly validation: ValidationSetup | undefined;
  readonly cases: readonly Indexed[];
  readonly sampling: Sampling;
  readonly length: Length;
  /** The run folder, which exists. */
  readonly folder: string;
  readonly validateEvery: number;
  readonly saveEvery: number;
  /** Class names, the background first. */
  readonly classes: readonly string[];
  /** What checkpoints say besides where the run stands. */
  readonly meta: Readonly<Record<string, unknown>>;
  readonly teller: Teller;
}

/** How a run ended. */
export interface Outcome {
  /** Steps done. */
  readonly step: number;
  /** The best running score and the step it was reached at. */
  readonly best: { readonly score: number; readonly step: number } | undefined;
}

/** The log of a run folder. */
export const logPath = (folder: string): string => join(folder, "log.jsonl");

/** A run that can be begun or gone on with. */
export class Trainer {
  readonly #setup: TrainerSetup;
  readonly #loss = new Smoothed(0.95);
  readonly #seconds = new Smoothed(0.8);
  #scores: readonly ClassScore[] = [];
  #score: number | undefined;
  #best: Outcome["best"];
  #step = 0;
  #saved = -1;
  #start: Starting | undefined;
  #validated = 0;

  constructor(setup: TrainerSetup) {
    this.#setup = setup;
  }

  /** Steps done so far. */
  get step(): number {
    return this.#step;
  }

  /** Fills the weights with their first values: random ones, or those of another run. */
  async begin(seed: number, start: Starting | undefined): Promise<void> {
    const { session, folder } = this.#setup;
    // A run that ended before its first checkpoint may have left lines.
    trimLog(logPath(folder), -1);
    await session.initialise(seed);
    if (start !== undefined) startWith(session, start.tensors);
    this.#start = start;
  }

  /** Takes up where a checkpoint stands. */
  resume(path: string, checkpoint: Checkpoint): void {
    const { session, folder } = this.#setup;
    this.#step = numberIn(checkpoint, path, "step");
    resume(session, path, checkpoint);
    const { score, best, bestStep, validated } = checkpoint.meta;
    if (typeof score === "number") this.#score = score;
    if (typeof best === "number" && typeof bestStep === "number") this.#best = { score: best, step: bestStep };
    this.#validated = typeof validated === "number" ? validated : this.#step;
    this.#saved = this.#step;
    trimLog(logPath(folder), this.#step);
  }

  /** Trains until the last step or until `interrupted`; the latest state is saved either way. */
  async run(interrupted: () => boolean): Promise<Outcome> {
    const { session, cases, sampling, length, folder } = this.#setup;
    if (this.#start !== undefined) {
      const { how, path, resized } = this.#start;
      appendLog(logPath(folder), { step: 0, start: how, from: path, resized: resized.length });
    }
    // A stop may have come between a step and its validation.
    if (this.#step > this.#validated) await this.#afterStep(this.#step, interrupted);
    await trainLoop({
      session, cases, sampling, length, from: this.#step, interrupted,
      onStep: (report) => this.#onStep(report),
      afterStep: (step) => this.#afterStep(step, interrupted),
    });
    if (this.#saved !== this.#step) await this.#save("latest");
    return { step: this.#step, best: this.#best };
  }

  #onStep({ step, loss, rate, seconds }: StepReport): void {
    const { folder, teller } = this.#setup;
    this.#step = step;
    this.#loss.add(loss);
    this.#seconds.add(seconds);
    appendLog(logPath(folder), { step, loss, ...(rate === undefined ? {} : { rate }), seconds: Number(seconds.toFixed(4)) });
    teller.update(this.#line());
  }

  async #afterStep(step: number, interrupted: () => boolean): Promise<void> {
    const { validateEvery, saveEvery, length, validation } = this.#setup;
    const last = step === length.total;
    const due = (every: number): boolean => every > 0 && (step % every === 0 || last);
    if (validation !== undefined && due(validateEvery)) {
      if (interrupted()) return;
      await this.#validate(validation);
    }
    this.#validated = step;
    if (due(saveEvery) && this.#saved !== step) await this.#save("latest");
  }

  async #validate(validation: ValidationSetup): Promise<void> {
    const { session, classes, folder, teller } = this.#setup;
    const started = performance.now();
    const { dice, mean } = await validate(validation, session);
    this.#scores = dice.map((one, n) => ({ name: classes[n + 1] ?? String(n + 1), dice: one }));
    if (mean !== null) this.#score = runningScore(this.#score, mean);
    const seconds = (performance.now() - started) / 1000;
    appendLog(logPath(folder), { step: this.#step, dice: Object.fromEntries(this.#scores.map((one) => [one.name, one.dice])), mean, score: this.#score ?? null, seconds: Number(seconds.toFixed(4)) });
    teller.log(`${this.#line({ scores: false })}  pseudo-Dice ${mean === null ? "n/a" : mean.toFixed(3)} (${scoreText(this.#scores)}) in ${durationText(seconds)}`);
    if (mean === null || this.#score === undefined || (this.#best !== undefined && this.#score <= this.#best.score)) return;
    this.#best = { score: this.#score, step: this.#step };
    await this.#save("best");
  }

  async #save(which: Which): Promise<void> {
    const { session, folder, meta } = this.#setup;
    const tensors = await gather(session);
    const broken = firstBroken(tensors);
    if (broken !== undefined) throw brokenWeights(this.#step, broken);
    const standing = { step: this.#step, score: this.#score ?? null, best: this.#best?.score ?? null, bestStep: this.#best?.step ?? null, validated: this.#validated };
    saveCheckpoint(folder, which, { tensors, meta: { ...meta, ...standing } });
    if (which === "latest") this.#saved = this.#step;
  }

  #line({ scores = true } = {}): string {
    const { total } = this.#setup.length;
    return progressLine({ step: this.#step, total, loss: this.#loss.value, scores: scores ? this.#scores : [], secondsPerStep: this.#seconds.value });
  }
}
