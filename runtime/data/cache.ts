// Measured and prepared cases on disk, so that what takes long is done once; named by everything they depend on.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { join, resolve } from "node:path";
import { Fault, type Diagnostic } from "../../compiler/report/diagnostic.ts";
import { userCache } from "../caches.ts";
import { writeAtomic } from "../files.ts";
import { encodeTensors, readTensors, type TensorFile } from "../safetensors.ts";
import type { Case } from "./case.ts";
import type { CaseFiles } from "./dataset.ts";
import type { Measure } from "./measure.ts";

/** Counted up whenever the same files and settings come out differently. */
const FORMAT = 1;

/** Where the cache is: `NETC_CACHE`, else `netc/cases` in the user's folder of caches. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = env["NETC_CACHE"];
  if (own !== undefined && own !== "") return own;
  return join(userCache(env), "cases");
}

/** The file of a case under some settings: its name changes with the place, size or time of any of its files. */
export function cachePath(folder: string, { images, label }: CaseFiles, settings: unknown): string {
  const files = [...images, ...(label === undefined ? [] : [label])].map((path) => {
    const { size, mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
    return [resolve(path), size, mtimeMs];
  });
  const key = createHash("sha256").update(JSON.stringify([FORMAT, files, settings])).digest("hex").slice(0, 32);
  return join(folder, `${key}.safetensors`);
}

/** What no run has looked at for so long is not wanted any more. */
const DAYS_KEPT = 30;

/**
 * Takes out of the cache what was used last before a time, by default 30 days ago, and tells how many files of how many bytes went. Only files
 * that this module writes are touched.
 */
export function sweepCache(folder: string, before = Date.now() - DAYS_KEPT * 86_400_000): { readonly files: number; readonly bytes: number } {
  let [files, bytes] = [0, 0];
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    // A run that was killed leaves the beginning of a file.
    if (!/^[0-9a-f]{32}\.safetensors$|^\.[0-9a-f]{32}\.safetensors\.\d+\.tmp$/.test(name)) continue;
    const path = join(folder, name);
    const { size, mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: Infinity };
    if (mtimeMs >= before) continue;
    try {
      rmSync(path);
    } catch {
      // It belongs to somebody else, or is gone already.
      continue;
    }
    files++;
    bytes += size;
  }
  return { files, bytes };
}

/** Something that was kept, and what there was to warn about when it was made. */
export interface Kept<T> {
  readonly value: T;
  readonly warnings: readonly Diagnostic[];
}

/** Keeps a measure. */
export function keepMeasure(path: string, { value, warnings }: Kept<Measure>): void {
  const { channels, ...plain } = value;
  const tensors = new Map(channels.map(({ sorted }, n) => [`sorted.${n}`, { shape: [sorted.length], data: sorted }]));
  const numbers = channels.map(({ count, mean, deviation, min, max }) => ({ count, mean, deviation, min, max }));
  writeAtomic(path, encodeTensors(tensors, { kept: JSON.stringify({ ...plain, channels: numbers, warnings }) }));
}

/** A kept measure; undefined where there is none that can be read. */
export function keptMeasure(path: string): Kept<Measure> | undefined {
  const file = readKept(path);
  if (file === undefined) return undefined;
  const { warnings, channels, ...plain } = JSON.parse(file.metadata.get("kept") ?? "{}") as Measure & { warnings: readonly Diagnostic[] };
  return { value: { ...plain, channels: channels.map((one, n) => ({ ...one, sorted: floats(file, `sorted.${n}`) })) }, warnings };
}

/** What is made of a case: undefined where a run has no use for it. */
export type Made = Case | undefined;

/** Keeps a prepared case. */
export function keepCase(path: string, { value, warnings }: Kept<Made>): void {
  if (value === undefined) {
    writeAtomic(path, encodeTensors(new Map(), { kept: JSON.stringify({ warnings }) }));
    return;
  }
  const { image, label, ...plain } = value;
  const tensors = new Map([
    ["image", { shape: [value.channels, ...value.shape], data: image }],
    ...(label === undefined ? [] : [["label", { shape: value.shape, data: label }] as const]),
  ]);
  writeAtomic(path, encodeTensors(tensors, { kept: JSON.stringify({ one: plain, warnings }) }));
}

/** A kept case; undefined where there is none that can be read. */
export function keptCase(path: string): Kept<Made> | undefined {
  const file = readKept(path);
  if (file === undefined) return undefined;
  const { one, warnings } = JSON.parse(file.metadata.get("kept") ?? "{}") as { readonly one?: Omit<Case, "image" | "label">; readonly warnings: readonly Diagnostic[] };
  const label = file.tensors.get("label")?.data;
  return { value: one && { ...one, image: floats(file, "image"), label: label instanceof Uint8Array ? label : undefined }, warnings };
}

function floats(file: TensorFile, name: string): Float32Array {
  const data = file.tensors.get(name)?.data;
  return data instanceof Float32Array ? data : new Float32Array();
}

function readKept(path: string): TensorFile | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const file = readTensors(path);
    markUsed(path);
    return file.metadata.has("kept") ? file : undefined;
  } catch (error) {
    // Damaged, as after a full disk: it is made anew.
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** A file's time is that of its last use, by which it is swept. */
function markUsed(path: string): void {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch {
    // A cache that may only be read is not swept either.
  }
}
