// The log of a run: one JSON object per line, one line per step and per validation, and the same numbers for TensorBoard.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { writeAtomic } from "../files.ts";
import { EventFile, type Scalars } from "../tensorboard.ts";

/** One step that was done. */
export interface StepEntry {
  /** Steps done, this one among them. */
  readonly step: number;
  readonly loss: number;
  readonly rate?: number;
  /** Values of the dials that the run turns. */
  readonly dials?: Readonly<Record<string, number>>;
  /** What the loss was multiplied by, in half precision; where the next step has less, this one changed nothing. */
  readonly scale?: number;
  readonly seconds: number;
  /** Seconds of these in which the device waited for its batch. */
  readonly wait?: number;
}

/** One validation. */
export interface ValidationEntry {
  readonly step: number;
  /** By class name; null where there was nothing to score. */
  readonly dice: Readonly<Record<string, number | null>>;
  readonly mean: number | null;
  /** The running mean. */
  readonly score: number | null;
  readonly seconds: number;
}

/** Where the first weights came from. */
export interface StartEntry {
  readonly step: 0;
  readonly start: "load" | "upkern";
  readonly from: string;
  readonly resized: number;
}

/** One line of the log. */
export type LogEntry = StepEntry | ValidationEntry | StartEntry;

/** A line with the moment it was written, in seconds since 1970. */
export type Logged<E extends LogEntry = LogEntry> = E & { readonly time?: number };

/** The log of a run folder. */
export const logPath = (folder: string): string => join(folder, "log.jsonl");

/** Every line of a run's log that is whole; none where there is no log. */
export function readLog(folder: string): readonly Logged[] {
  const path = logPath(folder);
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").split("\n").flatMap((line) => entryOf(line) ?? []);
}

/** Undefined for a line that was cut off when the process died. */
function entryOf(line: string): Logged | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry === "object" && entry !== null && "step" in entry && typeof entry.step === "number") return entry as Logged;
  } catch {
    // Said by the result.
  }
  return undefined;
}

/** Whether a line tells of a step. */
export const isStep = (entry: Logged): entry is Logged<StepEntry> => "loss" in entry;

/** Whether a line tells of a validation. */
export const isValidation = (entry: Logged): entry is Logged<ValidationEntry> => "dice" in entry;

/** The log of a run that goes on. */
export class RunLog {
  readonly #path: string;
  readonly #events: EventFile;

  /** Takes away what a stopped run logged after `step`, from which it goes on; those steps are done again. */
  constructor(folder: string, step: number) {
    this.#path = logPath(folder);
    const kept = readLog(folder).filter((entry) => entry.step <= step);
    if (existsSync(this.#path)) writeAtomic(this.#path, kept.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
    this.#events = new EventFile(folder, kept.flatMap((entry) => scalarsOf(entry) ?? []));
  }

  /** Adds a line. */
  add(entry: LogEntry): void {
    const logged = { ...entry, time: Math.round(Date.now()) / 1000 };
    const scalars = scalarsOf(logged);
    try {
      appendFileSync(this.#path, `${JSON.stringify(logged)}\n`);
      if (scalars !== undefined) this.#events.add(scalars);
    } catch (error) {
      throw new Fault(diagnostic("N1007", `cannot write ${this.#path}`, { facts: [error instanceof Error ? error.message : String(error)], hint: "make room for it; the checkpoints of the run are whole" }));
    }
  }
}

function scalarsOf(entry: Logged): Scalars | undefined {
  const values = isStep(entry) ? stepValues(entry) : isValidation(entry) ? validationValues(entry) : undefined;
  return values && { time: entry.time ?? 0, step: entry.step, values: Object.fromEntries(Object.entries(values).flatMap(([tag, value]) => (value === null || value === undefined ? [] : [[tag, value]]))) };
}

type Values = Readonly<Record<string, number | null | undefined>>;

const named = (kind: string, values: Values = {}): Values => Object.fromEntries(Object.entries(values).map(([name, value]) => [`${kind}/${name}`, value]));

function stepValues({ loss, rate, dials, scale, seconds, wait }: StepEntry): Values {
  return { loss, rate, "loss scale": scale, ...named("dials", dials), "seconds/step": seconds, "seconds/waiting for data": wait };
}

function validationValues({ dice, mean, score, seconds }: ValidationEntry): Values {
  return { ...named("dice", dice), "pseudo-dice/mean": mean, "pseudo-dice/running mean": score, "seconds/validation": seconds };
}
