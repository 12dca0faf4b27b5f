// A whole run: the loop with its log, its validations and its checkpoints.

import type { Indexed, Sampling } from "../data/patches.ts";
import type { Session } from "../session.ts";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { checkpointPath, dropFinal, keepFinal, loadCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import type { Checkpoint, Which } from "./checkpoint.ts";
import { culprit, type Within } from "./culprit.ts";
import { RunLog } from "./log.ts";
import { brokenWeights, trainLoop } from "./loop.ts";
import type { Length, StepReport } from "./loop.ts";
import { durationText, progressLine, scoreText, Smoothed } from "./progress.ts";
import type { ClassScore } from "./progress.ts";
import type { Starting } from "../weights/start.ts";
import { firstBroken, gather, numberIn, resume, startWith } from "./state.ts";
import { runningScore, validate } from "./validate.ts";
import type { Seen, ValidationSetup } from "./validate.ts";

/** Where a run tells how it is getting on. */
export interface Teller {
  /** The state of things now, and the share of the work that is done; replaces the last one. */
  readonly update: (text: string, done?: number) => void;
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
  /** Steps without a better score after which the run ends; undefined for never. */
  readonly patience?: number | undefined;
  /** Class names, the background first. */
  readonly classes: readonly string[];
  /** What checkpoints say besides where the run stands. */
  readonly meta: Readonly<Record<string, unknown>>;
  readonly teller: Teller;
  /** What was written into a launch of the session's plan; for messages. */
  readonly within?: ((launch: number) => readonly Within[]) | undefined;
  /** Whoever makes pictures of a validation is shown its batches, and told when it is over. */
  readonly watcher?: { readonly see: (seen: Seen) => void; readonly validated: () => void } | undefined;
}

/** How a run ended. */
export interface Outcome {
  /** Steps done. */
  readonly step: number;
  /** Whether nothing got better for as long as the run waits for. */
  readonly exhausted: boolean;
  /** Whether nothing is left to do, the last validation included. */
  readonly finished: boolean;
  /** The best running score and the step it was reached at. */
  readonly best: { readonly score: number; readonly step: number } | undefined;
  /** The share of the steps' time in which the device waited for data, of those done now. */
  readonly waited: number;
}

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
  #seed = 0;
  #start: Starting | undefined;
  #log: RunLog | undefined;
  #validated = 0;
  /** Seconds of the steps done now, and of these without data. */
  readonly #spent = { seconds: 0, wait: 0 };

  constructor(setup: TrainerSetup) {
    this.#setup = setup;
  }

  /** Steps done so far. */
  get step(): number {
    return this.#step;
  }

  /** Whether the best score is so old that the run ends. */
  get exhausted(): boolean {
    const { patience, validation } = this.#setup;
    return patience !== undefined && validation !== undefined && this.#best !== undefined && this.#validated - this.#best.step >= patience;
  }

  /** Whether nothing is left to do: all steps are done and validated, or the run is exhausted. */
  get finished(): boolean {
    return this.exhausted || (this.#step >= this.#setup.length.total && this.#validated >= this.#step);
  }

  /** Fills the weights with their first values: random ones, or those of another run. */
  async begin(seed: number, start: Starting | undefined): Promise<void> {
    this.#seed = seed;
    this.#start = start;
    await this.#first();
  }

  async #first(): Promise<void> {
    const { session } = this.#setup;
    await session.initialise(this.#seed);
    if (this.#start !== undefined) startWith(session, this.#start.tensors);
  }

  /** Takes up where a checkpoint stands. */
  resume(path: string, checkpoint: Checkpoint): void {
    const { session } = this.#setup;
    this.#step = numberIn(checkpoint, path, "step");
    resume(session, path, checkpoint);
    const { score, best, bestStep, validated } = checkpoint.meta;
    if (typeof score === "number") this.#score = score;
    if (typeof best === "number" && typeof bestStep === "number") this.#best = { score: best, step: bestStep };
    this.#validated = typeof validated === "number" ? validated : this.#step;
    this.#saved = this.#step;
  }

  /** Trains until the last step, until nothing gets better, or until `interrupted`; the latest state is saved in every case. */
  async run(interrupted: () => boolean): Promise<Outcome> {
    const { session, cases, sampling, length, folder } = this.#setup;
    this.#log = new RunLog(folder, this.#saved);
    dropFinal(folder);
    if (this.#start !== undefined) {
      const { how, path, resized } = this.#start;
      this.#log.add({ step: 0, start: how, from: path, resized: resized.length });
    }
    try {
      // A stop may have come between a step and its validation.
      if (this.#step > this.#validated) {
        await this.#afterStep(this.#step, interrupted);
        await this.#save("latest");
      }
      await trainLoop({
        session, cases, sampling, length, from: this.#step,
        interrupted: () => this.exhausted || interrupted(),
        onStep: (report) => this.#onStep(report),
        pauses: (step) => this.#validates(step) || this.#due(step, this.#setup.saveEvery),
        afterStep: (step) => this.#afterStep(step, interrupted),
      });
      if (this.#saved !== this.#step) await this.#save("latest");
    } catch (thrown) {
      throw await this.#explained(thrown, interrupted);
    }
    const { exhausted, finished } = this;
    if (finished) keepFinal(folder);
    const { seconds, wait } = this.#spent;
    return { step: this.#step, exhausted, finished, best: this.#best, waited: seconds === 0 ? 0 : wait / seconds };
  }

  /** To a loss or weights that are no numbers, where they came from. */
  async #explained(thrown: unknown, interrupted: () => boolean): Promise<unknown> {
    const finding = thrown instanceof Fault ? thrown.findings.find(({ code }) => code === "N1061") : undefined;
    if (finding === undefined) return thrown;
    const { session, cases, sampling, length, folder, teller, within } = this.#setup;
    teller.log(`${finding.headline}; looking for where that began`);
    const from = Math.max(0, this.#saved);
    if (this.#saved < 0) await this.#first();
    else resume(session, checkpointPath(folder, "latest"), loadCheckpoint(folder, "latest"));
    // The step that broke is not told of as one that was done.
    const facts = await culprit({ session, cases, sampling, length, from, to: Math.min(length.total, this.#step + 1), within: within ?? (() => []), tell: teller.update, interrupted });
    return new Fault(diagnostic("N1061", finding.headline, { facts: [...finding.facts, ...facts], hint: finding.hint }));
  }

  #onStep({ step, loss, rate, dials, scale, seconds, wait }: StepReport): void {
    const { teller } = this.#setup;
    this.#step = step;
    this.#loss.add(loss);
    this.#seconds.add(seconds);
    this.#spent.seconds += seconds;
    this.#spent.wait += wait;
    const turned = Object.keys(dials).length === 0 ? {} : { dials };
    this.#log?.add({ step, loss, ...(rate === undefined ? {} : { rate }), ...turned, ...(scale === undefined ? {} : { scale }), seconds: Number(seconds.toFixed(4)), wait: Number(wait.toFixed(4)) });
    teller.update(this.#line(), step / this.#setup.length.total);
  }

  async #afterStep(step: number, interrupted: () => boolean): Promise<void> {
    const { saveEvery, length, validation, teller } = this.#setup;
    if (validation !== undefined && this.#validates(step)) {
      // Not told of as validated, so that a run that goes on does it first.
      if (!(await this.#validate(validation, interrupted))) return;
    } else if (this.#due(step, length.steps)) teller.log(this.#line({ scores: false }));
    this.#validated = step;
    if (this.#due(step, saveEvery) && this.#saved !== step) await this.#save("latest");
  }

  /** Whether a step is one of every so many, or the last. */
  #due(step: number, every: number): boolean {
    return every > 0 && (step % every === 0 || step === this.#setup.length.total);
  }

  #validates(step: number): boolean {
    const { validation, validateEvery } = this.#setup;
    return validation !== undefined && this.#due(step, validateEvery);
  }

  /** False where it was interrupted; nothing has changed then. */
  async #validate(validation: ValidationSetup, interrupted: () => boolean): Promise<boolean> {
    const { session, classes, teller, watcher, length } = this.#setup;
    const started = performance.now();
    const found = await validate(validation, session, {
      see: (seen) => watcher?.see(seen), tell: (done) => teller.update(`step ${this.#step}/${length.total}  validating`, done), interrupted,
    });
    if (found === undefined) return false;
    const { dice, mean } = found;
    this.#scores = dice.map((one, n) => ({ name: classes[n + 1] ?? String(n + 1), dice: one }));
    if (mean !== null) this.#score = runningScore(this.#score, mean);
    const seconds = (performance.now() - started) / 1000;
    this.#log?.add({ step: this.#step, dice: Object.fromEntries(this.#scores.map((one) => [one.name, one.dice])), mean, score: this.#score ?? null, seconds: Number(seconds.toFixed(4)) });
    teller.log(`${this.#line({ scores: false })}  pseudo-Dice ${mean === null ? "n/a" : mean.toFixed(3)} (${scoreText(this.#scores)}) in ${durationText(seconds)}`);
    // A running mean of equal scores grows by rounding alone.
    if (mean !== null && this.#score !== undefined && (this.#best === undefined || this.#score > this.#best.score * (1 + 1e-9))) {
      this.#best = { score: this.#score, step: this.#step };
      await this.#save("best");
    }
    watcher?.validated();
    return true;
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
