// `FILE#Net`: a file and the network or run in it that a command is about.

import { instantiate, type Branch, type Program } from "../compiler/front/front.ts";
import type { Graph } from "../compiler/ir/graph.ts";
import { UsageError } from "./arguments.ts";
import { loadFile, withoutErrors, type Loaded } from "./compile.ts";

export interface Target {
  readonly loaded: Loaded;
  /** The part after `#`, or the file's last network. */
  readonly name: string;
}

/** Takes `FILE#Net` apart and loads the file. */
export function openTarget(text: string): Target {
  const at = text.lastIndexOf("#");
  const loaded = loadFile(at < 0 ? text : text.slice(0, at));
  const name = at < 0 ? lastNetwork(loaded.program) : text.slice(at + 1);
  if (name === undefined || name === "") throw new UsageError(`which network of ${loaded.path}?`, "write FILE#Net");
  return { loaded, name };
}

function lastNetwork(program: Program): string | undefined {
  return program.main.file.items.flatMap((i) => (i.kind === "network" ? [i.name.text] : [])).pop();
}

/** The names of a file's `train` runs that train the named network, or the run of that name. */
export function runsOf(target: Target): readonly (string | undefined)[] {
  const runs = target.loaded.program.main.file.items.flatMap((i) => (i.kind === "run" && i.mode === "train" ? [i] : []));
  const named = runs.filter((r) => r.name?.text === target.name);
  if (named.length > 0) return [target.name];
  return runs.filter((r) => (r.target.kind === "call" ? r.target.head : r.target).kind === "name"
    && ((r.target.kind === "call" ? r.target.head : r.target) as { text: string }).text === target.name).map((r) => r.name?.text);
}

/** Builds the target's graph for inputs of one shape; a `Fault` with what is wrong. */
export function graphFor(target: Target, set: Readonly<Record<string, string>>, input: readonly number[], training: boolean): { readonly graph: Graph; readonly report: Branch } {
  const { graph, findings, report } = instantiate(target.loaded.program, target.name, { set, inputs: [input], training });
  withoutErrors(findings);
  if (!graph || !report) throw new Error("internal: no graph and no finding");
  return { graph, report };
}
