// A folder in the nnU-Net v2 layout: what dataset.json declares and which files belong to which case.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";

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
  readonly ending: string;
  readonly training: readonly CaseFiles[];
  readonly test: readonly CaseFiles[];
}

/** What dataset.json says. */
export interface Declaration {
  readonly name: string | undefined;
  readonly channels: readonly string[];
  readonly classes: readonly string[];
  readonly ending: string;
  readonly training: number | undefined;
}

/** Opens a data set folder; a `Fault` with everything found wrong about its layout. */
export function openDataset(folder: string): { readonly dataset: Dataset; readonly warnings: readonly Diagnostic[] } {
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
  if (findings.length > 0) throw new Fault(...findings);
  if (declared.training !== undefined && declared.training !== training.length) {
    warnings.push(diagnostic("W1057", `${path} declares ${declared.training} training cases, ${training.length} were found`, { hint: `set numTraining to ${training.length}, or look for the missing files` }));
  }
  return { dataset: { folder, name: declared.name ?? folder, channels: declared.channels, classes: declared.classes, ending: declared.ending, training, test }, warnings };
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
    classes: readClasses(path, json["labels"]),
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

function readClasses(path: string, given: unknown): readonly string[] {
  const hint = "write e.g. \"labels\": { \"background\": 0, \"liver\": 1 } with values 0, 1, 2, … without gaps";
  if (!isRecord(given)) throw wrong(path, `\`labels\` ${given === undefined ? "is missing" : "must be an object"}`, hint);
  const classes: string[] = [];
  for (const [name, value] of Object.entries(given)) {
    if (Array.isArray(value)) throw unsupported(path, `class \`${name}\` is a region (${JSON.stringify(value)})`, "Regions that unite several labels are not supported yet.");
    if (name === "ignore") throw unsupported(path, "it declares an `ignore` label", "Voxels without annotation are not supported yet.");
    if (typeof value === "string" && /^\d+$/.test(name)) throw wrong(path, `\`labels\` maps numbers to names (\`${name}\` to ${JSON.stringify(value)})`, `swap them; ${hint}`);
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw wrong(path, `label \`${name}\` has the value ${JSON.stringify(value)}, not a whole number`, hint);
    if (value > 255) throw wrong(path, `label \`${name}\` has the value ${value}, at most 255 are possible`, hint);
    const taken = classes[value];
    if (taken !== undefined) throw wrong(path, `labels \`${taken}\` and \`${name}\` both have the value ${value}`, hint);
    classes[value] = name;
  }
  for (let value = 0; value < classes.length; value++) {
    if (classes[value] === undefined) throw wrong(path, `no label has the value ${value}, though one has ${classes.length - 1}`, hint);
  }
  if (classes.length < 2) throw wrong(path, "`labels` needs the background and at least one class", hint);
  return classes;
}

function unsupported(path: string, what: string, fact: string): Fault {
  return new Fault(diagnostic("N1013", `${path}: ${what}`, { facts: [fact], hint: "give every voxel one class of its own in the label files, and declare those" }));
}

function readEnding(path: string, given: unknown): string {
  if (given === ".nii.gz" || given === ".nii") return given;
  throw wrong(path, given === undefined ? "`file_ending` is missing" : `\`file_ending\` is ${JSON.stringify(given)}, which cannot be read`, "images must be NIfTI: \".nii.gz\" or \".nii\"");
}

const imageName = /^(?<name>.+)_(?<channel>\d{4})$/;

function list(folder: string, ending: string): { readonly stems: readonly string[]; readonly others: readonly string[] } {
  if (!isFolder(folder)) return { stems: [], others: [] };
  // Hidden files are the droppings of file managers, e.g. `._case_0000.nii.gz`.
  const names = readdirSync(folder).filter((name) => !name.startsWith(".")).sort();
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
