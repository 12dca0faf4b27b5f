// Everything that can be found wrong with a file: names, checks, and its runs and networks built once.

import type { Network, Run } from "../../grammar/ast.ts";
import { isError, type Diagnostic } from "../report/diagnostic.ts";
import { runChecks } from "./checks.ts";
import { distinct } from "./guard.ts";
import { instantiate } from "./instantiate.ts";
import type { Program } from "./program.ts";
import { prepareInference, prepareTraining } from "./training.ts";

/** The findings of a loaded file beyond those of loading it. Networks whose number of classes only data tells are tried with 14. */
export function check(program: Program): readonly Diagnostic[] {
  const findings: Diagnostic[] = [...runChecks(program.main)];
  for (const item of program.main.file.items) if (item.kind === "run") findings.push(...tried(program, item));
  for (const item of program.main.file.items) {
    const witness = item.kind === "network" && item.alias === undefined ? witnessOf(item) : undefined;
    if (witness === undefined || item.kind !== "network" || findings.some(isError)) continue;
    const { findings: found } = instantiate(program, item.name.text, { ...witness, training: true });
    // What the shapes are is only guessed here, so nothing is said of them.
    findings.push(...found.filter((f) => !f.code.startsWith("N04")));
  }
  return distinct(findings);
}

/** Arguments with which a network can be tried that no run and no check builds; undefined where no guess is likely to fit. */
function witnessOf(network: Network): { readonly set: Readonly<Record<string, string>>; readonly inputs: readonly (readonly number[])[] } | undefined {
  const set: Record<string, string> = {};
  const inputs: number[][] = [];
  const guesses: Readonly<Record<string, string>> = { int: "2", float: "1.0", bool: "false", size: "3" };
  for (const port of network.ports) {
    if (port.value !== undefined) continue;
    if (port.type.kind === "static") {
      const guess = port.type.lists === 0 ? guesses[port.type.name.text] : undefined;
      if (guess === undefined) return undefined;
      set[port.name.text] = guess;
    } else {
      const extents = port.type.shape.map(({ pack, term }) => (term.kind !== "name" ? undefined : pack ? [64, 64, 64] : [1]));
      if (extents.some((e) => e === undefined)) return undefined;
      inputs.push(extents.flatMap((e) => e ?? []));
    }
  }
  return { set, inputs };
}

function tried(program: Program, run: Run): readonly Diagnostic[] {
  const prepare = run.mode === "train" ? prepareTraining : prepareInference;
  const { findings } = prepare(program, run);
  const open = findings.some((f) => f.code === "N0805" && f.headline.startsWith("how many classes"));
  return open ? prepare(program, run, { classes: 14 }).findings : findings;
}
