// What the tensors of a network are called in published code: finds the table of names and applies it.

import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { officialTensors, parseNames, type OurTensor } from "../compiler/front/front.ts";
import { shapeOf, type Graph } from "../compiler/ir/graph.ts";
import { diagnostic, Fault } from "../compiler/report/diagnostic.ts";
import type { Entry } from "../runtime/weights/rename.ts";
import { packageRoot, read } from "./files.ts";

/** All that a network learns or keeps, by our paths. */
export function tensorsOf(graph: Pick<Graph, "weights" | "states">): readonly OurTensor[] {
  return [...graph.weights, ...graph.states].map(({ path, tensor }) => ({ name: path, shape: shapeOf(tensor) }));
}

/** The tensors under our own names. */
export function ownNames(tensors: readonly OurTensor[]): readonly Entry[] {
  return tensors.map((ours) => ({ ours, name: ours.name, shape: ours.shape, also: [] }));
}

/** The table that has a rule for every tensor: the given one, or one beside the `.net` files. Undefined where none lies there. */
export function officialEntries(tensors: readonly OurTensor[], netFiles: Iterable<string>, given?: string): readonly Entry[] | undefined {
  const tables = given === undefined ? tablesBeside(netFiles) : [given];
  let nearest: { readonly path: string; readonly entries: readonly Entry[] } | undefined;
  for (const path of tables) {
    const text = read(path);
    if (text === undefined) throw new Fault(diagnostic("N1006", `cannot read ${path}`, { facts: ["There is no such file."] }));
    const entries = officialTensors(parseNames(text, path), tensors);
    if (entries.length === tensors.length) return entries;
    if (nearest === undefined || entries.length > nearest.entries.length) nearest = { path, entries };
  }
  if (nearest === undefined) return undefined;
  const known = new Set(nearest.entries.map(({ ours }) => ours.name));
  const lacking = tensors.filter(({ name }) => !known.has(name)).map(({ name }) => `\`${name}\``);
  throw new Fault(diagnostic("N1046", `${nearest.path} has no rule for ${lacking.length === 1 ? "a tensor" : `${lacking.length} of ${tensors.length} tensors`} of the network`, {
    facts: [`${lacking.slice(0, 10).join(", ")}${lacking.length > 10 ? ", …" : ""}.`],
    hint: "add rules to it, or name another table with `--table`",
  }));
}

/** N1046: official names are wanted and nothing says what they are. */
export function noTable(network: string): Fault {
  return new Fault(diagnostic("N1046", `nothing says what the tensors of \`${network}\` are called in published code`, {
    facts: ["There is no table of names beside its `.net` file, nor beside those that it imports."],
    hint: "name a table with `--table FILE.names`",
  }));
}

function tablesBeside(netFiles: Iterable<string>): readonly string[] {
  const found = [...netFiles].filter((path) => !path.startsWith("std:")).flatMap((path) => {
    const beside = path.replace(/\.net$/, ".names");
    // A run keeps copies of its texts only; the table is then that of netc itself.
    return [beside, join(packageRoot(), "nets", basename(beside))].filter((one) => existsSync(one)).slice(0, 1);
  });
  return [...new Set(found)];
}
