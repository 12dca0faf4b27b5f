// What is done with one case before training, on whichever thread: measuring it, or preparing it for a run.

import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { cachePath, keepCase, keepMeasure, keptCase, keptMeasure, type Kept, type Made } from "./cache.ts";
import { loadCase, type Case } from "./case.ts";
import type { CaseFiles, Dataset } from "./dataset.ts";
import type { Fingerprint } from "./fingerprint.ts";
import { measureCase, type Measure } from "./measure.ts";
import { prepareCase } from "./prepare.ts";
import { sampleOf, type Samples } from "./samples.ts";
import type { Triple } from "./volume.ts";

/** How cases are prepared; plain data. */
export interface Recipe {
  readonly fingerprint: Fingerprint;
  readonly samples: Samples;
  readonly patch: Triple;
}

/** One piece of work; plain data, so that it can go to another thread. */
export interface CaseWork {
  readonly dataset: Pick<Dataset, "classes" | "ignore">;
  readonly files: CaseFiles;
  /** The folder to keep results in. */
  readonly cache: string;
  /** A `fresh` measure looks at the files whatever is kept of them. */
  readonly task: { readonly kind: "measure"; readonly crop: boolean; readonly fresh: boolean } | { readonly kind: "prepare"; readonly recipe: Recipe };
}

/** What comes of it: a measure; or the file that a prepared case is kept in, and its bytes in memory, 0 where a run has no use for it. */
export type WorkResult =
  | { readonly kind: "measure"; readonly measure: Measure; readonly warnings: readonly Diagnostic[] }
  | { readonly kind: "prepare"; readonly path: string; readonly bytes: number; readonly warnings: readonly Diagnostic[] };

/** A case as a run learns from it; undefined when the run needs foreground and it has none. */
export function madeOf(one: Case, { fingerprint, samples, patch }: Recipe): Made {
  return sampleOf(prepareCase(one, fingerprint).prepared, samples, patch);
}

/** Does a piece of work, or finds that it was done before; a `Fault` with everything wrong about the case. */
export function doCaseWork({ dataset, files, cache, task }: CaseWork): WorkResult {
  const { classes, ignore } = dataset;
  const settings = [classes.length, ignore, files.name];
  if (task.kind === "measure") {
    const path = cachePath(cache, files, [...settings, "measure", task.crop]);
    const kept = (task.fresh ? undefined : keptMeasure(path)) ?? measured(dataset, files, task.crop, path);
    return { kind: "measure", measure: kept.value, warnings: kept.warnings };
  }
  const path = cachePath(cache, files, [...settings, "prepare", task.recipe]);
  const kept = keptCase(path) ?? prepared(dataset, files, task.recipe, path);
  return { kind: "prepare", path, bytes: caseBytes(kept.value), warnings: kept.warnings };
}

/** Bytes that a case takes in memory. */
export function caseBytes(one: Made): number {
  return one === undefined ? 0 : one.image.byteLength + (one.label?.byteLength ?? 0);
}

function measured(dataset: CaseWork["dataset"], files: CaseFiles, crop: boolean, path: string): Kept<Measure> {
  const { loaded, warnings } = loadCase(dataset, files);
  const kept = { value: measureCase(loaded, crop), warnings };
  keepMeasure(path, kept);
  return kept;
}

function prepared(dataset: CaseWork["dataset"], files: CaseFiles, recipe: Recipe, path: string): Kept<Made> {
  const { loaded, warnings } = loadCase(dataset, files);
  const kept = { value: madeOf(loaded, recipe), warnings };
  keepCase(path, kept);
  return kept;
}
