// Compares predicted label maps with true ones: finds the pairs, checks that they can be compared, and counts.

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { gridFindings, labelFindings } from "../data/case.ts";
import { readDeclaration, type Declaration } from "../data/dataset.ts";
import { determinant, locate } from "../data/geometry.ts";
import { endingOf, endings, readVolume } from "../data/image.ts";
import { lengthsText, sizeText } from "../data/volume.ts";
import type { Volume } from "../data/volume.ts";
import { countRegions } from "../train/metrics.ts";
import type { CaseCounts, Scored } from "./summary.ts";
import { maskOf, NOWHERE, surfaceScores } from "./surface.ts";

/** What was compared and how often it agreed. */
export interface Evaluation {
  readonly cases: readonly CaseCounts[];
  /** What is scored, the background first; plain numbers where no data set names them. */
  readonly scored: readonly Scored[];
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
  /** The true label of voxels that do not count; by default that of the data set. */
  readonly ignore?: number | undefined;
  readonly progress?: (done: number, total: number, name: string) => void;
}

/** How maps are compared. */
interface Rules {
  /** Of the values that maps may have. */
  readonly names: readonly string[];
  /** Undefined where no data set says: every value that a map has. */
  readonly scored: readonly Scored[] | undefined;
  readonly ignore: number | undefined;
  readonly tolerance: number | undefined;
}

/** Compares two files, or two folders file by file; a `Fault` with everything that stands in the way. */
export function evaluate(predicted: string, truth: string, { datasetJson, tolerance, ignore, progress = () => {} }: EvaluationOptions = {}): Evaluation {
  const warnings: Diagnostic[] = [];
  const pairs = findPairs(predicted, truth, warnings);
  const path = datasetJson ?? namesBeside(truth);
  const declared = path === undefined ? undefined : readDeclaration(path);
  const rules = { names: declared?.classes ?? ANY_CLASS, scored: declared && scoredIn(declared), ignore: ignore ?? declared?.ignore, tolerance };
  const findings: Diagnostic[] = [];
  const cases: Compared[] = [];
  pairs.forEach((pair, n) => {
    progress(n, pairs.length, pair.name);
    try {
      cases.push(compare(pair, rules, warnings));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      findings.push(...error.findings);
    }
  });
  if (findings.length > 0) throw new Fault(...findings);
  const scored = rules.scored ?? classesOf([...new Set(cases.flatMap((one) => one.values))]);
  return { cases: cases.map((one) => inOrder(one, scored)), scored, warnings };
}

/** A case with the values that its scores are of, where these are single ones. */
interface Compared extends CaseCounts {
  readonly values: readonly number[];
}

/** The scores of a case in the order of all, where it may lack some. */
function inOrder({ values, counts, surfaces, ...one }: Compared, scored: readonly Scored[]): CaseCounts {
  if (values.length === 0) return { ...one, counts, surfaces };
  const total = Object.values(counts[0] ?? {}).reduce((sum: number, n: number) => sum + n, 0);
  const places = scored.map((of) => values.indexOf(of.values[0] ?? 0));
  return {
    ...one, counts: places.map((at) => counts[at] ?? { hits: 0, falseAlarms: 0, misses: 0, rest: total }),
    surfaces: surfaces && places.map((at) => surfaces[at] ?? NOWHERE),
  };
}

/** Each value by itself, the background first though no map may have it. */
function classesOf(values: readonly number[]): readonly Scored[] {
  return [0, ...values.filter((value) => value !== 0).sort((a, b) => a - b)].map((value) => ({ name: String(value), values: [value] }));
}

/** The regions of a data set, else its classes. */
function scoredIn({ classes, regions }: Declaration): readonly Scored[] {
  const all = classes.map((name, value) => ({ name, values: [value] }));
  return regions === undefined ? all : [...all.slice(0, 1), ...regions.map(({ name, values }) => ({ name, values }))];
}

/** What labels may be without a data set. */
const ANY_CLASS: readonly string[] = Array.from({ length: 65_536 }, (_, value) => String(value));

function compare(pair: Pair, { names, scored: declared, ignore, tolerance }: Rules, warnings: Diagnostic[]): Compared {
  const guess = readVolume(pair.predicted);
  const truth = readVolume(pair.truth);
  warnings.push(...guess.warnings, ...truth.warnings);
  const [a, b] = [guess.volume.data, truth.volume.data];
  const apart = gridFindings(pair.truth, truth.volume, pair.predicted, guess.volume, "label");
  const findings = [
    ...(apart.length === 0 ? [] : [misplaced(pair, guess.volume, truth.volume)]),
    // What is ignored may have a value beyond those of the classes.
    ...labelFindings(pair.predicted, a, names), ...labelFindings(pair.truth, b.map((value) => (value === ignore ? 0 : value)), names),
  ];
  if (findings.length > 0) throw new Fault(...findings);
  const values = declared === undefined ? valuesIn(a, b, ignore) : [];
  const scored = declared ?? classesOf(values);
  const counts = countRegions(a, b, scored.map(({ values }) => values), ignore);
  const { shape, spacing, affine } = truth.volume;
  const counted = { ...pair, values: scored.flatMap((one) => (declared === undefined ? one.values : [])), counts, volume: Math.abs(determinant(affine)) };
  if (tolerance === undefined) return counted;
  // To both maps an ignored voxel is background.
  const [p, t] = ignore === undefined ? [a, b] : [a.map((value, n) => (b[n] === ignore ? 0 : value)), b.map((value) => (value === ignore ? 0 : value))];
  const surfaces = counts.map(({ hits, falseAlarms, misses }, k) =>
    (k === 0 || hits + falseAlarms + misses === 0 ? NOWHERE : surfaceScores(p, t, maskOf(scored[k]?.values ?? []), shape, spacing, tolerance)));
  return { ...counted, surfaces };
}

/** All values that count in either of two maps. */
function valuesIn(predicted: ArrayLike<number>, truth: ArrayLike<number>, ignore: number | undefined): readonly number[] {
  const seen = new Uint8Array(65_536);
  for (let n = 0; n < truth.length; n++) if (truth[n] !== ignore) seen[predicted[n] ?? 0] = seen[truth[n] ?? 0] = 1;
  return [...seen.keys()].filter((value) => seen[value] === 1);
}

function misplaced({ predicted, truth }: Pair, guess: Volume, label: Volume): Diagnostic {
  const grid = (path: string, volume: Volume): string => {
    const { shape, spacing, affine } = volume;
    const axes = ([0, 1, 2] as const).map((column) => `(${lengthsText(affine.map((row) => row[column] / (spacing[2 - column] ?? 1)))})`);
    return `${path} has ${sizeText(shape)} voxels of ${lengthsText([...spacing].reverse())} mm, the first at ${lengthsText(locate(affine, [0, 0, 0]))} mm, its axes along ${axes.join(", ")}.`;
  };
  return diagnostic("N1033", `${predicted} does not lie on the grid of its label`, {
    facts: [grid(predicted, guess), grid(truth, label)],
    hint: "resample one to the grid of the other, with nearest neighbour; if another tool only lost the header, copy that of the label",
  });
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
  if (truths.size === 0) throw new Fault(diagnostic("N1032", `${truth} holds no label maps`, { facts: [`No file there ends in ${endings.join(", ")}.`], hint: "give the folder with the true labels, e.g. labelsTs" }));
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
  const ending = file.startsWith(".") ? undefined : endingOf(file);
  return ending === undefined ? undefined : file.slice(0, -ending.length);
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
