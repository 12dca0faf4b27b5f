// The boundary of an evaluation: faults become findings, also when the stack runs out.

import type { Term } from "../../grammar/ast.ts";
import { parse } from "../../grammar/parse.ts";
import { diagnostic, Fault, type Diagnostic } from "../report/diagnostic.ts";
import { framesOf } from "./env.ts";
import type { World } from "./values.ts";

/** Runs an evaluation; what it throws about the user's text joins `findings`. */
export function guarded<T>(world: World, findings: Diagnostic[], run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof Fault) findings.push(...error.findings);
    else if (error instanceof RangeError && /call stack/i.test(error.message)) {
      const name = world.busy[world.busy.length - 1];
      findings.push(diagnostic("N0504", "this never comes to an end", {
        labels: name ? [{ span: name.span, text: "evaluated deeper and deeper" }] : [],
        frames: framesOf(world.deepest),
        hint: "a block that uses itself needs an `if` that stops it; a family needs a first case",
      }));
    } else throw error;
    return undefined;
  }
}

/** Findings without repetitions: one text can be instantiated many times. */
export function distinct(findings: readonly Diagnostic[]): readonly Diagnostic[] {
  const seen = new Set<string>();
  return findings.filter((f) => {
    const at = f.labels[0]?.span;
    const key = `${f.code} ${at ? `${at.file.path}:${at.start}` : f.headline}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** An expression given as a text of its own, on the command line say. */
export function parseTerm(text: string, from: string): { term: Term | undefined; findings: readonly Diagnostic[] } {
  const { file, findings } = parse({ path: from, text: `check ${text}` });
  const [only] = file.items;
  return { term: only?.kind === "check" ? only.test : undefined, findings };
}
