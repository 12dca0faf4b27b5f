// The data of a training run: opened, checked, split, normalised and indexed.

import type { RunSettings } from "../compiler/front/front.ts";
import { diagnostic, Fault, type Diagnostic } from "../compiler/report/diagnostic.ts";
import { nearest } from "../compiler/report/spelling.ts";
import { loadCases, type Case } from "../runtime/data/case.ts";
import { openDataset, type Dataset } from "../runtime/data/dataset.ts";
import { absentFindings, fingerprintOf, normalise, spacingFindings, type Fingerprint } from "../runtime/data/fingerprint.ts";
import { indexed, type Indexed } from "../runtime/data/patches.ts";
import { demandSamples, samplesOf, type Samples } from "../runtime/data/samples.ts";
import type { Triple } from "../runtime/data/volume.ts";
import { splitCases, type Split } from "../runtime/train/hold-out.ts";
import type { RunRecord } from "./run-folder.ts";

/** What a run learns from. Images are on the network's scale. */
export interface TrainingData {
  readonly folder: string;
  readonly name: string;
  readonly channels: readonly string[];
  /** The classes of the labels, the background first; more than the data set has where the network has more. */
  readonly classes: readonly string[];
  readonly training: readonly Indexed[];
  readonly heldOut: readonly Indexed[];
  /** Names of all cases, those without a sample among them. */
  readonly split: Split;
  readonly fingerprint: Fingerprint;
  readonly warnings: readonly Diagnostic[];
}

export interface DataOptions extends LabelUse {
  readonly seed: number;
  readonly holdOut: number | undefined;
  readonly patch: Triple;
}

/** What a run makes of the labels of a data set. */
export interface LabelUse {
  /** Names, the background first. */
  readonly classes: readonly string[];
  readonly samples: Samples;
}

/** Opens a data set, and reads it when the network is known to fit. */
export const prepareData = { open: openDataset, load } as const;

function load(dataset: Dataset, { classes, samples, seed, holdOut, patch }: DataOptions, before: RunRecord | undefined, tell: (text: string) => void): TrainingData {
  const all = dataset.training.map(({ name }) => name);
  const split = before !== undefined && holdOut === undefined && sameNames(all, before) ? before.data : splitCases(all, holdOut, seed);
  const { cases, warnings } = loadCases(dataset, dataset.training, (done, name) => tell(`reading ${name} (${done + 1} of ${all.length})`));
  const among = (names: readonly string[]): readonly Case[] => cases.filter(({ name }) => names.includes(name));
  tell("measuring intensities");
  const fingerprint = before?.fingerprint ?? fingerprintOf(among(split.training), dataset.channels);
  const prepared = (names: readonly string[]) => samplesOf(among(names).map((one) => ({ ...one, image: normalise(one.image, fingerprint) })), samples, patch);
  const [training, heldOut] = [prepared(split.training), prepared(split.heldOut)];
  demandSamples(training.cases, dataset.folder);
  return {
    folder: dataset.folder, name: dataset.name, channels: dataset.channels, classes, split,
    training: training.cases.map(indexed), heldOut: heldOut.cases.map(indexed), fingerprint,
    warnings: [
      ...warnings, ...training.warnings, ...heldOut.warnings,
      // A cube has the same size in millimetres whatever the voxels are.
      ...(samples.crop === undefined ? spacingFindings(cases, fingerprint.spacing) : []), ...absentFindings(training.cases, classes),
    ],
  };
}

function sameNames(names: readonly string[], { data }: RunRecord): boolean {
  return [...data.training, ...data.heldOut].sort().join("\n") === [...names].sort().join("\n");
}

/** What the settings of a run make of a data set's labels; a `Fault` where they do not fit it. */
export function labelUse({ classes, samples }: Pick<RunSettings, "classes" | "samples">, set: Readonly<Record<string, string>>, dataset: Pick<Dataset, "classes" | "folder">): LabelUse {
  const target = samples.target === undefined ? undefined : targetIn(samples.target, dataset);
  const names = target === undefined ? dataset.classes : [dataset.classes[0] ?? "background", dataset.classes[target] ?? ""];
  // Independent targets leave the background out; with several classes nobody does so by `--set`.
  if (classes < names.length - 1 || (classes < names.length && "classes" in set && names.length > 2)) {
    throw new Fault(diagnostic("N0802", `the network would have ${classes} classes, the data set has ${names.length}`, {
      facts: [`${dataset.folder} names ${dataset.classes.join(", ")}.`],
      hint: "leave `--set classes=…` away, name one class as the run's `target`, or take classes out of dataset.json and the labels",
    }));
  }
  const { guide, crop, drop } = samples;
  // Classes beyond those of the data set have no name of their own.
  return { classes: Array.from({ length: Math.max(classes, names.length) }, (_, n) => names[n] ?? `class ${n}`), samples: { target, guide, crop, drop } };
}

/** The value of the class that a run seeks. */
function targetIn(target: string | number, { classes, folder }: Pick<Dataset, "classes" | "folder">): number {
  const value = typeof target === "number" ? target : classes.indexOf(target);
  if (value >= 1 && value < classes.length) return value;
  const near = typeof target === "string" ? nearest(target, classes.slice(1)) : undefined;
  throw new Fault(diagnostic("N1086", `the data set has no class ${typeof target === "number" ? target : `\`${target}\``} to be the target`, {
    facts: [`${folder} names ${classes.map((name, n) => `${n} ${name}`).join(", ")}; 0 is the background.`],
    hint: near === undefined ? "`target` is one of these names or values" : `did you mean \`${near}\`?`,
  }));
}

/** The three axes of a patch; a `Fault` for any other number, as images are volumes. */
export function spatial({ patch }: Pick<RunSettings, "patch">): Triple {
  const [d, h, w] = patch;
  if (d !== undefined && h !== undefined && w !== undefined && patch.length === 3) return [d, h, w];
  throw new Fault(diagnostic("N1066", `a patch has three axes, this one has ${patch.length}: [${patch.join(", ")}]`, {
    facts: ["Images are read as volumes of slices, rows and columns."], hint: "for a flat network a patch of one slice, e.g. `[1, 256, 256]`, with kernels of one slice",
  }));
}
