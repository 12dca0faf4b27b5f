// The data of a training run: opened, checked, split, normalised and indexed.

import { join } from "node:path";
import type { RunSettings } from "../compiler/front/front.ts";
import { diagnostic, Fault, type Diagnostic } from "../compiler/report/diagnostic.ts";
import { nearest } from "../compiler/report/spelling.ts";
import { IGNORED } from "../runtime/data/case.ts";
import { openDataset, regionsText, type Dataset, type Region } from "../runtime/data/dataset.ts";
import { absentFindings, fingerprintFrom, spacingFindings, type Fingerprint } from "../runtime/data/fingerprint.ts";
import { foldsIn } from "../runtime/data/folds.ts";
import { gather, type Tell } from "../runtime/data/gather.ts";
import { indexed, type Indexed } from "../runtime/data/patches.ts";
import { demandSamples, lostFindings, type Samples } from "../runtime/data/samples.ts";
import type { Triple } from "../runtime/data/volume.ts";
import { splitCases, type Split } from "../runtime/train/hold-out.ts";
import type { RunRecord } from "./run-folder.ts";

/** What a run learns from. Images are on the network's scale. */
export interface TrainingData {
  readonly folder: string;
  readonly name: string;
  readonly channels: readonly string[];
  /** The classes, or the regions, the background first; more than the data set has where the network has more. */
  readonly classes: readonly string[];
  readonly regions: readonly Region[] | undefined;
  /** Names of the values in label maps. */
  readonly labels: readonly string[];
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
  /** Which of the folds is held out; undefined to go by `holdOut`. */
  readonly fold?: number | undefined;
  readonly patch: Triple;
  readonly spacing: RunSettings["spacing"];
  /** Whether the loss leaves out voxels without annotation. */
  readonly ignores?: boolean | undefined;
  /** Whether the loss is one of regions. */
  readonly regional?: boolean | undefined;
}

/** What a run makes of the labels of a data set. */
export interface LabelUse {
  /** Names of classes or regions, the background first. */
  readonly classes: readonly string[];
  readonly regions: readonly Region[] | undefined;
  readonly samples: Samples;
}

/** Opens a data set, and reads it when the network is known to fit. */
export const prepareData = { open: openDataset, load } as const;

async function load(dataset: Dataset, { classes, regions, samples, spacing, seed, holdOut, fold, patch, ignores, regional }: DataOptions, before: RunRecord | undefined, tell: Tell): Promise<TrainingData> {
  demandIgnoring(dataset, { ignores, samples });
  demandRegional(dataset, { regional, samples });
  const all = dataset.training.map(({ name }) => name);
  const goesOn = before !== undefined && holdOut === undefined && fold === undefined && sameNames(all, before);
  const split = goesOn ? before.data : fold === undefined ? splitOf(all, holdOut, seed) : foldOf(fold, dataset.folder, all);
  const source = gather(dataset, dataset.training, tell);
  const how = spacingFor(spacing, samples);
  const measures = await source.measures(how !== "none");
  const warnings = source.warnings();
  const learned = measures.filter(({ name }) => split.training.includes(name));
  const fingerprint = before?.fingerprint ?? fingerprintFrom(learned, dataset.channels, { spacing: how });
  const cases = await source.cases({ fingerprint, samples, patch });
  const among = (names: readonly string[]): readonly Indexed[] => cases.filter(({ name }) => names.includes(name)).map((one) => {
    tell(`looking for classes in ${one.name}`);
    const found = indexed(one, regions?.map(({ values }) => values));
    // Patches are centred on classes.
    return dataset.ignore === undefined || regions !== undefined ? found : { ...found, classes: found.classes.filter(({ value }) => value !== IGNORED) };
  });
  const [training, heldOut] = [among(split.training), among(split.heldOut)];
  demandSamples(training.map((one) => one.source), dataset.folder);
  const made = new Set(cases.map(({ name }) => name));
  return {
    folder: dataset.folder, name: dataset.name, channels: dataset.channels, classes, regions, labels: regions === undefined ? classes : dataset.classes, split, training, heldOut, fingerprint,
    warnings: [
      ...warnings, ...lostFindings(all.filter((name) => !made.has(name)), samples),
      // A cube has the same size in millimetres whatever the voxels are.
      ...(samples.crop === undefined && fingerprint.target === undefined ? spacingFindings(measures, fingerprint.spacing) : []),
      ...absentFindings(training.flatMap((one) => one.classes.map(({ value }) => value)), classes),
    ],
  };
}

/** What images are resampled to; a `Fault` where a run cannot say so. */
export function spacingFor(spacing: RunSettings["spacing"], { crop }: Pick<Samples, "crop">): "median" | "none" | Triple {
  // A cube is resized to the patch anyway.
  if (crop !== undefined || typeof spacing === "string") return crop === undefined && typeof spacing === "string" ? spacing : "none";
  const [d, h, w] = spacing;
  if (d !== undefined && h !== undefined && w !== undefined && spacing.length === 3) return [d, h, w];
  throw new Fault(diagnostic("N1066", `\`spacing\` has three axes, this one has ${spacing.length}: [${spacing.join(", ")}]`, {
    facts: ["Images are read as volumes of slices, rows and columns."], hint: "`spacing = [2, 1.5, 1.5]` in millimetres, `median` or `none`",
  }));
}

function splitOf(names: readonly string[], wanted: number | undefined, seed: number): Split {
  if (wanted === undefined || wanted < names.length) return splitCases(names, wanted, seed);
  throw new Fault(diagnostic("N1024", `${wanted} of ${names.length} cases cannot be held out`, { facts: ["None would be left to learn from."], hint: `\`--hold-out\` takes at most ${Math.max(0, names.length - 1)} here` }));
}

function foldOf(fold: number, folder: string, names: readonly string[]): Split {
  const folds = foldsIn(folder, names);
  const chosen = folds[fold];
  if (chosen !== undefined) return { training: chosen.train, heldOut: chosen.val };
  throw new Fault(diagnostic("N1024", `there is no fold ${fold}`, { facts: [folds.length === 0 ? "One case alone makes no folds." : `${folder} has the folds 0 to ${folds.length - 1}.`], hint: "leave `--fold` away to go by `--hold-out`" }));
}

function sameNames(names: readonly string[], { data }: RunRecord): boolean {
  return [...data.training, ...data.heldOut].sort().join("\n") === [...names].sort().join("\n");
}

/** What the settings of a run make of a data set's labels; a `Fault` where they do not fit it. */
export function labelUse({ classes, samples }: Pick<RunSettings, "classes" | "samples">, set: Readonly<Record<string, string>>, dataset: Pick<Dataset, "classes" | "folder" | "regions">): LabelUse {
  const target = samples.target === undefined ? undefined : targetIn(samples.target, dataset);
  const { regions } = dataset;
  const [background = "background"] = dataset.classes;
  const names = target !== undefined ? [background, dataset.classes[target] ?? ""] : regions === undefined ? dataset.classes : [background, ...regions.map(({ name }) => name)];
  if (regions !== undefined && target === undefined && classes !== regions.length) {
    throw new Fault(diagnostic("N0802", `the network would have ${classes} classes, the data set has ${regions.length} regions`, {
      facts: [`They are ${regionsText(regions)}.`], hint: "leave `--set classes=…` away: a network has one class for each region, and none for the background",
    }));
  }
  // Independent targets leave the background out; with several classes nobody does so by `--set`.
  if (classes < names.length - 1 || (regions === undefined && classes < names.length && "classes" in set && names.length > 2)) {
    throw new Fault(diagnostic("N0802", `the network would have ${classes} classes, the data set has ${names.length}`, {
      facts: [`${dataset.folder} names ${names.join(", ")}.`],
      hint: "leave `--set classes=…` away, name one class as the run's `target`, or take classes out of dataset.json and the labels",
    }));
  }
  const { guide, crop, drop } = samples;
  // Classes beyond those of the data set have no name of their own.
  return { classes: Array.from({ length: Math.max(classes, names.length) }, (_, n) => names[n] ?? `class ${n}`), regions: target === undefined ? regions : undefined, samples: { target, guide, crop, drop } };
}

const plainLabels = "give every voxel one class of its own in the label files, and declare those";

/** The settings of a run that look at single labels. */
const picking = ["target", "drop", "crop", "guide"] as const;

/** N1013 for regions that a run would not learn. */
function demandRegional({ folder, regions }: Pick<Dataset, "folder" | "regions">, { regional, samples }: Pick<DataOptions, "regional" | "samples">): void {
  if (regions === undefined) return;
  const path = join(folder, "dataset.json");
  const facts = [`They are ${regionsText(regions)}.`, "They may overlap: a voxel can belong to several."];
  const picky = picking.find((name) => samples[name] !== undefined && samples[name] !== false);
  if (picky !== undefined) throw new Fault(diagnostic("N1013", `${path}: \`${picky}\` and regions do not go together`, { facts, hint: `leave \`${picky}\` away, or ${plainLabels}` }));
  if (regional === true) return;
  throw new Fault(diagnostic("N1013", `${path}: its targets are regions, which the loss does not ask for`, { facts, hint: "`loss = dice_bce(logits, label, regions, batch = false)`: `regions` are those of the data set" }));
}

/** N1013 where voxels without annotation would be learned from. */
function demandIgnoring({ folder, ignore }: Pick<Dataset, "folder" | "ignore">, { ignores, samples }: Pick<DataOptions, "ignores" | "samples">): void {
  if (ignore === undefined) return;
  const path = join(folder, "dataset.json");
  const picky = picking.find((name) => samples[name] !== undefined && samples[name] !== false);
  if (picky !== undefined) {
    throw new Fault(diagnostic("N1013", `${path}: \`${picky}\` and an \`ignore\` label do not go together yet`, { facts: [`Voxels of label ${ignore} have no annotation; they would count as background.`], hint: `leave \`${picky}\` away, or ${plainLabels}` }));
  }
  if (ignores === true) return;
  throw new Fault(diagnostic("N1013", `${path}: it declares an \`ignore\` label (${ignore}), which the loss does not leave out`, {
    facts: ["Its voxels have no annotation, and the loss would count them all the same."], hint: "`dice_ce_ignore(logits, label, batch = false)`, `dice_bce_ignore` for regions, or `ignore = true` in `cross_entropy` and `soft_dice`",
  }));
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
