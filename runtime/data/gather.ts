// The cases of a data set for a run: measured, then prepared; small sets here and now, large ones in threads and kept on disk.

import { statSync } from "node:fs";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { durationText } from "../train/progress.ts";
import { cacheFolder, sweepCache } from "./cache.ts";
import { doAll, threadsFor } from "./case-pool.ts";
import { madeOf, type CaseWork, type Recipe, type WorkResult } from "./case-work.ts";
import { loadCases, type Case } from "./case.ts";
import type { CaseFiles, Dataset } from "./dataset.ts";
import { Larder } from "./larder.ts";
import { measureCase, type Measure } from "./measure.ts";

/** Cases that can be measured and prepared; a `Fault` with everything that is wrong about any of them. */
export interface Gathered {
  /** Anew if `fresh`, even where the numbers are kept from another time. */
  readonly measures: (crop: boolean, fresh?: boolean) => Promise<readonly Measure[]>;
  /** The cases that a run has use for, in order. */
  readonly cases: (recipe: Recipe) => Promise<readonly Case[]>;
  /** What there was to warn about while measuring. */
  readonly warnings: () => readonly Diagnostic[];
}

/** Hears how work is getting on, and what share of it is done where that is known. */
export type Tell = (text: string, share?: number) => void;

/** Files of fewer bytes in all are read at once and held. */
const FEW_BYTES = 48 * 2 ** 20;
/** What reading and resampling a case takes for each byte of its files, which are compressed. */
const UNPACKED = 24;

/** Gathers cases; `tell` says how it is getting on. */
export function gather(dataset: Dataset, files: readonly CaseFiles[], tell: Tell, few = FEW_BYTES): Gathered {
  const bytes = files.map(({ images, label }) => [...images, ...(label === undefined ? [] : [label])].reduce((sum, path) => sum + sizeOf(path), 0));
  return bytes.reduce((sum, n) => sum + n, 0) < few ? atOnce(dataset, files, tell) : inThreads(dataset, files, Math.max(...bytes), tell);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function atOnce(dataset: Dataset, files: readonly CaseFiles[], tell: Tell): Gathered {
  let read: ReturnType<typeof loadCases> | undefined;
  const load = (): ReturnType<typeof loadCases> => (read ??= loadCases(dataset, files, (done, name) => tell(`reading ${name} (${done + 1} of ${files.length})`, done / files.length)));
  return {
    measures: (crop) => Promise.resolve(load().cases.map((one) => measureCase(one, crop))),
    cases: (recipe) => {
      const made = load().cases.map((one, n) => {
        tell(`preparing ${one.name} (${n + 1} of ${files.length})`, n / files.length);
        return madeOf(one, recipe);
      });
      read = undefined;
      return Promise.resolve(made.filter((one) => one !== undefined));
    },
    warnings: () => read?.warnings ?? [],
  };
}

function inThreads(dataset: Dataset, files: readonly CaseFiles[], largest: number, tell: Tell): Gathered {
  const cache = cacheFolder();
  sweepCache(cache);
  const { classes, ignore } = dataset;
  const threads = threadsFor(largest * UNPACKED, files.length);
  const run = (task: CaseWork["task"], verb: string): Promise<readonly WorkResult[]> => {
    const started = performance.now();
    tell(`${verb} ${files.length} cases`);
    return doAll(files.map((one) => ({ dataset: { classes, ignore }, files: one, cache, task })), threads, (done, name) => {
      const left = ((performance.now() - started) / 1000 / done) * (files.length - done);
      tell(`${verb} ${name} (${done} of ${files.length})${left > 0 ? `, ${durationText(left)} left` : ""}`, done / files.length);
    });
  };
  let warnings: readonly Diagnostic[] = [];
  return {
    measures: async (crop, fresh = false) => {
      const results = await run({ kind: "measure", crop, fresh }, "measuring");
      warnings = results.flatMap((one) => one.warnings);
      return results.flatMap((one) => (one.kind === "measure" ? [one.measure] : []));
    },
    cases: async (recipe) => {
      const results = await run({ kind: "prepare", recipe }, "preparing");
      const kept = results.flatMap((one) => (one.kind === "prepare" && one.bytes > 0 ? [one] : []));
      const larder = new Larder(Math.floor(process.availableMemory() / 2));
      return kept.map(({ path }) => larder.hold(path));
    },
    warnings: () => warnings,
  };
}
