// A folder in the nnU-Net v2 layout: what dataset.json declares and which files belong to which case.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { endings } from "./image.ts";

/** The files of one patient or scan. */
export interface CaseFiles {
  readonly name: string;
  /** One file per declared channel, in order. */
  readonly images: readonly string[];
  readonly label: string | undefined;
}

/** A data set on disk; nothing of its images has been read. */
export interface Dataset {
  readonly folder: string;
  readonly name: string;
  readonly channels: readonly string[];
  /** Class names; a class's place in the list is its label value, 0 the background. */
  readonly classes: readonly string[];
  /** The label value of voxels without annotation, one more than the last class; undefined where there is none. */
  readonly ignore?: number | undefined;
  /** What is sought where several labels make up one target; undefined where every label is a class of its own. */
  readonly regions?: readonly Region[] | undefined;
  readonly ending: string;
  readonly training: readonly CaseFiles[];
  readonly test: readonly CaseFiles[];
}

/** Several labels that make up one target, as in brain tumour data; regions may overlap. */
export interface Region {
  readonly name: string;
  /** Label values. */
  readonly values: readonly number[];
  /** What a prediction writes for it, where no later region holds. */
  readonly written: number;
}

/** `whole (1, 2, 3), core (2, 3)` */
export function regionsText(regions: readonly Region[]): string {
  return regions.map(({ name, values }) => `${name} (${values.join(", ")})`).join(", ");
}

/** What dataset.json says. */
export interface Declaration {
  readonly name: string | undefined;
  readonly channels: readonly string[];
  readonly classes: readonly string[];
  readonly ignore: number | undefined;
  readonly regions: readonly Region[] | undefined;
  readonly ending: string;
  readonly training: number | undefined;
}

/** Opens a data set folder; a `Fault` with everything found wrong about its layout. */
export function openDataset(folder: string): { readonly dataset: Dataset; readonly warnings: readonly Diagnostic[] } {
  const { findings, ...opened } = surveyDataset(folder);
  if (findings.length > 0) throw new Fault(...findings);
  return opened;
}

/** As `openDataset`, what is wrong about files told beside the rest; a `Fault` only where dataset.json cannot be used. */
export function surveyDataset(folder: string): { readonly dataset: Dataset; readonly findings: readonly Diagnostic[]; readonly warnings: readonly Diagnostic[] } {
  const path = join(folder, "dataset.json");
  if (!isFolder(folder)) {
    throw new Fault(diagnostic("N1006", `there is no folder ${folder}`, { hint: "give the folder that holds dataset.json, imagesTr and labelsTr" }));
  }
  const declared = readDeclaration(path);
  const findings: Diagnostic[] = [];
  const warnings: Diagnostic[] = [];
  const training = pair(folder, "Tr", declared, findings, warnings);
  const test = pair(folder, "Ts", declared, findings, warnings);
  if (training.length === 0 && findings.length === 0) {
    findings.push(diagnostic("N1014", `${folder} has no training cases`, {
      facts: [`No file in ${join(folder, "imagesTr")} is called CASE_0000${declared.ending}.`],
      hint: "name images CASE_0000, CASE_0001 (one per channel) and labels CASE; check file_ending in dataset.json",
    }));
  }
  if (declared.training !== undefined && declared.training !== training.length) {
    warnings.push(diagnostic("W1057", `${path} declares ${declared.training} training cases, ${training.length} were found`, { hint: `set numTraining to ${training.length}, or look for the missing files` }));
  }
  const { name, channels, classes, ignore, regions, ending } = declared;
  return { dataset: { folder, name: name ?? folder, channels, classes, ignore, regions, ending, training, test }, findings, warnings };
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** Reads and checks a dataset.json; a `Fault` naming the field that is wrong. */
export function readDeclaration(path: string): Declaration {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    throw new Fault(diagnostic("N1011", `there is no ${path}`, { hint: "a data set needs a dataset.json with channel_names, labels, numTraining and file_ending" }));
  }
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new Fault(diagnostic("N1011", `${path} is not valid JSON`, { facts: [error instanceof Error ? `${error.message}.` : String(error)], hint: "look for a missing quote or comma, or a comma too many" }));
  }
  if (!isRecord(json)) throw wrong(path, "must be an object", "write { \"channel_names\": …, \"labels\": …, \"file_ending\": … }");
  const name = json["name"];
  const count = json["numTraining"];
  return {
    name: typeof name === "string" ? name : undefined,
    channels: readChannels(path, json),
    ...readLabels(path, json["labels"], json["regions_class_order"]),
    ending: readEnding(path, json["file_ending"]),
    training: typeof count === "number" ? count : undefined,
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(path: string, what: string, hint: string): Fault {
  return new Fault(diagnostic("N1012", `${path}: ${what}`, { hint }));
}

function readChannels(path: string, json: Readonly<Record<string, unknown>>): readonly string[] {
  const given = json["channel_names"];
  const hint = "write e.g. \"channel_names\": { \"0\": \"CT\" }; images end in _0000, _0001, … in this order";
  if (given === undefined && json["modality"] !== undefined) throw wrong(path, "`modality` is the old name of `channel_names`", "rename it; see nnU-Net's format 2");
  if (!isRecord(given) || Object.keys(given).length === 0) throw wrong(path, `\`channel_names\` ${given === undefined ? "is missing" : "must be an object with at least one channel"}`, hint);
  return Object.keys(given).map((_, n) => {
    const name = given[String(n)];
    if (typeof name !== "string") throw wrong(path, `\`channel_names\` has no name for channel ${n}, only for ${Object.keys(given).join(", ")}`, hint);
    return name;
  });
}

const labelHint = "write e.g. \"labels\": { \"background\": 0, \"liver\": 1 } with values 0, 1, 2, … without gaps";

function readLabels(path: string, given: unknown, order: unknown): Pick<Declaration, "classes" | "ignore" | "regions"> {
  if (!isRecord(given)) throw wrong(path, `\`labels\` ${given === undefined ? "is missing" : "must be an object"}`, labelHint);
  const { ignore, ...named } = given;
  const lists = Object.entries(named).map(([name, value]) => ({ name, values: valuesOf(path, name, value) }));
  const regions = Object.values(named).some(Array.isArray);
  const classes: string[] = [];
  for (const { name, values } of lists) {
    for (const value of values) {
      const taken = classes[value];
      if (taken !== undefined && !regions) throw wrong(path, `labels \`${taken}\` and \`${name}\` both have the value ${value}`, labelHint);
      // The smallest region that holds a value names it best, and that is one of its own.
      if (taken === undefined || values.length === 1) classes[value] = values.length === 1 ? name : `label ${value}`;
    }
  }
  for (let value = 0; value < classes.length; value++) {
    if (classes[value] === undefined) throw wrong(path, `no label has the value ${value}, though one has ${classes.length - 1}`, labelHint);
  }
  if (classes.length < 2) throw wrong(path, "`labels` needs the background and at least one class", labelHint);
  if (ignore !== undefined && ignore !== classes.length) throw wrong(path, `label \`ignore\` has the value ${JSON.stringify(ignore)}`, `it must be the highest value, here ${classes.length}`);
  if (classes.length > 255 && ignore !== undefined) throw wrong(path, `label \`ignore\` has the value ${classes.length}, at most 255 are possible`, "take a class out");
  return { classes, ignore: ignore === undefined ? undefined : classes.length, regions: regions ? readRegions(path, lists, order) : undefined };
}

function valuesOf(path: string, name: string, given: unknown): readonly number[] {
  if (typeof given === "string" && /^\d+$/.test(name)) throw wrong(path, `\`labels\` maps numbers to names (\`${name}\` to ${JSON.stringify(given)})`, `swap them; ${labelHint}`);
  const values: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (values.length === 0) throw wrong(path, `region \`${name}\` is empty`, labelHint);
  return values.map((value) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw wrong(path, `label \`${name}\` has the value ${JSON.stringify(value)}, not a whole number`, labelHint);
    if (value > 255) throw wrong(path, `label \`${name}\` has the value ${value}, at most 255 are possible`, labelHint);
    return value;
  });
}

function readRegions(path: string, lists: readonly { readonly name: string; readonly values: readonly number[] }[], order: unknown): readonly Region[] {
  const regions = lists.filter(({ values }) => values.some((value) => value !== 0));
  if (!Array.isArray(order) || order.length !== regions.length || !order.every((value) => typeof value === "number" && Number.isInteger(value) && value > 0 && value < 256)) {
    throw wrong(path, `\`regions_class_order\` ${order === undefined ? "is missing" : `is ${JSON.stringify(order)}`}, though \`labels\` has regions`, `write one value for each of ${regions.map(({ name }) => name).join(", ")}: what a prediction writes there, later ones over earlier ones`);
  }
  return regions.map((region, n) => ({ ...region, written: Number(order[n]) }));
}

function readEnding(path: string, given: unknown): string {
  if (typeof given === "string" && endings.some((one) => one === given)) return given;
  throw wrong(path, given === undefined ? "`file_ending` is missing" : `\`file_ending\` is ${JSON.stringify(given)}, which cannot be read`, `images must be NIfTI, NRRD or MetaImage: ${endings.map((one) => `"${one}"`).join(", ")}`);
}

const imageName = /^(?<name>.+)_(?<channel>\d{4})$/;

function list(folder: string, ending: string): { readonly stems: readonly string[]; readonly others: readonly string[] } {
  if (!isFolder(folder)) return { stems: [], others: [] };
  // Hidden files are the droppings of file managers, e.g. `._case_0000.nii.gz`.
  // The voxels of a .mhd lie beside it.
  const names = readdirSync(folder).filter((name) => !name.startsWith(".") && !(ending === ".mhd" && /\.z?raw$/.test(name))).sort();
  return { stems: names.filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length)), others: names.filter((name) => !name.endsWith(ending)) };
}

function pair(folder: string, part: "Tr" | "Ts", declared: Declaration, findings: Diagnostic[], warnings: Diagnostic[]): readonly CaseFiles[] {
  const images = join(folder, `images${part}`);
  const labels = join(folder, `labels${part}`);
  const { ending, channels } = declared;
  const imageFiles = list(images, ending);
  const labelFiles = list(labels, ending);
  const found = new Map<string, Set<number>>();
  const unused = [...imageFiles.others, ...labelFiles.others];
  for (const stem of imageFiles.stems) {
    const match = imageName.exec(stem)?.groups;
    const channel = Number(match?.["channel"]);
    const name = match?.["name"];
    if (name === undefined || channel >= channels.length) unused.push(stem + ending);
    if (name === undefined) continue;
    found.set(name, (found.get(name) ?? new Set()).add(channel));
  }
  if (unused.length > 0) {
    warnings.push(diagnostic("W1057", `${count(unused.length, "file")} of ${folder} ${unused.length === 1 ? "is" : "are"} not used`, {
      facts: [`For one: ${unused[0]}.`, `dataset.json declares ${count(channels.length, "channel")} (${channels.join(", ")}) and files that end in ${ending}.`],
      hint: "images are called CASE_0000, CASE_0001, … and labels CASE",
    }));
  }
  const labelled = new Set(labelFiles.stems);
  for (const stem of labelled) {
    if (!found.has(stem)) {
      findings.push(diagnostic("N1014", `${join(labels, stem + ending)} has no image`, { facts: [`There is no ${join(images, `${stem}_0000${ending}`)}.`], hint: "add the image, or take the label away" }));
    }
  }
  const cases: CaseFiles[] = [];
  for (const [name, numbers] of found) {
    const files = channels.map((_, n) => join(images, `${name}_${String(n).padStart(4, "0")}${ending}`));
    files.forEach((file, n) => {
      if (numbers.has(n)) return;
      findings.push(diagnostic("N1015", `case ${name} lacks channel ${n} (${channels[n]})`, {
        facts: [`There is no ${file}.`, `dataset.json declares ${count(channels.length, "channel")}: ${channels.join(", ")}.`],
        hint: "add the file, or take the channel out of channel_names if no case has it",
      }));
    });
    const label = labelled.has(name) ? join(labels, name + ending) : undefined;
    if (label === undefined && part === "Tr") {
      findings.push(diagnostic("N1014", `training case ${name} has no label`, { facts: [`There is no ${join(labels, name + ending)}.`], hint: "add the label, or move the image to imagesTs" }));
    }
    cases.push({ name, images: files, label });
  }
  return cases;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
