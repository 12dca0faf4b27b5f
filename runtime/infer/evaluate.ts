// Compares predicted label maps with true ones: finds the pairs, checks that they can be compared, and counts.

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { gridFindings, labelFindings } from "../data/case.ts";
import { readDeclaration } from "../data/dataset.ts";
import { readVolume } from "../data/nifti.ts";
import { countOverlap } from "../train/metrics.ts";
import type { CaseCounts } from "../train/metrics.ts";
import { NOWHERE, surfaceScores } from "./surface.ts";

/** What was compared and how often it agreed. */
export interface Evaluation {
  readonly cases: readonly CaseCounts[];
  /** Class names by value; plain numbers where no data set names them. */
  readonly classes: readonly string[];
  readonly warnings: readonly Diagnostic[];
}

interface Pair {
  readonly name: string;
  readonly predicted: string;
  readonly truth: string;
}

export interface EvaluationOptions {
  /** The file that names the classes; by default the one beside the labels. */
  readonly datasetJson?: string | undefined;
  /** Measures the distances between surfaces too; of the NSD, in millimetres. */
  readonly tolerance?: number | undefined;
  readonly progress?: (done: number, total: number, name: string) => void;
}

/** Compares two files, or two folders file by file; a `Fault` with everything that stands in the way. */
export function evaluate(predicted: string, truth: string, { datasetJson, tolerance, progress = () => {} }: EvaluationOptions = {}): Evaluation {
  const warnings: Diagnostic[] = [];
  const pairs = findPairs(predicted, truth, warnings);
  const declared = datasetJson ?? namesBeside(truth);
  const names = declared === undefined ? undefined : readDeclaration(declared).classes;
  const findings: Diagnostic[] = [];
  const cases: CaseCounts[] = [];
  pairs.forEach((pair, n) => {
    progress(n, pairs.length, pair.name);
    try {
      cases.push(compare(pair, names ?? ANY_CLASS, tolerance, warnings));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      findings.push(...error.findings);
    }
  });
  if (findings.length > 0) throw new Fault(...findings);
  const classes = names ?? numbered(cases);
  return { cases: cases.map((one) => ({ ...one, counts: one.counts.slice(0, classes.length), surfaces: one.surfaces?.slice(0, classes.length) })), classes, warnings };
}

const ANY_CLASS: readonly string[] = Array.from({ length: 256 }, (_, value) => String(value));

/** Without a data set: as many classes as the largest value seen asks for. */
function numbered(cases: readonly CaseCounts[]): readonly string[] {
  let last = 1;
  for (const { counts } of cases) counts.forEach(({ hits, falseAlarms, misses }, value) => { if (hits + falseAlarms + misses > 0) last = Math.max(last, value); });
  return ANY_CLASS.slice(0, last + 1);
}

function compare(pair: Pair, classes: readonly string[], tolerance: number | undefined, warnings: Diagnostic[]): CaseCounts {
  const guess = readVolume(pair.predicted);
  const truth = readVolume(pair.truth);
  warnings.push(...guess.warnings, ...truth.warnings);
  const findings = [...labelFindings(pair.predicted, guess.volume.data, classes), ...labelFindings(pair.truth, truth.volume.data, classes)];
  for (const finding of gridFindings(pair.truth, truth.volume, pair.predicted, guess.volume, "label")) {
    // Another tool may have lost the header; the voxels can still be compared one by one.
    if (finding.code === "N1016") findings.push(finding);
    else warnings.push({ ...finding, code: "W1059", hint: "the voxels are compared in their order; make sure that they belong together" });
  }
  if (findings.length > 0) throw new Fault(...findings);
  const counts = countOverlap(guess.volume.data, truth.volume.data, classes.length);
  if (tolerance === undefined) return { ...pair, counts };
  const { shape, spacing } = truth.volume;
  const surfaces = counts.map(({ hits, falseAlarms, misses }, value) =>
    (value === 0 || hits + falseAlarms + misses === 0 ? NOWHERE : surfaceScores(guess.volume.data, truth.volume.data, value, shape, spacing, tolerance)));
  return { ...pair, counts, surfaces };
}

function isFolder(path: string): boolean {
  return statSync(path).isDirectory();
}

function findPairs(predicted: string, truth: string, warnings: Diagnostic[]): readonly Pair[] {
  for (const path of [predicted, truth]) {
    if (!existsSync(path)) throw new Fault(diagnostic("N1006", `cannot read ${path}`, { facts: ["There is no such file or folder."], hint: "give two folders of label maps, or two files" }));
  }
  if (isFolder(predicted) !== isFolder(truth)) {
    const [folder, file] = isFolder(predicted) ? [predicted, truth] : [truth, predicted];
    throw new Fault(diagnostic("N1032", `${folder} is a folder, ${file} a file`, { hint: "give two folders of label maps, or two files" }));
  }
  if (!isFolder(predicted)) return [{ name: stem(basename(truth)) ?? basename(truth), predicted, truth }];
  const [guesses, truths] = [labelMaps(predicted), labelMaps(truth)];
  if (truths.size === 0) throw new Fault(diagnostic("N1032", `${truth} holds no label maps`, { facts: ["No file there ends in .nii.gz or .nii."], hint: "give the folder with the true labels, e.g. labelsTs" }));
  const missing = [...truths.keys()].filter((name) => !guesses.has(name));
  if (missing.length > 0) {
    throw new Fault(diagnostic("N1031", `${missing.length === 1 ? "one case has" : `${missing.length} of ${truths.size} cases have`} no prediction: ${some(missing)}`, {
      facts: [`Looked in ${predicted} for files called like the labels in ${truth}.`],
      hint: "predict them first, or take their labels out of the comparison",
    }));
  }
  const extra = [...guesses.keys()].filter((name) => !truths.has(name));
  if (extra.length > 0) {
    warnings.push(diagnostic("W1058", `${extra.length === 1 ? "one prediction has" : `${extra.length} predictions have`} no label: ${some(extra)}`, { facts: ["They are left out."] }));
  }
  return [...truths].map(([name, path]) => ({ name, predicted: guesses.get(name) ?? "", truth: path }));
}

function some(names: readonly string[]): string {
  return names.slice(0, 5).join(", ") + (names.length > 5 ? ", …" : "");
}

function stem(file: string): string | undefined {
  return /^(?<name>[^.].*?)\.nii(\.gz)?$/.exec(file)?.groups?.["name"];
}

function labelMaps(folder: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const file of readdirSync(folder).sort()) {
    const name = stem(file);
    if (name !== undefined) found.set(name, join(folder, file));
  }
  return found;
}

/** The dataset.json of the data set the labels seem to belong to. */
function namesBeside(truth: string): string | undefined {
  const folder = isFolder(truth) ? truth : dirname(truth);
  return [join(folder, "dataset.json"), join(folder, "..", "dataset.json")].find((path) => existsSync(path));
}
