// The data of a training run: opened, checked, split, normalised and indexed.

import { join } from "node:path";
import type { RunSettings } from "../compiler/front/front.ts";
import { diagnostic, Fault, type Diagnostic } from "../compiler/report/diagnostic.ts";
import { nearest } from "../compiler/report/spelling.ts";
import { IGNORED } from "../runtime/data/case.ts";
import { openDataset, type Dataset } from "../runtime/data/dataset.ts";
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
  /** Which of the folds is held out; undefined to go by `holdOut`. */
  readonly fold?: number | undefined;
  readonly patch: Triple;
  readonly spacing: RunSettings["spacing"];
  /** Whether the loss leaves out voxels without annotation. */
  readonly ignores?: boolean | undefined;
}

/** What a run makes of the labels of a data set. */
export interface LabelUse {
  /** Names, the background first. */
  readonly classes: readonly string[];
  readonly samples: Samples;
}

/** Opens a data set, and reads it when the network is known to fit. */
export const prepareData = { open: openDataset, load } as const;

async function load(dataset: Dataset, { classes, samples, spacing, seed, holdOut, fold, patch, ignores }: DataOptions, before: RunRecord | undefined, tell: Tell): Promise<TrainingData> {
  demandIgnoring(dataset, { ignores, samples });
  const all = dataset.training.map(({ name }) => name);
  const goesOn = before !== undefined && holdOut === undefined && fold === undefined && sameNames(all, before);
  const split = goesOn ? before.data : fold === undefined ? splitCases(all, holdOut, seed) : foldOf(fold, dataset.folder, all);
  const source = gather(dataset, dataset.training, tell);
  const how = spacingFor(spacing, samples);
  const measures = await source.measures(how !== "none");
  const warnings = source.warnings();
  const learned = measures.filter(({ name }) => split.training.includes(name));
  const fingerprint = before?.fingerprint ?? fingerprintFrom(learned, dataset.channels, { spacing: how });
  const cases = await source.cases({ fingerprint, samples, patch });
  const among = (names: readonly string[]): readonly Indexed[] => cases.filter(({ name }) => names.includes(name)).map((one) => {
    tell(`looking for classes in ${one.name}`);
    const found = indexed(one);
    // Patches are centred on classes.
    return dataset.ignore === undefined ? found : { ...found, classes: found.classes.filter(({ value }) => value !== IGNORED) };
  });
  const [training, heldOut] = [among(split.training), among(split.heldOut)];
  demandSamples(training.map((one) => one.source), dataset.folder);
  const made = new Set(cases.map(({ name }) => name));
  return {
    folder: dataset.folder, name: dataset.name, channels: dataset.channels, classes, split, training, heldOut, fingerprint,
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
  demandClasses(dataset);
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

const plainLabels = "give every voxel one class of its own in the label files, and declare those";

/** N1013 for targets that no network here has. */
function demandClasses({ folder, regions }: Pick<Dataset, "folder" | "regions">): void {
  if (regions === undefined) return;
  throw new Fault(diagnostic("N1013", `${join(folder, "dataset.json")}: its targets are regions, which are not trained yet`, {
    facts: [`They are ${regions.map(({ name, values }) => `${name} (${values.join(", ")})`).join(", ")}.`, "They may overlap: a voxel can belong to several."], hint: `${plainLabels}; \`netc data check\` and \`netc data plan\` know regions`,
  }));
}

/** N1013 where voxels without annotation would be learned from. */
function demandIgnoring({ folder, ignore }: Pick<Dataset, "folder" | "ignore">, { ignores, samples }: Pick<DataOptions, "ignores" | "samples">): void {
  if (ignore === undefined) return;
  const path = join(folder, "dataset.json");
  const picky = (["target", "drop", "crop", "guide"] as const).find((name) => samples[name] !== undefined && samples[name] !== false);
  if (picky !== undefined) {
    throw new Fault(diagnostic("N1013", `${path}: \`${picky}\` and an \`ignore\` label do not go together yet`, { facts: [`Voxels of label ${ignore} have no annotation; they would count as background.`], hint: `leave \`${picky}\` away, or ${plainLabels}` }));
  }
  if (ignores === true) return;
  throw new Fault(diagnostic("N1013", `${path}: it declares an \`ignore\` label (${ignore}), which the loss does not leave out`, {
    facts: ["Its voxels have no annotation, and the loss would count them all the same."], hint: "`dice_ce_ignore(logits, label, batch = false)`, or `ignore = true` in `cross_entropy` and `soft_dice`",
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
