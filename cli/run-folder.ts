// The folder of a training run: what `run.json` says, and copies of all texts that the network was built from.

import { existsSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Reader, RunOptions } from "../compiler/front/front.ts";
import { diagnostic, Fault, type Diagnostic } from "../compiler/report/diagnostic.ts";
import type { Region } from "../runtime/data/dataset.ts";
import type { Fingerprint } from "../runtime/data/fingerprint.ts";
import type { Samples } from "../runtime/data/samples.ts";
import type { Triple } from "../runtime/data/volume.ts";
import type { Blending } from "../runtime/infer/window.ts";
import { writeAtomic } from "../runtime/files.ts";
import { checkpointPath, hasCheckpoint } from "../runtime/train/checkpoint.ts";
import { packageRoot, read } from "./files.ts";

/** A text and where the run folder keeps its copy. */
export interface SourceCopy {
  /** The path under which the compiler knows it. */
  readonly path: string;
  /** Within the run folder. */
  readonly copy: string;
}

/** What the command line said; a resumed run keeps to it. */
export interface Asked {
  readonly set: Readonly<Record<string, string>>;
  readonly steps?: number | undefined;
  readonly epochs?: number | undefined;
  readonly batch?: number | undefined;
  readonly patch?: readonly number[] | undefined;
  readonly seed?: number | undefined;
  readonly memory?: string | undefined;
}

/** All that is needed to build the network of a run again, and to prepare images for it. */
export interface RunRecord {
  readonly format: 1;
  /** The version of netc that trained. */
  readonly netc: string;
  /** The `.net` file, as it was named. */
  readonly file: string;
  /** The name of the `train` run; empty for one without a name. */
  readonly run: string;
  readonly network: string;
  readonly asked: Asked;
  readonly channels: readonly string[];
  /** Of classes, or of regions, the background first. */
  readonly classes: readonly string[];
  /** Where the targets are regions, what they are; absent where they are classes. */
  readonly regions?: readonly Region[] | undefined;
  readonly patch: Triple;
  readonly window: Triple;
  readonly overlap: number;
  /** A gaussian where it is absent. */
  readonly blend?: Blending | undefined;
  /** Axes along which windows are mirrored too; none where it is absent. */
  readonly mirror?: readonly number[] | undefined;
  readonly batch: number;
  readonly seed: number;
  /** Steps of the whole run and of an epoch. */
  readonly total: number;
  readonly steps: number;
  readonly parameters: number;
  /** Whose weights it began with; absent for random ones. */
  readonly start?: { readonly how: "load" | "upkern"; readonly from: string } | undefined;
  readonly data: { readonly folder: string; readonly training: readonly string[]; readonly heldOut: readonly string[] };
  readonly fingerprint: Fingerprint;
  /** What was made of images and labels; absent where nothing was. */
  readonly samples?: Samples | undefined;
  /** The folder, seen from this one, of the run whose mask tells a cropping network where to look. */
  readonly coarse?: string | undefined;
  readonly sources: readonly SourceCopy[];
}

/** What the data of a run ask of its network. */
export function wantedOf({ channels, classes, regions }: Pick<RunRecord, "channels" | "classes" | "regions">): Pick<RunOptions, "channels" | "classes" | "regions"> {
  return { channels: channels.length, classes: regions?.length ?? classes.length, regions: regions?.map(({ values }) => values) };
}

const recordPath = (folder: string): string => join(folder, "run.json");

/** netc's version. */
export function version(): string {
  const json: unknown = JSON.parse(read(join(packageRoot(), "package.json")) ?? "{}");
  return typeof json === "object" && json !== null && "version" in json ? String(json.version) : "unknown";
}

/** Whether a folder is that of a run. */
export function hasRecord(folder: string): boolean {
  return existsSync(recordPath(folder));
}

/** Whether a run has come as far as a checkpoint. */
export function startedIn(folder: string): boolean {
  return hasCheckpoint(folder, "latest") || hasCheckpoint(folder, "best");
}

/** N1062 where a new run would replace another. */
export function demandFree(folder: string): void {
  if (!hasRecord(folder) && !startedIn(folder)) return;
  throw new Fault(diagnostic("N1062", `${folder} holds a run already`, {
    facts: [hasCheckpoint(folder, "latest") ? `Its latest checkpoint is ${checkpointPath(folder, "latest")}.` : "It has no checkpoint yet."],
    hint: "add `--resume` to go on with it, or give another folder to `--out`",
  }));
}

/** Finds out now, not after hours, whether a folder can be written to; leaves it as it was. */
export function demandWritable(folder: string): void {
  const probe = join(folder, `.netc-${process.pid}.probe`);
  const made = missingFrom(folder);
  writeAtomic(probe, "");
  rmSync(probe, { force: true });
  // Only what was made a moment ago and is empty but for more of the same.
  if (made !== undefined) rmSync(made, { recursive: true, force: true });
}

/** The outermost folder of a path that does not exist. */
function missingFrom(folder: string): string | undefined {
  if (existsSync(folder)) return undefined;
  const above = dirname(folder);
  return above === folder ? undefined : (missingFrom(above) ?? folder);
}

/** Copies the texts into the folder and says which copy is which; equal names of different folders get numbers. */
export function copySources(folder: string, texts: ReadonlyMap<string, string>): readonly SourceCopy[] {
  const taken = new Set<string>();
  return [...texts].map(([path, text]) => {
    const copy = freeName(path, taken);
    writeAtomic(join(folder, copy), text);
    return { path, copy };
  });
}

function freeName(path: string, taken: Set<string>): string {
  const plain = path.startsWith("std:") ? `source/std/${path.slice(4)}` : `source/${basename(path)}`;
  let name = plain;
  for (let n = 2; taken.has(name); n++) name = plain.replace(/(?=\.[^./]*$)|$/, `-${n}`);
  taken.add(name);
  return name;
}

/** Reads the texts of a run from its copies. */
export function copyReader(folder: string, sources: readonly SourceCopy[]): Reader {
  const byPath = new Map(sources.map(({ path, copy }) => [path, join(folder, copy)]));
  return (path) => {
    const copy = byPath.get(path);
    return copy === undefined ? undefined : read(copy);
  };
}

/** Writes `run.json`. */
export function writeRecord(folder: string, record: RunRecord): void {
  writeAtomic(recordPath(folder), `${JSON.stringify(record, null, 2)}\n`);
}

/** Reads `run.json`; a `Fault` when there is none or it is not one of ours. */
export function readRecord(folder: string): RunRecord {
  const path = recordPath(folder);
  const text = read(path);
  if (text === undefined) {
    throw new Fault(diagnostic("N1063", `${folder} is not the folder of a run`, { facts: [`There is no ${path}.`], hint: "give the folder that `netc train` got as `--out`" }));
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  if (!isRecord(json)) {
    throw new Fault(diagnostic("N1063", `${path} is damaged`, { facts: ["It lacks what a run must say of itself, or was written by another version of netc."], hint: "restore it from a copy; the weights alone do not say how to use them" }));
  }
  return json;
}

function isRecord(json: unknown): json is RunRecord {
  if (typeof json !== "object" || json === null) return false;
  const record = json as Partial<Record<keyof RunRecord, unknown>>;
  const texts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === "string");
  const triple = (value: unknown): boolean => Array.isArray(value) && value.length === 3 && value.every((one) => Number.isInteger(one) && one > 0);
  const numbers = (["overlap", "batch", "seed", "total", "steps"] as const).every((name) => typeof record[name] === "number");
  const objects = (["asked", "fingerprint", "data"] as const).every((name) => typeof record[name] === "object" && record[name] !== null);
  const sources = Array.isArray(record.sources) && record.sources.every((one: unknown) => typeof one === "object" && one !== null && "path" in one && "copy" in one);
  return record.format === 1 && typeof record.file === "string" && typeof record.run === "string" && texts(record.channels) && texts(record.classes)
    && triple(record.patch) && triple(record.window) && numbers && objects && sources;
}

/** A warning that says what is not as it was when a run is gone on with; undefined when all is. */
export function changes(folder: string, before: RunRecord, now: Omit<RunRecord, "sources">, texts: ReadonlyMap<string, string>): Diagnostic | undefined {
  const facts: string[] = [];
  for (const name of ["network", "channels", "classes", "patch", "batch", "seed", "total", "steps"] as const) {
    const [old, fresh] = [JSON.stringify(before[name]), JSON.stringify(now[name])];
    if (old !== fresh) facts.push(`${name === "total" ? "the number of steps" : `\`${name}\``} was ${old} and is ${fresh}.`);
  }
  for (const name of ["set"] as const) {
    const [old, fresh] = [JSON.stringify(before.asked[name]), JSON.stringify(now.asked[name])];
    if (old !== fresh) facts.push(`\`--set\` was ${old} and is ${fresh}.`);
  }
  for (const part of ["training", "heldOut"] as const) {
    if (before.data[part].join("\n") !== now.data[part].join("\n")) facts.push(`The ${part === "training" ? "training" : "held-out"} cases were ${named(before.data[part])} and are ${named(now.data[part])}.`);
  }
  const copies = copyReader(folder, before.sources);
  const edited = [...texts].filter(([path, text]) => copies(path) !== text).map(([path]) => path);
  if (edited.length > 0) facts.push(`${named(edited)} ${edited.length === 1 ? "is" : "are"} not what the run began with.`);
  if (facts.length === 0) return undefined;
  return diagnostic("W1071", `the run in ${folder} began differently`, { facts, hint: "it goes on with what is given now; give another folder to `--out` for a new run" });
}

function named(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.slice(0, 5).join(", ") + (names.length > 5 ? `, … (${names.length})` : "");
}
