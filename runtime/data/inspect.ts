// Looks for what is odd about a whole data set: doubles, values and spacings that do not belong, classes that are missing.

import { diagnostic, type Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Dataset } from "./dataset.ts";
import { absentFindings, schemeOf } from "./fingerprint.ts";
import { FOLDS } from "./folds.ts";
import type { Measure } from "./measure.ts";
import { median } from "./target.ts";
import { lengthsText, type Triple } from "./volume.ts";

/** A spacing this many times the median, or its inverse, is rather a wrong header. */
const FAR = 4;

/** Warnings about the cases of a data set together. */
export function inspectCases(dataset: Dataset, measures: readonly Measure[]): readonly Diagnostic[] {
  const training = new Set(dataset.training.map(({ name }) => name));
  const learned = measures.filter(({ name }) => training.has(name));
  return [
    ...doubles(measures, training), ...measures.flatMap((one) => [...farSpacing(one, measures), ...oddIntensities(one, dataset.channels)]),
    ...absentFindings(learned.flatMap(({ values }) => values), dataset.classes), ...tooFew(dataset.training.length),
  ];
}

function doubles(measures: readonly Measure[], training: ReadonlySet<string>): readonly Diagnostic[] {
  const byDigest = new Map<string, string[]>();
  for (const { digest, name } of measures) byDigest.set(digest, [...(byDigest.get(digest) ?? []), name]);
  return [...byDigest.values()].filter((names) => names.length > 1).map((names) => {
    const leaks = names.some((name) => training.has(name)) && names.some((name) => !training.has(name));
    return diagnostic("W1060", `${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""} are the same image`, {
      facts: [leaks ? "One is a training case and one a test case: scores on it say nothing." : "In folds one may be learned from and the other scored, which says nothing.", "Their voxels are equal one by one."],
      hint: "keep one of them",
    });
  });
}

function farSpacing({ name, spacing }: Measure, measures: readonly Measure[]): readonly Diagnostic[] {
  const middle = (axis: 0 | 1 | 2): number => median(measures.map((one) => one.spacing[axis]));
  const all: Triple = [middle(0), middle(1), middle(2)];
  if (spacing.every((step, axis) => Math.max(step / (all[axis] ?? 1), (all[axis] ?? 1) / step) < FAR)) return [];
  return [diagnostic("W1061", `${name} has voxels of ${lengthsText([...spacing].reverse())} mm`, {
    facts: [`The median of the data set is ${lengthsText([...all].reverse())} mm.`], hint: "look whether its header was lost on the way; copy the right spacing, or leave the case out",
  })];
}

function oddIntensities({ name, channels: measured }: Measure, channels: readonly string[]): readonly Diagnostic[] {
  return measured.flatMap(({ min, max }, n) => {
    if (schemeOf(channels[n] ?? "") !== "ct" || min < -200 || max - min > 400) return [];
    return [diagnostic("W1062", `${name} has no Hounsfield units`, {
      facts: [`Channel ${n} is called ${channels[n]}; its values lie between ${lengthsText([min])} and ${lengthsText([max])}.`], hint: "use the image before it was rescaled; or give the channel another name than CT, for z-scores",
    })];
  });
}

function tooFew(cases: number): readonly Diagnostic[] {
  if (cases >= FOLDS) return [];
  return [diagnostic("W1063", `${cases} training case${cases === 1 ? " is" : "s are"} too few for ${FOLDS} folds`, { facts: [`nnU-Net stops here; netc makes ${cases < 2 ? "no folds" : `${cases} folds`}.`], hint: "add cases" })];
}
