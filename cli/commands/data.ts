// `netc data`: looks through a data set before anything is trained on it, and plans what a run would need.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { Fault, isError, type Diagnostic } from "../../compiler/report/diagnostic.ts";
import { renderAll } from "../../compiler/report/render.ts";
import { cacheFolder, sweepCache } from "../../runtime/data/cache.ts";
import type { Configuration } from "../../runtime/data/configuration.ts";
import { regionsText, surveyDataset, type CaseFiles, type Dataset } from "../../runtime/data/dataset.ts";
import { readSeries } from "../../runtime/data/dicom.ts";
import { foldsOf } from "../../runtime/data/folds.ts";
import { gather } from "../../runtime/data/gather.ts";
import { endingOf, endings, writeImage } from "../../runtime/data/image.ts";
import { inspectCases } from "../../runtime/data/inspect.ts";
import type { Measure } from "../../runtime/data/measure.ts";
import { datasetFingerprint, plansOf, type Plans } from "../../runtime/data/planner.ts";
import { median } from "../../runtime/data/target.ts";
import { lengthsText, sizeText, type Triple } from "../../runtime/data/volume.ts";
import { bytesText } from "../../runtime/faults.ts";
import { writeAtomic } from "../../runtime/files.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { bytesAsked } from "../memory.ts";
import { quietly, table, type Terminal } from "../terminal.ts";

/** The command `data`. */
export const command: Command = define({
  name: "data",
  operands: { name: "check|plan|convert DIR, or clean", least: 1, most: 2 },
  flags: {
    out: { kind: "text", holds: "PATH", text: "of `plan`: where dataset_fingerprint.json, plans.json and splits_final.json go, by default nowhere; of `convert`: the image", short: "o" },
    memory: { kind: "text", holds: "8GB", text: "of `plan`: what a graphics card has, by default 8 GB" },
    quiet: { kind: "switch", text: "say nothing but what is wrong, and the result", short: "q" },
  },
  details: [
    "`data check DIR` reads every file of a data set in nnU-Net's layout and tells all that is wrong or odd, each with what to do about it.",
    "The exit code is 1 where something is wrong.",
    "`data plan DIR` tells the spacing, the intensities, the patch and the batch that nnU-Net would choose for its own network, and the folds.",
    "`data convert FOLDER -o CASE_0000.nii.gz` makes an image of a DICOM series; it needs the package @itk-wasm/dicom.",
    "`data clean` empties the cache of prepared cases. What was not used for 30 days goes by itself.",
  ].join("\n"),
  run: async ({ values, operands }, loud) => {
    const terminal = values.quiet ? quietly(loud) : loud;
    const [what = "", folder] = operands;
    if (what === "clean") return clean(folder, terminal);
    if (!["check", "plan", "convert"].includes(what)) throw new UsageError(`\`data\` is followed by \`check\`, \`plan\`, \`convert\` or \`clean\`, not \`${what}\``, "e.g. `netc data check Dataset001_Liver`");
    if (folder === undefined) throw new UsageError(`\`data ${what}\` needs a folder`, `e.g. \`netc data ${what} Dataset001_Liver\``);
    if (what === "check") {
      if (values.out !== undefined || values.memory !== undefined) throw new UsageError(`\`data check\` takes no \`--${values.out === undefined ? "memory" : "out"}\``, "`data plan` does");
      return await check(folder, terminal);
    }
    if (what === "plan") return await plan(folder, values.memory === undefined ? 8e9 : bytesAsked(values.memory), values.out, terminal);
    return await convert(folder, values.out, terminal);
  },
});

/** Between runs: one that trains would miss its cases. */
function clean(operand: string | undefined, terminal: Terminal): number {
  if (operand !== undefined) throw new UsageError("`data clean` takes no folder", "it empties the cache of prepared cases; a data set is never changed");
  const folder = cacheFolder();
  const { files, bytes } = sweepCache(folder, Infinity);
  terminal.print(files === 0 ? `${folder} is empty` : `${folder}: ${count(files, "file")} removed, ${bytesText(bytes)}`);
  return exit.done;
}

async function convert(folder: string, out: string | undefined, terminal: Terminal): Promise<number> {
  if (out === undefined) throw new UsageError("a file for the image is missing: `-o CASE_0000.nii.gz`");
  if (endingOf(out) === undefined) throw new UsageError(`\`${out}\` has no ending that is known`, `it is one of ${endings.join(", ")}`);
  const { volume, warnings } = await readSeries(folder);
  if (warnings.length > 0) terminal.say(`${renderAll(warnings, terminal)}\n`);
  writeImage(out, volume.data, volume.stored);
  terminal.print(`${out}: ${sizeText(volume.shape)} voxels of ${lengthsText([...volume.spacing].reverse())} mm`);
  return exit.done;
}

async function check(folder: string, terminal: Terminal): Promise<number> {
  const { dataset, findings, warnings } = surveyDataset(folder);
  const whole = [...dataset.training, ...dataset.test].filter(isComplete);
  const { measures, found } = await measured(dataset, whole, true, terminal);
  const all = [...findings, ...found, ...warnings, ...inspectCases(dataset, measures)];
  if (all.length > 0) terminal.say(`${renderAll(all, terminal, Infinity)}\n`);
  if (measures.length > 0) terminal.print(`${summary(dataset, measures)}\n`);
  const errors = all.filter(isError).length;
  terminal.print(all.length === 0 ? `${folder}: nothing is wrong` : `${folder}: ${count(errors, "error")}, ${count(all.length - errors, "warning")}`);
  return errors > 0 ? exit.fault : exit.done;
}

function isComplete({ images, label }: CaseFiles): boolean {
  return images.every((path) => existsSync(path)) && (label === undefined || existsSync(label));
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

/** Measures of the cases that can be read, and what is wrong with the others. */
async function measured(dataset: Dataset, files: readonly CaseFiles[], fresh: boolean, terminal: Terminal): Promise<{ readonly measures: readonly Measure[]; readonly found: readonly Diagnostic[] }> {
  const progress = terminal.progress();
  let left = files;
  const found: Diagnostic[] = [];
  try {
    for (;;) {
      const source = gather(dataset, left, (text, share) => progress.update(text, share));
      try {
        // What was sound the first time is kept.
        const measures = left.length === 0 ? [] : await source.measures(true, fresh && left === files);
        return { measures, found: [...found, ...source.warnings()] };
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        found.push(...error.findings);
        // What is sound is looked at together.
        const sound = left.filter(({ images, label }) => ![...images, ...(label === undefined ? [] : [label])].some((path) => error.findings.some(({ headline, facts }) => [headline, ...facts].some((text) => text.includes(path)))));
        if (sound.length === left.length) return { measures: [], found };
        left = sound;
      }
    }
  } finally {
    progress.done();
  }
}

function summary(dataset: Dataset, measures: readonly Measure[]): string {
  const shapes = measures.map(({ shape }) => shape);
  const spacings = measures.map(({ spacing }) => spacing);
  const range = (of: readonly Triple[], text: (one: Triple) => string): string => {
    const at = (pick: (values: readonly number[]) => number): Triple => [pick(of.map((one) => one[0])), pick(of.map((one) => one[1])), pick(of.map((one) => one[2]))];
    const [low, high] = [text(at((values) => Math.min(...values))), text(at((values) => Math.max(...values)))];
    return low === high ? low : `${low} to ${high}`;
  };
  const withClass = dataset.classes.map((name, value) => `${name} ${measures.filter(({ values }) => values.includes(value)).length}`).slice(1);
  return table([
    ["cases", `${dataset.training.length} for training, ${dataset.test.length} for tests; ${measures.length} were read`],
    ["channels", dataset.channels.join(", ")],
    ["voxels", `${range(shapes, sizeText)} (x, y, z; without zeros around)`],
    ["spacing", `${range(spacings, (one) => lengthsText([...one].reverse()))} mm`],
    ["labels", `${withClass.join(", ")} (cases that have them)`],
    ...(dataset.ignore === undefined ? [] : [["ignored", `voxels of label ${dataset.ignore}`]]),
    ...(dataset.regions === undefined ? [] : [["regions", regionsText(dataset.regions)]]),
  ]);
}

async function plan(folder: string, bytes: number, out: string | undefined, terminal: Terminal): Promise<number> {
  const { dataset, findings, warnings } = surveyDataset(folder);
  if (findings.length > 0) throw new Fault(...findings);
  const { measures, found } = await measured(dataset, dataset.training, false, terminal);
  const errors = found.filter(isError);
  if (errors.length > 0) throw new Fault(...errors);
  if (warnings.length > 0) terminal.say(`${renderAll(warnings, terminal)}\n`);
  const plans = plansOf(dataset, measures, bytes);
  const folds = foldsOf(dataset.training.map(({ name }) => name));
  terminal.print(planTable(dataset, plans, measures, folds.length));
  if (out === undefined) return exit.done;
  const json = (value: unknown): string => `${JSON.stringify(value, null, 4)}\n`;
  writeAtomic(join(out, "dataset_fingerprint.json"), json(datasetFingerprint(measures)));
  writeAtomic(join(out, "plans.json"), json(plans));
  const splits = join(out, "splits_final.json");
  // It may have been made by hand, for cases that belong together.
  const kept = existsSync(splits);
  if (!kept) writeAtomic(splits, json(folds));
  terminal.print(`\nwritten to ${out}: dataset_fingerprint.json, plans.json${kept ? "; splits_final.json was there and is kept" : ", splits_final.json"}`);
  return exit.done;
}

function planTable(dataset: Dataset, plans: Plans, measures: readonly Measure[], folds: number): string {
  const { "2d": flat, "3d_lowres": low, "3d_fullres": full } = plans.configurations;
  const { spacing, median_image_size_in_voxels: shape, normalization_schemes: schemes, use_mask_for_norm: masks } = full ?? flat;
  const middle = median(measures.map(({ kept }) => kept));
  const intensities = Object.values(plans.foreground_intensity_properties_per_channel).map((one, n) =>
    `${dataset.channels[n]}: ${schemes[n]}${masks[n] === true ? " without zeros" : ""}; mean ${one.mean.toFixed(2)}, deviation ${one.std.toFixed(2)}, 0.5 % ${one.percentile_00_5.toFixed(1)}, 99.5 % ${one.percentile_99_5.toFixed(1)}`);
  return table([
    ["cases", `${measures.length} for training, ${folds === 0 ? "no folds" : `${folds} folds`}`],
    ["spacing", `${lengthsText(spacing)} mm (${full === undefined ? "" : "slices, "}rows, columns)`],
    ["image", `${shape.join(" x ")} voxels at that spacing in the median case; ${(100 * middle).toFixed(0)} % of a file's are not zeros around`],
    ...intensities.map((text) => ["intensities", text]),
    ...(dataset.regions === undefined ? [] : [["targets", `${regionsText(dataset.regions)}: \`loss = dice_bce${dataset.ignore === undefined ? "" : "_ignore"}(logits, label, regions, batch = …)\``]]),
    ...configurationRows("2d", flat, plans), ...configurationRows("3d_lowres", low, plans), ...configurationRows("3d_fullres", full, plans),
  ]);
}

/** What a configuration is, and what a run would say for it. */
function configurationRows(name: string, one: Configuration | undefined, plans: Plans): readonly (readonly [string, string])[] {
  if (one === undefined) return [];
  const { patch_size: patch, batch_size: batch, architecture: { arch_kwargs: { strides } } } = one;
  // Images are volumes: a network of slices has patches of one slice, and keeps the thickness of slices.
  const whole = (of: readonly number[], slice: number): readonly number[] => (of.length === 2 ? [slice, ...of] : of);
  const spacing = whole(one.spacing, (plans.configurations["3d_fullres"]?.spacing ?? plans.original_median_spacing_after_transp)[0] ?? 1);
  return [
    [name, `patch ${patch.join(" x ")}, batch ${batch}; nnU-Net's network of ${strides.length} stages, strides ${strides.map((stride) => stride.join("")).join(" ")}`],
    ["in .net", `patch = [${whole(patch, 1).join(", ")}]; batch = ${batch}; spacing = [${spacing.map((step) => Number(step.toFixed(6))).join(", ")}]`],
  ];
}
