// From a `.net` file on disk to graphs: what training, prediction and the inspecting commands share.

import { join } from "node:path";
import {
  load, prepareInference, prepareTraining, type Program, type Reader, type RunOptions, type RunSettings,
} from "../compiler/front/front.ts";
import type { Graph, TrainingGraph } from "../compiler/ir/graph.ts";
import type { Plan } from "../compiler/plan/plan.ts";
import { diagnostic, Fault, isError, type Diagnostic } from "../compiler/report/diagnostic.ts";
import { read, stdFolder } from "./files.ts";

/** A file with everything it needs, names resolved. */
export interface Loaded {
  readonly path: string;
  readonly program: Program;
  readonly warnings: readonly Diagnostic[];
  /** Every text that was read, by the path under which the compiler knows it. */
  readonly texts: ReadonlyMap<string, string>;
}

/** Reads texts from the disk; `std:ops.net` lies in the folder of the standard library. */
export function diskReader(std: string = stdFolder()): Reader {
  return (path) => read(path.startsWith("std:") ? join(std, path.slice(4)) : path);
}

/** Loads a file; a `Fault` with all that is wrong with it. */
export function loadFile(path: string, reader: Reader = diskReader()): Loaded {
  const texts = new Map<string, string>();
  const { program, findings } = load(path, (one) => {
    const text = reader(one);
    if (text !== undefined) texts.set(one, text);
    return text;
  });
  const warnings = withoutErrors(findings);
  if (program === undefined) throw new Fault(diagnostic("N0202", `there is no file \`${path}\``, { hint: "check the path; it is taken from the current folder" }));
  return { path, program, warnings, texts };
}

/** The warnings of a list; a `Fault` when it holds errors. */
export function withoutErrors(findings: readonly Diagnostic[]): readonly Diagnostic[] {
  const errors = findings.filter(isError);
  if (errors.length > 0) throw new Fault(...errors);
  return findings;
}

/** What a `train` run is, before a device is known. */
export interface TrainingRun {
  readonly training: TrainingGraph;
  readonly settings: RunSettings;
  readonly warnings: readonly Diagnostic[];
}

/** A `train` run of a file, the first one when no name is given. */
export function trainingRun(loaded: Loaded, name: string | undefined, options: RunOptions): TrainingRun {
  const { training, settings, findings } = prepareTraining(loaded.program, name, options);
  const warnings = withoutErrors(findings);
  if (training === undefined || settings === undefined) throw new Error("internal: no training graph and no finding");
  return { training, settings, warnings };
}

/** The network of a run as it predicts. */
export function inferenceRun(loaded: Loaded, name: string | undefined, options: RunOptions): { readonly graph: Graph; readonly settings: RunSettings } {
  const { graph, settings, findings } = prepareInference(loaded.program, name, options);
  withoutErrors(findings);
  if (graph === undefined || settings === undefined) throw new Error("internal: no graph and no finding");
  return { graph, settings };
}

/** How many values a plan learns. */
export function parametersOf(plan: Pick<Plan, "weights">): number {
  return plan.weights.reduce((sum, { shape }) => sum + shape.reduce((n, extent) => n * extent, 1), 0);
}
