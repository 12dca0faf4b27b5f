// The clicks of a prediction: read from flags and files, and given to the cases they belong to.

import { existsSync, statSync } from "node:fs";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Click } from "../data/click.ts";
import { readBytes } from "../files.ts";
import type { Wanted } from "./inputs.ts";
import { labelClick } from "./label-clicks.ts";
import type { Request } from "./predict.ts";

/** One click that was read, or why it was not. */
interface Entry {
  /** The case, where as much could be read. */
  readonly name: string;
  readonly click: Click | Diagnostic;
}

/** What a user says about clicks. */
export interface GivenClicks {
  /** `CASE=i,j,k`, voxels of the file. */
  readonly voxels: readonly string[];
  /** `CASE=x,y,z`, millimetres. */
  readonly mm: readonly string[];
  /** A CSV or JSON file, or a folder of label maps to draw from. */
  readonly file: string | undefined;
}

/** Whether networks want clicks, and on what. */
export interface ClickUse {
  readonly needed: boolean;
  /** The label to draw from maps; undefined for any foreground. */
  readonly target: number | undefined;
  /** Cases that may be clicked on, where not all of them are predicted. */
  readonly all?: readonly Wanted[];
}

/** Gives every case its click; cases that lack one, and clicks that belong nowhere, are findings. */
export function withClicks(cases: readonly Wanted[], given: GivenClicks, { needed, target, all = cases }: ClickUse): { readonly requests: readonly Request[]; readonly errors: readonly Diagnostic[] } {
  const entries = [
    ...given.voxels.map((text) => fromFlag("--click", "voxel", text)),
    ...given.mm.map((text) => fromFlag("--click-mm", "mm", text)),
    ...(given.file === undefined ? [] : isFolder(given.file) ? fromLabels(given.file, cases, target) : fromFile(given.file)),
  ];
  const errors: Diagnostic[] = [];
  const byName = new Map<string, Click>();
  const troubled = new Set<string>();
  for (const { name, click } of entries) {
    const other = byName.get(name);
    const finding = "code" in click ? click : other !== undefined ? twice(name, other, click) : all.some((one) => one.name === name) ? undefined : stray(name, click, all);
    if (finding === undefined && !("code" in click)) {
      byName.set(name, click);
    } else if (finding !== undefined) {
      errors.push(finding);
      troubled.add(name);
    }
  }
  const usable = cases.filter(({ name }) => !troubled.has(name) && (!needed || byName.has(name)));
  const lacking = cases.filter(({ name }) => !troubled.has(name) && needed && !byName.has(name));
  errors.push(...lacking.map(({ name }) => diagnostic("N1083", `${name} has no click`, {
    facts: ["The network was trained with one (`guide`) and needs to be told where to look."],
    hint: `\`--click ${name}=i,j,k\` in voxels of the file, \`--click-mm ${name}=x,y,z\`, or a line in the file of \`--clicks\``,
  })));
  return { requests: usable.map((one) => ({ ...one, click: byName.get(one.name) })), errors };
}

function twice(name: string, first: Click, second: Click): Diagnostic {
  return diagnostic("N1081", `${name} is clicked twice`, { facts: [`${first.from} says ${first.at.join(", ")}, ${second.from} ${second.at.join(", ")}.`], hint: "a network takes one click; predict again for another" });
}

function stray(name: string, { from }: Click, cases: readonly Wanted[]): Diagnostic {
  const names = cases.map((one) => one.name);
  return diagnostic("N1081", `there is no case ${name} to click on`, {
    facts: [`${from} names it; the images are of ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}.`], hint: "a case is the file's name without _0000.nii.gz",
  });
}

function unreadable(name: string, from: string, value: string, wanted: string): Entry {
  return { name, click: diagnostic("N1081", `${from} is no click: \`${value}\``, { facts: [`Wanted is ${wanted}.`], hint: "three numbers; voxels are whole and count from 0" }) };
}

function entryOf(name: string, unit: Click["unit"], numbers: readonly unknown[], from: string, value: string, wanted: string): Entry {
  const [a, b, c] = numbers;
  const fits = (n: unknown): n is number => typeof n === "number" && Number.isFinite(n) && (unit === "mm" || Number.isInteger(n));
  if (name === "" || numbers.length !== 3 || !fits(a) || !fits(b) || !fits(c)) return unreadable(name, from, value, wanted);
  return { name, click: { unit, at: [a, b, c], from } };
}

/** An empty text is no number, though JavaScript says 0. */
const numberOf = (text: string): number => (text.trim() === "" ? Number.NaN : Number(text));

function fromFlag(flag: string, unit: Click["unit"], text: string): Entry {
  const at = text.lastIndexOf("=");
  return entryOf(text.slice(0, Math.max(0, at)).trim(), unit, text.slice(at + 1).split(",").map(numberOf), `\`${flag} ${text}\``, text, unit === "voxel" ? "CASE=i,j,k, e.g. ct_007=50,61,12" : "CASE=x,y,z, e.g. ct_007=-12.5,30,4");
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

function fromLabels(folder: string, cases: readonly Wanted[], target: number | undefined): readonly Entry[] {
  return cases.flatMap((one) => {
    const click = labelClick(folder, one, target);
    return click === undefined ? [] : [{ name: one.name, click }];
  });
}

function fromFile(path: string): readonly Entry[] {
  const text = new TextDecoder().decode(readBytes(path)).replace(/^\uFEFF/, "");
  return text.trimStart().startsWith("{") ? fromJson(path, text) : fromCsv(path, text);
}

function malformed(path: string, fact: string): Fault {
  return new Fault(diagnostic("N1081", `${path} holds no clicks`, {
    facts: [fact], hint: "CSV with the columns case,i,j,k (voxels) or case,x,y,z (mm), or JSON: { \"ct_007\": [50, 61, 12], \"ct_008\": { \"mm\": [-12.5, 30, 4] } }",
  }));
}

function fromJson(path: string, text: string): readonly Entry[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw malformed(path, error instanceof Error ? `${error.message}.` : String(error));
  }
  return Object.entries(json as Readonly<Record<string, unknown>>).map(([name, value]) => {
    const inMm = typeof value === "object" && value !== null && "mm" in value;
    const numbers = inMm ? value.mm : value;
    return entryOf(name, inMm ? "mm" : "voxel", Array.isArray(numbers) ? numbers : [], `${path}, ${name}`, JSON.stringify(value), "[i, j, k] or { \"mm\": [x, y, z] }");
  });
}

function fromCsv(path: string, text: string): readonly Entry[] {
  const lines = text.split(/\r?\n/).map((line) => line.split(/[,;\t]/).map((field) => field.trim().replace(/^"(.*)"$/, "$1")));
  const [header = [], ...rows] = lines;
  const columns = header.map((name) => name.toLowerCase()).join();
  const unit = columns === "case,i,j,k" ? "voxel" : columns === "case,x,y,z" ? "mm" : undefined;
  if (unit === undefined) throw malformed(path, `Its first line is \`${header.join(",")}\`.`);
  return rows.flatMap((fields, n) => {
    if (fields.join("") === "") return [];
    return [entryOf(fields[0] ?? "", unit, fields.slice(1).map(numberOf), `${path}, line ${n + 2}`, fields.join(","), columns)];
  });
}
