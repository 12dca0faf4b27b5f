// Predicts cases one after the other and writes each label map on the grid of its image.

import { existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { loadCase } from "../data/case.ts";
import type { Case } from "../data/case.ts";
import { locateClick } from "../data/click.ts";
import type { Click } from "../data/click.ts";
import { spacingFindings } from "../data/fingerprint.ts";
import { readVolume, writeLabels } from "../data/image.ts";
import { newShape } from "../data/resample.ts";
import { voxels } from "../data/volume.ts";
import { bytesText } from "../faults.ts";
import { caseSlices, stages } from "./case-slices.ts";
import type { Predictor } from "./case-slices.ts";
import type { Wanted } from "./inputs.ts";
import { keepLargest } from "./largest.ts";
import { Probabilities } from "./npz.ts";
import { ringBytes } from "./ring.ts";
import { averaged, labelsFrom } from "./slices.ts";
import type { Values } from "../train/metrics.ts";

/** What to predict: images, and a click where a network needs one. */
export interface Request extends Wanted {
  readonly click: Click | undefined;
}

/** What becomes of the predictions. */
export interface Outputs {
  readonly folder: string;
  /** Also as probabilities, CASE.npz. */
  readonly probabilities: boolean;
  /** Label values of classes or regions of which only the largest part is kept. */
  readonly largest: readonly Values[];
}

/** What happens meanwhile. */
export interface PredictionHooks {
  /** `windows` of `of` windows of a case are done. */
  readonly progress: (name: string, windows: number, of: number) => void;
  /** A case is written. */
  readonly written: (name: string, path: string, labels: Uint8Array) => void;
  readonly interrupted?: () => boolean;
}

/**
 * Predicts every case, the mean of all predictors where there are several (of the same channels and classes). A case that cannot be
 * read is told of and left out; the others are predicted.
 */
export async function predictCases(predictors: readonly Predictor[], cases: readonly Request[], outputs: Outputs, hooks: PredictionHooks): Promise<{ readonly warnings: readonly Diagnostic[]; readonly errors: readonly Diagnostic[] }> {
  const warnings: Diagnostic[] = [];
  const errors: Diagnostic[] = [];
  for (const one of cases) {
    if (hooks.interrupted?.() === true) break;
    try {
      warnings.push(...(await predictCase(predictors, one, outputs, hooks)));
    } catch (error) {
      // A lost device or a full disk would fail for every other case too.
      if (!(error instanceof Fault) || error.findings.some(({ code }) => code.startsWith("N09") || code === "N1007")) throw error;
      errors.push(...error.findings);
    }
  }
  return { warnings, errors };
}

/** Whether a case was predicted before: its files are there and can be read to their end. */
export function isPredicted({ output, name }: Wanted, { folder, probabilities }: Outputs): boolean {
  const path = join(folder, output);
  // Archives are renamed into place when they are complete.
  if (!existsSync(path) || (probabilities && !existsSync(archivePath(folder, name)))) return false;
  try {
    readVolume(path);
    return true;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}

const archivePath = (folder: string, name: string): string => join(folder, `${name}.npz`);

async function predictCase(predictors: readonly Predictor[], wanted: Request, { folder, probabilities, largest }: Outputs, hooks: PredictionHooks): Promise<readonly Diagnostic[]> {
  const [first] = predictors;
  if (first === undefined) throw new Error("internal: nothing to predict with");
  const path = join(folder, wanted.output);
  if (wanted.images.some((image) => resolve(image) === resolve(path))) {
    throw new Fault(diagnostic("N1064", `the prediction of ${wanted.name} would replace its image`, { facts: [`Both are ${path}.`], hint: "give another folder to `-o`" }));
  }
  // Labels are for scores.
  const { loaded, warnings } = loadCase(first, { ...wanted, label: undefined });
  const click = wanted.click && locateClick(wanted.click, loaded.stored, wanted.name);
  demandMemory(predictors, loaded);
  const done = predictors.map(() => [0, 0] as readonly [number, number]);
  const progress = (n: number, windows: number, of: number): void => {
    done[n] = [windows, of];
    // Those that have not begun are taken to be as long as those that have.
    const begun = done.filter(([, total]) => total > 0);
    const total = (begun.reduce((sum, one) => sum + one[1], 0) / begun.length) * done.length;
    hooks.progress(wanted.name, done.reduce((sum, one) => sum + one[0], 0), Math.round(total));
  };
  // Several networks may say the same.
  const doubts = new Map<string, Diagnostic>();
  const warn = (finding: Diagnostic): void => void doubts.set(finding.headline, finding);
  predictors.flatMap((predictor) => spacingDoubts(predictor, loaded)).forEach(warn);
  const all = predictors.map((predictor, n) => caseSlices(predictor, loaded, click, { progress: (windows, of) => progress(n, windows, of), warn }));
  const { regions } = first;
  // The background is no region: it has no probability of its own.
  const [skipped, kept] = regions === undefined ? [0, first.classes.length] : [loaded.shape[1] * loaded.shape[2], regions.length];
  const archive = probabilities ? new Probabilities(archivePath(folder, wanted.name), loaded.stored, kept) : undefined;
  let labels: Uint8Array;
  try {
    labels = await labelsFrom(all.length === 1 && all[0] !== undefined ? all[0] : averaged(all), loaded.shape, first.classes.length, (slice, z) => archive?.put(slice.subarray(skipped), z), regions?.map(({ written }) => written));
  } catch (error) {
    archive?.discard();
    throw error;
  }
  // First what takes longer: a case with a label map is complete.
  if (archive !== undefined) await archive.finish();
  else rmSync(archivePath(folder, wanted.name), { force: true });
  keepLargest(labels, loaded.shape, largest);
  const { target } = first.samples;
  if (target !== undefined) labels.forEach((value, n) => { labels[n] = value === 0 ? 0 : target; });
  writeLabels(path, labels, loaded.stored);
  hooks.written(wanted.name, path, labels);
  return [...warnings, ...doubts.values()];
}

/** Of networks that see the whole image as it is. */
function spacingDoubts(predictor: Predictor, one: Case): readonly Diagnostic[] {
  return stages(predictor).filter(({ samples, fingerprint }) => samples.crop === undefined && fingerprint.target === undefined)
    .flatMap(({ fingerprint }) => spacingFindings([one], fingerprint.spacing));
}

/** Refuses a case whose sums would not fit, before the system ends the process over it. */
function demandMemory(predictors: readonly Predictor[], { name, shape, spacing, channels }: Case): void {
  const free = process.availableMemory();
  const sizes = predictors.filter(({ samples }) => samples.crop === undefined).map(({ window, classes, fingerprint }) => {
    const seen = fingerprint.target === undefined ? shape : newShape(shape, spacing, fingerprint.target);
    return { seen, depth: Math.min(window[0], seen[0]), classes: classes.length, bytes: ringBytes({ shape: seen, patch: window, classes: classes.length }) + 4 * channels * voxels(seen) };
  });
  const needed = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  const [first] = sizes;
  if (first === undefined || needed <= free) return;
  throw new Fault(diagnostic("N1088", `${name} does not fit into memory`, {
    facts: [`It takes ${bytesText(needed)}, ${bytesText(free)} are free.`, `Summed at a time are ${first.depth} slices of ${first.seen[2]} x ${first.seen[1]} voxels in ${first.classes} classes${sizes.length === 1 ? "" : `, for each of ${sizes.length} runs`}.`],
    hint: "predict with one run at a time, crop the image, or use a machine with more memory",
  }));
}
