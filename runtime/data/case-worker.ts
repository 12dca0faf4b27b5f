// A worker thread that measures and prepares cases, one after the other.

import { parentPort } from "node:worker_threads";
import { Fault, type Diagnostic } from "../../compiler/report/diagnostic.ts";
import { doCaseWork, type CaseWork, type WorkResult } from "./case-work.ts";

/** What the thread answers to a piece of work. */
export type Answer = { readonly result: WorkResult } | { readonly findings: readonly Diagnostic[] } | { readonly broken: string };

function answerTo(work: CaseWork): Answer {
  try {
    return { result: doCaseWork(work) };
  } catch (error) {
    if (error instanceof Fault) return { findings: error.findings };
    return { broken: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort?.on("message", (work: CaseWork) => parentPort?.postMessage(answerTo(work)));
