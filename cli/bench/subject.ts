// What is timed: a training step or a prediction, planned for a device, with the numbers that go in.

import { compile, compileTraining, type Compiled } from "../../compiler/pipeline.ts";
import type { Plan, Profile } from "../../compiler/plan/plan.ts";
import type { Device } from "../../runtime/device.ts";
import { draws } from "../../runtime/draws.ts";
import type { Session } from "../../runtime/session.ts";
import { dialsAt, setDials } from "../../runtime/train/loop.ts";
import { UsageError } from "../arguments.ts";
import { inferenceRun, trainingRun } from "../compile.ts";
import { graphFor, openTarget, runsOf, type Target } from "../target.ts";
import { forgetMost, resident } from "./resident.ts";

/** What may be said about a step besides its file. */
export interface Wish {
  /** N,C,D,H,W; undefined for what the run says. */
  readonly input: readonly number[] | undefined;
  readonly set: Readonly<Record<string, string>>;
  /** The network alone, as it predicts. */
  readonly predict: boolean;
  /** Bytes that all buffers together may take; where it is Infinity, what the run says. */
  readonly budget: number;
}

export interface Subject {
  /** The part after `#`. */
  readonly name: string;
  readonly network: string;
  readonly plan: Plan;
  readonly again: Compiled["again"];
  /** From the text to the plan, in milliseconds. */
  readonly planned: number;
  /** Bytes that the process took at most meanwhile. */
  readonly most: number;
  /** Gives inputs and dials values that a training could have. */
  readonly feed: (session: Session) => void;
  /** Queues a whole step: as many runs as its batch has parts. */
  readonly step: (session: Session) => Promise<void>;
}

/** Plans one `FILE#Net` or `FILE#run` for a device. */
export function subjectOf(text: string, wish: Wish, { profile }: Device): Subject {
  forgetMost();
  const started = performance.now();
  const { name, network, compile: planned, feed, parts, dials } = subjectsOf(text, wish);
  const { plan, again } = planned(profile);
  return {
    name, network, plan, again, planned: performance.now() - started, most: resident().most, feed,
    step: async (session) => {
      for (let part = 0; part < parts; part++) {
        setDials(session, { ...dials, "gradient/part": part });
        await session.run({ update: part === parts - 1 });
      }
    },
  };
}

/** A step that can be planned for any adapter, any number of times. */
export interface Subjects {
  readonly name: string;
  readonly network: string;
  readonly compile: (profile: Profile) => Compiled;
  /** Gives inputs and dials values that a training could have. */
  readonly feed: (session: Session) => void;
  readonly parts: number;
  readonly dials: Readonly<Record<string, number>>;
}

/** Reads one `FILE#Net` or `FILE#run`. */
export function subjectsOf(text: string, { input, set, predict, budget }: Wish): Subjects {
  const feeding = (classes: number, dials: Readonly<Record<string, number>>) => (session: Session): void => {
    setDials(session, dials);
    for (const { name: port, slice } of session.plan.inputs) session.write(port, valuesOf(port, slice.bytes / 4, classes));
  };
  const target = openTarget(text);
  const { name, loaded } = target;
  const runs = runsOf(target);
  if (runs.length === 0) {
    if (!predict) throw withoutRun(target);
    if (input === undefined) throw new UsageError("which input?", "for example --input 1,1,64,64,64");
    const { graph } = graphFor(target, set, input, false);
    return { name, network: name, compile: (profile) => compile(graph, profile), feed: feeding(0, {}), parts: 1, dials: {} };
  }
  const options = { set, ...(input && { batch: input[0], channels: input[1], patch: input.slice(2) }) };
  const [run] = runs;
  if (predict) {
    const { graph, settings } = inferenceRun(loaded, run, options);
    return { name, network: settings.network, compile: (profile) => compile(graph, profile), feed: feeding(settings.classes, {}), parts: 1, dials: {} };
  }
  const { training, settings } = trainingRun(loaded, run, options);
  const { network, classes, steps, epochs, seed, accumulate: parts, memory = Infinity } = settings;
  const dials = dialsAt(0, { total: steps * epochs, steps, epochs }, seed);
  const compiling = (profile: Profile): Compiled => compileTraining(training, profile, budget === Infinity ? memory : budget);
  return { name, network, compile: compiling, feed: feeding(classes, dials), parts, dials };
}

function withoutRun({ name, loaded: { path, program } }: Target): UsageError {
  const { items } = program.main.file;
  const runs = items.flatMap((i) => (i.kind === "run" && i.mode === "train" && i.name ? [i.name.text] : []));
  const hint = runs.length > 0 ? `its runs are ${runs.join(", ")}` : "the loss and the optimiser of a step come from a run";
  const isNetwork = items.some((i) => i.kind === "network" && i.name.text === name);
  if (!isNetwork) return new UsageError(`there is no network and no \`train\` run \`${name}\` in ${path}`, hint);
  return new UsageError(`no \`train\` run of ${path} is about \`${name}\``, `${hint}; \`--predict\` times the network alone`);
}

/** Labels are classes, everything else is uniform in -1 ..< 1. */
function valuesOf(input: string, count: number, classes: number): Float32Array<ArrayBuffer> {
  const drawn = draws(0, input === "label" ? 1 : 0);
  return Float32Array.from({ length: count }, () => (input === "label" ? drawn.below(classes) : 2 * drawn.next() - 1));
}
