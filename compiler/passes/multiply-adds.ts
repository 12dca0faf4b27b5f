// Counts multiply-accumulates: the sums of products of two different tensors, as the definitions state them.

import type { Axis, Expr, Read } from "../ir/expr.ts";
import type { Graph, Tensor } from "../ir/graph.ts";
import { ordered } from "../ir/order.ts";
import { walk } from "../ir/rewrite.ts";

/**
 * Multiply-accumulates of every convolution, linear map and matrix product behind a graph's outputs, by tensor. One is a
 * point of a sum whose summand is a product with two different tensors among its factors, each read as it is: what a tensor
 * says through a function (the weights of an interpolation, of a normalisation) is no factor. Taps that fall outside the
 * image count, as is the custom.
 */
export function multiplyAdds(graph: Graph): ReadonlyMap<Tensor, number> {
  const counts = new Map<Tensor, number>();
  for (const t of ordered(graph.outputs.map((o) => o.tensor))) {
    if (!t.body) continue;
    let total = 0;
    const results = new Set(t.axes);
    walk(t.body, (e) => {
      if (e.kind === "reduce" && e.by === "sum") total += products(e.body, e.over, e.where, results);
      if (graph.pointSums.has(e)) total += products(e, [], [], results);
    });
    if (total > 0) counts.set(t, total);
  }
  return counts;
}

/** The products of one sum; 0 where the summand is none. */
function products(body: Expr, over: readonly Axis[], where: readonly Expr[], results: ReadonlySet<Axis>): number {
  const factors = readsMultiplied(body);
  if (new Set(factors.map((r) => r.tensor)).size < 2) return 0;
  let points = 1;
  // What only one factor depends on is summed before it is multiplied, unless an equation ties it to the rest.
  const alone = (a: Axis): boolean => over.includes(a) && factors.filter((r) => r.free.includes(a)).length < 2 && !where.some((w) => w.free.includes(a));
  for (const a of new Set([...results, ...body.free, ...over])) if (!alone(a)) points *= a.extent;
  for (const w of where) points /= fixedAxis(w, results)?.extent ?? 1;
  return points;
}

/** The factors of a product that are plain reads. */
function readsMultiplied(e: Expr): readonly Read[] {
  if (e.kind === "read") return [e];
  return e.kind === "apply" && (e.fn === "mul" || e.fn === "neg") ? e.args.flatMap(readsMultiplied) : [];
}

/** The result's axis that an equation determines, as in a transposed convolution: it multiplies nothing. */
function fixedAxis(w: Expr, results: ReadonlySet<Axis>): Axis | undefined {
  if (w.kind !== "apply" || w.fn !== "eq") return undefined;
  return w.free.find((a) => results.has(a));
}
