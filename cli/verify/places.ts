// Where two implementations begin to differ: the modules whose results a dump holds, in the order of our network.

import { shapeOf, type Graph, type Tensor } from "../../compiler/ir/graph.ts";
import { ordered } from "../../compiler/ir/order.ts";
import { readsOf } from "../../compiler/ir/rewrite.ts";
import { compile } from "../../compiler/pipeline.ts";
import type { Device } from "../../runtime/device.ts";
import { onSession, weightsOf, type Subject } from "./compare.ts";
import type { Stored } from "./dump.ts";
import { rowOf, toleranceOf, type Row } from "./tolerance.ts";

/** What a dump's `mid/MODULE` tell. */
export interface Places {
  /** In the order of the network. */
  readonly rows: readonly Row[];
  /** Modules that no block of ours could be found for, with the reason. */
  readonly unplaced: readonly string[];
}

/** A module and what it may be in our network: one of the results that leave its block. */
interface Place {
  readonly module: string;
  readonly block: string;
  readonly stored: Stored;
  readonly candidates: readonly Tensor[];
}

/**
 * Compares the results of modules. A module is the block that all weights below it have in common; without weights it has no
 * place. What leaves a block may pass functions without weights before the next one, and the other code may count these to the
 * module, so the nearest of those results is taken.
 */
export async function comparePlaces(device: Device, subject: Subject): Promise<Places> {
  const { graphs, dump, rtol } = subject;
  const graph = dump.tensors.has("out.0") ? graphs.forward : graphs.evaluating ?? graphs.forward;
  const { places, unplaced } = placed(graph, subject);
  const tensors = [...new Set(places.flatMap((place) => place.candidates))];
  if (tensors.length === 0) return { rows: [], unplaced };
  const nameOf = (t: Tensor): string => `mid${tensors.indexOf(t)}`;
  const { plan } = compile({ ...graph, outputs: tensors.map((tensor) => ({ name: nameOf(tensor), tensor })) }, device.profile);
  const allowed = toleranceOf(dump, rtol).output(0);
  const rows = await onSession(device, plan, weightsOf(subject), subject, async (session) => {
    const made: Row[] = [];
    for (const { module, block, stored, candidates } of places) {
      const each: Row[] = [];
      for (const t of candidates) {
        for (const values of arranged(await session.read(nameOf(t)), shapeOf(t), stored.shape)) each.push(rowOf(`mid/${module}`, block, values, stored.values, allowed));
      }
      const [best] = each.sort((a, b) => (Number.isNaN(a.error) ? Infinity : a.error) - (Number.isNaN(b.error) ? Infinity : b.error));
      if (best) made.push(best);
    }
    return made;
  });
  return { rows, unplaced };
}

function placed(graph: Graph, { dump, entries }: Subject): { readonly places: readonly Place[]; readonly unplaced: readonly string[] } {
  const order = ordered(graph.outputs.map((o) => o.tensor)).filter((t) => t.body);
  const reads = new Map(order.map((t) => [t, t.body ? readsOf(t.body).map((r) => r.tensor) : []]));
  const position = new Map(order.map((t, i) => [t, i]));
  const places: (Place & { readonly at: number })[] = [];
  const unplaced: string[] = [];
  for (const [name, stored] of dump.tensors) {
    if (!name.startsWith("mid/")) continue;
    const module = name.slice(4);
    const below = entries.filter((entry) => entry.name.startsWith(`${module}.`)).map(({ ours }) => ours.name);
    if (below.length === 0) {
      unplaced.push(`${module} (no weights below it)`);
      continue;
    }
    const block = commonBlock(below);
    if (block === "") {
      unplaced.push(`${module} (its weights share no block)`);
      continue;
    }
    // Of a block that does more than the module, anything in it may be the module's result.
    const whole = below.length === entries.filter(({ ours }) => isInside(ours.name, block)).length;
    const candidates = (whole ? resultsOf(block, order, reads) : order.filter((t) => isInside(t.origin.path, block))).filter((t) => fits(t, stored));
    if (candidates.length === 0) unplaced.push(`${module} (nothing of the shape [${stored.shape.join(", ")}] leaves \`${block}\`)`);
    else places.push({ module, block, stored, candidates, at: Math.min(...candidates.map((t) => position.get(t) ?? 0)) });
  }
  places.sort((a, b) => a.at - b.at);
  return { places, unplaced };
}

/** The parts that all paths share; of a single weight, the block that owns it. */
function commonBlock(paths: readonly string[]): string {
  const [first = [], ...others] = paths.map((path) => path.split(".").slice(0, -1));
  let length = first.length;
  for (const other of others) {
    let same = 0;
    while (same < length && first[same] === other[same]) same++;
    length = same;
  }
  return first.slice(0, length).join(".");
}

const isInside = (path: string, block: string): boolean => path === block || path.startsWith(`${block}.`);

/** What leaves a block, and what is made of that before other weights come in. */
function resultsOf(block: string, order: readonly Tensor[], reads: ReadonlyMap<Tensor, readonly Tensor[]>): readonly Tensor[] {
  const inside = (t: Tensor): boolean => isInside(t.origin.path, block);
  const kept = new Set<Tensor>();
  for (const t of order) if (inside(t)) for (const r of reads.get(t) ?? []) if (inside(r)) kept.add(r);
  for (const t of order) if (!inside(t)) for (const r of reads.get(t) ?? []) kept.delete(r);
  const results = new Set(order.filter((t) => inside(t) && !kept.has(t)));
  for (const t of order) {
    const needs = reads.get(t) ?? [];
    if (!inside(t) && needs.some((r) => results.has(r)) && needs.every((r) => r.body)) results.add(t);
  }
  return [...results];
}

const fits = (t: Tensor, { shape }: Stored): boolean => same(shapeOf(t), shape) || same(channelsLast(shapeOf(t)), joined(shape));
const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

/** [N, C, *S] as [N, product of S, C], which is how tokens and channels-last code have it. */
function channelsLast([n = 1, c = 1, ...space]: readonly number[]): readonly number[] {
  return [n, space.reduce((a, b) => a * b, 1), c];
}

function joined(shape: readonly number[]): readonly number[] {
  return [shape[0] ?? 1, shape.slice(1, -1).reduce((a, b) => a * b, 1), shape.at(-1) ?? 1];
}

/** Values [N, C, *S] in the orders that the stored ones can have: with as many channels as points along an axis, both. */
function arranged(values: Float32Array, shape: readonly number[], stored: readonly number[]): readonly Float32Array[] {
  const asTheyAre = same(shape, stored) ? [values] : [];
  if (!same(channelsLast(shape), joined(stored))) return asTheyAre;
  const [n = 1, points = 1, c = 1] = channelsLast(shape);
  const out = new Float32Array(values.length);
  for (let sample = 0; sample < n; sample++) {
    for (let channel = 0; channel < c; channel++) {
      for (let at = 0; at < points; at++) out[(sample * points + at) * c + channel] = values[(sample * c + channel) * points + at] ?? NaN;
    }
  }
  return [...asTheyAre, out];
}
