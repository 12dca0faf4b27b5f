// The numbers that peers begin with: the weights and inputs of their `nets.mjs`, brought to a session.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Port } from "../../compiler/plan/plan.ts";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Session } from "../../runtime/session.ts";

interface Values {
  readonly data: Float32Array;
}

/** What `net(name)` of a folder's `nets.mjs` gives; `target` is what the output shall become, `labels` are classes. */
export interface Numbers {
  readonly params: Readonly<Record<string, Values>>;
  readonly x: Values;
  readonly target?: Values;
  readonly labels?: Int32Array;
}

/** The voxels along an edge of a plan's patches. */
export const edgeOf = ({ inputs }: { readonly inputs: readonly Pick<Port, "shape">[] }): number => inputs[0]?.shape.at(-1) ?? 0;

/** The numbers of the network of that name, with patches of `edge` voxels along every axis. */
export async function numbersOf(folder: string, net: string, edge: number): Promise<Numbers> {
  const file = join(folder, "nets.mjs");
  if (!existsSync(file)) throw unfit(`${folder} has no peers`, [`There is no ${file}.`], "docs/benchmarks.md tells what the folder holds");
  const before = process.env["PEER_EDGE"];
  process.env["PEER_EDGE"] = String(edge);
  try {
    // The module reads the variable once, when it is loaded.
    const module: { readonly net: (name: string) => Numbers } = await import(/* @vite-ignore */ `${pathToFileURL(file).href}?edge=${edge}`);
    return module.net(net);
  } catch (cause) {
    throw unfit(`the peers in ${folder} do not know \`${net}\``, [cause instanceof Error ? cause.message : String(cause)], "a run has the name of the peers' network: FILE#seg or FILE#mednext");
  } finally {
    if (before === undefined) delete process.env["PEER_EDGE"];
    else process.env["PEER_EDGE"] = before;
  }
}

/** Gives a session the peers' weights and inputs. The image has the channels of `x`, then those of `target`. */
export function feed(session: Session, { params, x, target, labels }: Numbers): void {
  const { plan } = session;
  for (const { name, slice } of plan.weights) session.setWeights(name, fitting(name, params[name]?.data, slice.bytes / 4));
  for (const { name, slice } of plan.inputs) {
    // A step whose loss reads no labels has their port all the same.
    if (name === "label" && labels === undefined) continue;
    const given = name === "label" ? Float32Array.from(labels ?? []) : joined(x.data, target?.data);
    session.write(name, fitting(name, given, slice.bytes / 4));
  }
}

function joined(a: Float32Array, b: Float32Array = new Float32Array(0)): Float32Array {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function fitting(name: string, given: Float32Array | undefined, count: number): Float32Array {
  if (given?.length === count) return given;
  throw unfit(`the peers' network is another one`, [given === undefined ? `They have no weight \`${name}\`.` : `\`${name}\` has ${count} values here and ${given.length} there.`],
    "weights, shapes and patch must be those of the folder's nets.mjs, as in tests/bench/peers.net");
}

function unfit(headline: string, facts: readonly string[], hint: string): Fault {
  return new Fault(diagnostic("N1091", headline, { facts, hint }));
}
