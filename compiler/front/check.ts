// Everything that can be found wrong with a file: names, checks, and its runs built once.

import type { Run } from "../../grammar/ast.ts";
import type { Diagnostic } from "../report/diagnostic.ts";
import { runChecks } from "./checks.ts";
import { distinct } from "./guard.ts";
import type { Program } from "./program.ts";
import { prepareInference, prepareTraining } from "./training.ts";

/** The findings of a loaded file beyond those of loading it. Networks whose number of classes only data tells are tried with 14. */
export function check(program: Program): readonly Diagnostic[] {
  const findings: Diagnostic[] = [...runChecks(program.main)];
  for (const item of program.main.file.items) if (item.kind === "run") findings.push(...tried(program, item));
  return distinct(findings);
}

function tried(program: Program, run: Run): readonly Diagnostic[] {
  const prepare = run.mode === "train" ? prepareTraining : prepareInference;
  const { findings } = prepare(program, run);
  const open = findings.some((f) => f.code === "N0805" && f.headline.startsWith("how many classes"));
  return open ? prepare(program, run, { classes: 14 }).findings : findings;
}
