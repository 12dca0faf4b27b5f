// The log of a run: one JSON object per line, one line per step and per validation.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { writeAtomic } from "../files.ts";

/** One line of the log. Every entry has `step`. */
export type LogEntry = { readonly step: number } & Readonly<Record<string, unknown>>;

/** Adds a line. */
export function appendLog(path: string, entry: LogEntry): void {
  try {
    appendFileSync(path, `${JSON.stringify(entry)}\n`);
  } catch (error) {
    throw new Fault(diagnostic("N1007", `cannot write ${path}`, { facts: [error instanceof Error ? error.message : String(error)], hint: "make room for it; the checkpoints of the run are whole" }));
  }
}

/** Takes away what a stopped run logged after the checkpoint that it goes on from; those steps are done again. */
export function trimLog(path: string, step: number): void {
  if (!existsSync(path)) return;
  const lines = readFileSync(path, "utf8").split("\n").filter((line) => line !== "");
  const kept = lines.filter((line) => (stepOf(line) ?? Infinity) <= step);
  if (kept.length < lines.length) writeAtomic(path, kept.map((line) => `${line}\n`).join(""));
}

/** Undefined for a line that was cut off when the process died. */
function stepOf(line: string): number | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry === "object" && entry !== null && "step" in entry && typeof entry.step === "number") return entry.step;
  } catch {
    // Said by the result.
  }
  return undefined;
}
