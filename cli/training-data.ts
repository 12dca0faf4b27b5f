// The data of a training run: opened, checked, split, normalised and indexed.

import type { RunSettings } from "../compiler/front/front.ts";
import { diagnostic, Fault, type Diagnostic } from "../compiler/report/diagnostic.ts";
import { loadCases, type Case } from "../runtime/data/case.ts";
import { openDataset, type Dataset } from "../runtime/data/dataset.ts";
import { absentFindings, fingerprintOf, normalise, spacingFindings, type Fingerprint } from "../runtime/data/fingerprint.ts";
import { indexed, type Indexed } from "../runtime/data/patches.ts";
import type { Triple } from "../runtime/data/volume.ts";
import { splitCases } from "../runtime/train/hold-out.ts";
import type { RunRecord } from "./run-folder.ts";

/** What a run learns from. Images are on the network's scale. */
export interface TrainingData {
  readonly folder: string;
  readonly name: string;
  readonly channels: readonly string[];
  /** As many names as the network has classes. */
  readonly classes: readonly string[];
  readonly training: readonly Indexed[];
  readonly heldOut: readonly Indexed[];
  readonly fingerprint: Fingerprint;
  readonly warnings: readonly Diagnostic[];
}

export interface DataOptions {
  readonly classes: number;
  readonly seed: number;
  readonly holdOut: number | undefined;
}

/** Opens a data set, and reads it when the network is known to fit. */
export const prepareData = { open: openDataset, load } as const;

function load(dataset: Dataset, { classes, seed, holdOut }: DataOptions, before: RunRecord | undefined, tell: (text: string) => void): TrainingData {
  const all = dataset.training.map(({ name }) => name);
  const split = before !== undefined && holdOut === undefined && sameNames(all, before) ? before.data : splitCases(all, holdOut, seed);
  const { cases, warnings } = loadCases(dataset, dataset.training, (done, name) => tell(`reading ${name} (${done + 1} of ${all.length})`));
  const among = (names: readonly string[]): readonly Case[] => cases.filter(({ name }) => names.includes(name));
  const [training, heldOut] = [among(split.training), among(split.heldOut)];
  tell("measuring intensities");
  const fingerprint = before?.fingerprint ?? fingerprintOf(training, dataset.channels);
  const ready = (one: Case): Indexed => indexed({ ...one, image: normalise(one.image, fingerprint) });
  return {
    folder: dataset.folder, name: dataset.name, channels: dataset.channels, classes: classNames(dataset.classes, classes),
    training: training.map(ready), heldOut: heldOut.map(ready), fingerprint,
    warnings: [...warnings, ...spacingFindings(cases, fingerprint.spacing), ...absentFindings(training, dataset.classes)],
  };
}

function sameNames(names: readonly string[], { data }: RunRecord): boolean {
  return [...data.training, ...data.heldOut].sort().join("\n") === [...names].sort().join("\n");
}

/** Classes beyond those of the data set have no name of their own. */
function classNames(names: readonly string[], count: number): readonly string[] {
  return Array.from({ length: count }, (_, n) => names[n] ?? `class ${n}`);
}

/** How many classes the network gets: those of the data set, unless `--set classes=` says more. */
export function enoughClasses(set: Readonly<Record<string, string>>, dataset: Pick<Dataset, "classes" | "folder">): number {
  const asked = Number(set["classes"]);
  if (!Number.isInteger(asked)) return dataset.classes.length;
  if (asked >= dataset.classes.length) return asked;
  throw new Fault(diagnostic("N0802", `the network would have ${asked} classes, the data set has ${dataset.classes.length}`, {
    facts: [`${dataset.folder} names ${dataset.classes.join(", ")}.`], hint: "leave `--set classes=…` away, or take classes out of dataset.json and the labels",
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
