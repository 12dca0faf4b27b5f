// Sums taken four terms at a time.

import { apply, index, int, reduce, type Axis, type Expr } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { partsOf, substitute, withParts } from "../ir/rewrite.ts";

/** Values that a vector holds. */
export const four = 4;

/** Whether all of a tensor's storage can be seen as vectors. */
export const hasFours = (t: Tensor): boolean => t.type !== "wide" && sizeOf(t) % four === 0;

/** Along which axis sums are taken by fours: `coarse` counts the fours, `lane` the four. */
export interface Folding {
  readonly axis: Axis;
  readonly coarse: Axis;
  readonly lane: Axis;
}

/** The expression with its reductions along an axis run over fours of it, and the four results of `lane` reduced in the end. */
export function foldFours(e: Expr, folding: Folding, memo = new Map<Expr, Expr>()): Expr {
  if (!e.reduces) return e;
  const known = memo.get(e);
  if (known) return known;
  const { axis, coarse, lane } = folding;
  const parts = partsOf(e);
  const next = parts.map((p) => foldFours(p, folding, memo));
  let made = next.every((p, i) => p === parts[i]) ? e : withParts(e, next);
  if (made.kind === "reduce" && made.over.includes(axis)) {
    const by = new Map([[axis, apply("add", apply("mul", index(coarse), int(four)), index(lane))]]);
    const inner = reduce(made.by, made.over.map((a) => (a === axis ? coarse : a)), made.where.map((w) => substitute(w, by, true)), substitute(made.body, by, true));
    made = reduce(made.by, [lane], [], inner);
  }
  memo.set(e, made);
  return made;
}
