// What a call refuses, as findings.

import { Fault, type Diagnostic } from "../compiler/report/diagnostic.ts";

/** The findings with which `run` ends; an error where it ends well. */
export function refused(run: () => unknown): readonly Diagnostic[] {
  try {
    run();
  } catch (error) {
    if (error instanceof Fault) return error.findings;
    throw error;
  }
  throw new Error("nothing was wrong");
}
