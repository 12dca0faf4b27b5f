// Counts multiply-accumulates: the sums of products of two different tensors, as the definitions state them.

import type { Axis, Expr } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { readsOf, walk } from "../ir/rewrite.ts";

/**
 * Multiply-accumulates of every convolution, linear map and matrix product, by tensor. Taps that fall outside the image
 * count, as is the custom. An equation in a `where` (a transposed convolution) fixes one axis by the others, so that axis
 * does not multiply.
 */
export function multiplyAdds(tensors: readonly Tensor[]): ReadonlyMap<Tensor, number> {
  const counts = new Map<Tensor, number>();
  for (const t of tensors) {
    if (!t.body) continue;
    let total = 0;
    walk(t.body, (e) => {
      if (e.kind !== "reduce" || e.by !== "sum" || !isProduct(e.body)) return;
      let points = e.over.reduce((n, a) => n * a.extent, sizeOf(t));
      for (const w of e.where) {
        const fixed = fixedAxis(w, t.axes);
        if (fixed) points /= fixed.extent;
      }
      total += points;
    });
    if (total > 0) counts.set(t, total);
  }
  return counts;
}

/** A product with reads of different tensors on its two sides. */
function isProduct(e: Expr): boolean {
  if (e.kind !== "apply" || e.fn !== "mul") return false;
  const [a, b] = e.args as [Expr, Expr];
  const left = new Set(readsOf(a).map((r) => r.tensor));
  const right = new Set(readsOf(b).map((r) => r.tensor));
  return left.size > 0 && right.size > 0 && ![...left].some((t) => right.has(t));
}

/** The result's axis that an equation determines, if it does. */
function fixedAxis(w: Expr, axes: readonly Axis[]): Axis | undefined {
  if (w.kind !== "apply" || w.fn !== "eq") return undefined;
  return axes.find((a) => w.free.has(a));
}
