// Half precision: which values lie in memory as halves (f16). They are computed with, and added up, as before.

import type { Expr, Primitive } from "../ir/expr.ts";
import { define, sizeOf, type Tensor } from "../ir/graph.ts";
import { ordered, rebuild } from "../ir/order.ts";
import { readsOf, walk } from "../ir/rewrite.ts";

/** Values of fewer elements take too little memory for halves to pay. */
const fewest = 4096;
/** Of what has so many times fewer elements than what it is made from, halves save next to nothing: statistics are such values. */
const summary = 8;

/**
 * Rebuilds the roots and all they need, large reals as halves where they are stored: activations and their gradients in a network. `whole`
 * stay as they are, and so does
 * - what is small, or a summary of something much larger (sums over an image may exceed what a half holds),
 * - what is compared for equality, since a rounded extreme equals none of the values that it was taken from,
 * - what is made a whole number, since a place on an axis needs more digits than a half has.
 */
export function halve(roots: readonly Tensor[], whole: ReadonlySet<Tensor>): Map<Tensor, Tensor> {
  const exact = exactlyNeeded(roots);
  const fits = (t: Tensor, body: Expr): boolean => t.type === "real" && sizeOf(t) >= fewest && !whole.has(t) && !exact.has(t)
    && readsOf(body).every((r) => r.tensor.body === undefined || sizeOf(r.tensor) <= summary * sizeOf(t));
  return rebuild(roots, (t, body) => (fits(t, body) ? define(t.name, t.axes, body, t.origin, true) : body));
}

/** The tensors in what is compared for equality or made a whole number. */
function exactlyNeeded(roots: readonly Tensor[]): ReadonlySet<Tensor> {
  const found = new Set<Tensor>();
  const seen = new Set<Expr>();
  for (const { body } of ordered(roots)) {
    if (!body) continue;
    walk(body, (e) => {
      if (e.kind !== "apply" || !exacting.has(e.fn)) return;
      for (const a of e.args) if (a.type === "real") for (const r of readsOf(a)) found.add(r.tensor);
    }, seen);
  }
  return found;
}

const exacting: ReadonlySet<Primitive> = new Set(["eq", "ne", "floor", "round", "trunc"]);
