// Checkpoints: weights, running values, optimiser memories and where the run stood, saved so that nothing is half-written.

import { copyFileSync, existsSync, linkSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { writeAtomic } from "../files.ts";
import { encodeTensors, readTensors } from "../safetensors.ts";

/** A named array of float32 values. */
export interface Weights {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** All that is needed to go on, or to predict. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, Weights>;
  /** Plain JSON values: step, seed, scores, fingerprint and what else the trainer keeps. */
  readonly meta: Readonly<Record<string, unknown>>;
}

/** `latest` is what a run resumes from, `best` what predictions use, `final` where it ended. */
export type Which = "latest" | "best" | "final";

const META = "netc";

/** Where a run folder keeps a checkpoint. */
export function checkpointPath(folder: string, which: Which): string {
  const path = join(folder, `checkpoint_${which}.safetensors`);
  // What they were once called.
  const old = join(folder, `${which}.safetensors`);
  return !existsSync(path) && existsSync(old) ? old : path;
}

/** Whether a run folder has that checkpoint. */
export function hasCheckpoint(folder: string, which: Which): boolean {
  return existsSync(checkpointPath(folder, which));
}

/** Replaces a checkpoint; at every moment the file on disk is a whole one. */
export function saveCheckpoint(folder: string, which: Which, checkpoint: Checkpoint): void {
  writeAtomic(checkpointPath(folder, which), encodeTensors(checkpoint.tensors, { [META]: JSON.stringify(checkpoint.meta) }));
}

/** A run that goes on has no end yet. */
export function dropFinal(folder: string): void {
  rmSync(checkpointPath(folder, "final"), { force: true });
}

/** Keeps the latest checkpoint as the final one too, without its bytes a second time where the disk can do that. */
export function keepFinal(folder: string): void {
  const [latest, final] = [checkpointPath(folder, "latest"), checkpointPath(folder, "final")];
  const draft = `${final}.${process.pid}.tmp`;
  rmSync(draft, { force: true });
  try {
    linkSync(latest, draft);
  } catch {
    copyFileSync(latest, draft);
  }
  renameSync(draft, final);
}

/** Reads a checkpoint; a `Fault` when there is none or it is damaged. */
export function loadCheckpoint(folder: string, which: Which): Checkpoint {
  const path = checkpointPath(folder, which);
  if (!existsSync(path)) {
    throw new Fault(diagnostic("N1043", `there is no ${which} checkpoint in ${folder}`, { facts: [`Looked for ${path}.`], hint: "give the folder of a run that has saved one" }));
  }
  return readCheckpoint(path);
}

/** Reads one checkpoint file. Tensors that are no floats (counters of foreign files) are left out. */
export function readCheckpoint(path: string): Checkpoint {
  const { tensors, metadata } = readTensors(path);
  const weights = new Map<string, Weights>();
  for (const [name, { shape, data }] of tensors) {
    if (data instanceof Float32Array) weights.set(name, { shape, data });
    else if (data instanceof Float64Array) weights.set(name, { shape, data: Float32Array.from(data) });
  }
  return { tensors: weights, meta: readMeta(path, metadata.get(META)) };
}

function readMeta(path: string, text: string | undefined): Readonly<Record<string, unknown>> {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below.
  }
  throw new Fault(diagnostic("N1041", `${path} is damaged`, { facts: ["Its metadata is not JSON."], hint: "use an older checkpoint of the run" }));
}

/** A tensor the network has. */
export interface Wanted {
  readonly name: string;
  readonly shape: readonly number[];
}

/** What keeps a checkpoint from fitting a network: tensors that lack, have another shape, or have no place. */
export function mismatches(
  path: string, checkpoint: Checkpoint, wanted: readonly Wanted[],
  hint = "use the network, its settings and the number of classes and channels it was trained with",
): readonly Diagnostic[] {
  const names = new Set(wanted.map(({ name }) => name));
  const missing = wanted.filter(({ name }) => !checkpoint.tensors.has(name));
  const extra = [...checkpoint.tensors].filter(([name]) => !names.has(name)).map(([name, { shape }]) => ({ name, shape }));
  const misshapen = wanted.filter(({ name, shape }) => {
    const found = checkpoint.tensors.get(name);
    return found !== undefined && !sameShape(found.shape, shape);
  });
  if (missing.length + extra.length + misshapen.length === 0) return [];
  const facts = [
    ...listed(misshapen, "more have another shape", ({ name, shape }) =>
      `\`${name}\` has another shape: the network has ${shapeText(shape)}, the file ${shapeText(checkpoint.tensors.get(name)?.shape ?? [])}.`),
    ...listed(missing, "more are not in the file", (one) => {
      const near = nearest(one, extra);
      return `\`${one.name}\` ${shapeText(one.shape)} is not in the file${near === undefined ? "" : `, which has \`${near}\``}.`;
    }),
    ...listed(extra, "more of the file have no place in the network", ({ name, shape }) => `\`${name}\` ${shapeText(shape)} of the file has no place in the network.`),
  ];
  return [diagnostic("N1042", `${path} belongs to another network`, { facts, hint })];
}

/** Beyond this many of a kind only their number is told. */
const mostListed = 10;

function listed(all: readonly Wanted[], more: string, text: (one: Wanted) => string): readonly string[] {
  const rest = all.length - mostListed;
  return [...all.slice(0, mostListed).map(text), ...(rest > 0 ? [`${rest} ${more}.`] : [])];
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, axis) => n === b[axis]);
}

function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** The name that shares most with `wanted` at its two ends; only tensors of the same shape can be meant. */
function nearest(wanted: Wanted, candidates: readonly Wanted[]): string | undefined {
  let best: string | undefined;
  let bestShared = 0;
  for (const { name, shape } of candidates) {
    if (!sameShape(shape, wanted.shape)) continue;
    const shared = sharedEnds(name, wanted.name);
    if (shared > bestShared) [best, bestShared] = [name, shared];
  }
  return bestShared * 2 >= wanted.name.length ? best : undefined;
}

function sharedEnds(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let head = 0;
  while (head < most && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < most - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return head + tail;
}

/** Throws N1042 unless the checkpoint has exactly the tensors of the network. */
export function demandFit(path: string, checkpoint: Checkpoint, wanted: readonly Wanted[], hint?: string): void {
  const findings = mismatches(path, checkpoint, wanted, hint);
  if (findings.length > 0) throw new Fault(...findings);
}
