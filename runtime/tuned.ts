// What `netc tune` found to be fast on an adapter: kept between runs, one file per adapter and driver.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Choose } from "../compiler/plan/plan.ts";
import { userCache } from "./caches.ts";
import { writeAtomic } from "./files.ts";

/** What a launch runs fastest with, and why that is known. Times are milliseconds of one launch. */
export interface Finding {
  readonly choice: string;
  readonly time: number;
  /** With the compiler's own choice. */
  readonly before: number;
  /** Choices that were timed. */
  readonly tried: number;
}

/** By launch, as the compiler names it: kernels of equal shapes over equal axes. */
export type Findings = ReadonlyMap<string, Finding>;

/** The file for an adapter; its name tells the driver's version too. */
export function tunedPath(adapter: string, folder = join(userCache(), "tuned")): string {
  return join(folder, `${createHash("sha256").update(adapter).digest("hex").slice(0, 16)}.json`);
}

/** What is known; nothing where there is no file or none that can be read: it only costs time to find out again. */
export function readFindings(path: string): Findings {
  if (!existsSync(path)) return new Map();
  try {
    const { launches } = JSON.parse(readFileSync(path, "utf8")) as { readonly launches?: Readonly<Record<string, unknown>> };
    return new Map(Object.entries(launches ?? {}).flatMap(([launch, f]) => (isFinding(f) ? [[launch, f]] : [])));
  } catch {
    return new Map();
  }
}

function isFinding(f: unknown): f is Finding {
  if (typeof f !== "object" || f === null) return false;
  const { choice, time, before, tried } = f as Readonly<Record<string, unknown>>;
  return typeof choice === "string" && typeof time === "number" && typeof before === "number" && typeof tried === "number";
}

/** Writes all findings of an adapter. */
export function writeFindings(path: string, adapter: string, findings: Findings): void {
  writeAtomic(path, `${JSON.stringify({ adapter, launches: Object.fromEntries(findings) }, null, 1)}\n`);
}

/** Forgets an adapter's findings; whether there were any. */
export function forgetFindings(path: string): boolean {
  const had = existsSync(path);
  rmSync(path, { force: true });
  return had;
}

/** Takes what was found; a choice that the compiler does not offer any more is left out by it. */
export const choosing = (findings: Findings): Choose => (launch) => findings.get(launch)?.choice;
