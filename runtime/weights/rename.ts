// Weights under other names: from a file's names to ours, and back to those of published code.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Writable } from "../safetensors.ts";
import { demandFit, type Wanted, type Weights } from "../train/checkpoint.ts";
import type { WeightFile } from "./file.ts";

/** A tensor of a network, and what a file calls it: the same elements in the same order. */
export interface Entry {
  readonly ours: Wanted;
  readonly name: string;
  readonly shape: readonly number[];
  /** Further names of the same tensor. */
  readonly also: readonly string[];
}

/** How strict `take` is. */
export interface Leniency {
  /** Paths of ours that may lack: what only training has. */
  readonly optional: ReadonlySet<string>;
  /** Tensors of the file that the network does not have are left out. */
  readonly ignoreExtra: boolean;
}

/** Weights by our paths. */
export interface Taken {
  readonly tensors: ReadonlyMap<string, Weights>;
  readonly notes: readonly string[];
}

/** How many of the entries a file has, a prefix that all its names share not counted. */
export function found(file: WeightFile, entries: readonly Entry[]): number {
  const prefix = sharedPrefix(file, entries);
  return countAfter(prefix, file, entries);
}

function countAfter(prefix: string, file: WeightFile, entries: readonly Entry[]): number {
  return entries.filter(({ name }) => file.tensors.has(prefix + name)).length;
}

/** `module.` and the like: the longest run of leading parts that all names of a file share, when without it more entries are found. */
function sharedPrefix(file: WeightFile, entries: readonly Entry[]): string {
  const names = [...file.tensors.keys()];
  const [first = ""] = names;
  let [best, most] = ["", countAfter("", file, entries)];
  for (let at = first.indexOf("."); at >= 0; at = first.indexOf(".", at + 1)) {
    const prefix = first.slice(0, at + 1);
    if (!names.every((name) => name.startsWith(prefix))) break;
    const count = countAfter(prefix, file, entries);
    if (count > most) [best, most] = [prefix, count];
  }
  return best;
}

/** The tensors of a file by our paths. N1042 with all that lacks, has no place or has another shape; N1045 for copies that differ. */
export function take(file: WeightFile, entries: readonly Entry[], { optional, ignoreExtra }: Leniency): Taken {
  const prefix = sharedPrefix(file, entries);
  const left = new Map([...file.tensors].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
  for (const { name, also } of entries) for (const copy of also) dropCopy(file, left, name, copy);
  const absent = entries.filter(({ ours, name }) => optional.has(ours.name) && !left.has(name));
  const wanted = entries.filter((entry) => !absent.includes(entry));
  const names = new Set(wanted.map(({ name }) => name));
  const extra = [...left.keys()].filter((name) => !names.has(name));
  if (ignoreExtra) for (const name of extra) left.delete(name);
  demandFit(file.path, { tensors: left, meta: {} }, wanted, "use the network, its settings and the number of classes and channels they were trained with, e.g. `--set classes=14`");
  const notes = [...file.notes];
  if (prefix !== "") notes.push(`All names begin with \`${prefix}\`; that was taken off.`);
  if (absent.length > 0) notes.push(`${some(absent.map(({ ours }) => ours.name))} lack: only training needs them.`);
  if (ignoreExtra && extra.length > 0) notes.push(`${some(extra)} of the file left out.`);
  const tensors = new Map<string, Weights>();
  for (const { ours, name } of wanted) {
    const data = left.get(name)?.data;
    if (data) tensors.set(ours.name, { shape: ours.shape, data });
  }
  return { tensors, notes };
}

function dropCopy(file: WeightFile, left: Map<string, Weights>, name: string, copy: string): void {
  const [one, other] = [left.get(name), left.get(copy)];
  if (!other) return;
  if (one && !one.data.every((value, i) => Object.is(value, other.data[i]))) {
    throw new Fault(diagnostic("N1045", `${file.path} holds two versions of one tensor`, {
      facts: [`\`${name}\` and \`${copy}\` are the same weights in this network, but their values differ.`],
      hint: "the file is of a network that does not share them; save it again from the published code",
    }));
  }
  if (!one) left.set(name, other);
  left.delete(copy);
}

function some(names: readonly string[]): string {
  return `${names.slice(0, 3).map((name) => `\`${name}\``).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
}

/**
 * The tensors under the names of a file. `counters` adds the `num_batches_tracked` that PyTorch wants beside each running mean;
 * it is 0, which its norms read only where they have no momentum.
 */
export function named(tensors: ReadonlyMap<string, Weights>, entries: readonly Entry[], counters: boolean): ReadonlyMap<string, Writable> {
  // The counters come first: eight bytes each keep what follows aligned.
  const out = new Map<string, Writable>();
  const all = entries.flatMap(({ ours, name, shape, also }) => {
    const data = tensors.get(ours.name)?.data;
    return data ? [name, ...also].map((one) => [one, { shape, data }] as const) : [];
  });
  for (const [name] of all) {
    if (counters && /(^|\.)running_mean$/.test(name)) out.set(name.replace(/running_mean$/, "num_batches_tracked"), { shape: [], data: new BigInt64Array(1) });
  }
  for (const [name, tensor] of all) out.set(name, tensor);
  return out;
}
