// Simplifies every expression of the definitions: affine normal form, digits, decided comparisons, folded constants.

import { reduce, type Expr } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { rebuild } from "../ir/order.ts";
import { partsOf, withParts } from "../ir/rewrite.ts";
import { simplifyNode } from "../ir/simplify.ts";

/** An equal expression with every node simplified once, parts before wholes. */
export function simplifyExpression(e: Expr, memo = new Map<Expr, Expr>()): Expr {
  const known = memo.get(e);
  if (known) return known;
  const parts = partsOf(e).map((p) => simplifyExpression(p, memo));
  const made = e.kind === "reduce"
    ? reduce(e.by, e.over, parts.slice(0, -1), parts[parts.length - 1] as Expr)
    : parts.length === 0 ? e : simplifyNode(withParts(e, parts));
  memo.set(e, made);
  return made;
}

export function simplify(roots: readonly Tensor[]): Map<Tensor, Tensor> {
  const memo = new Map<Expr, Expr>();
  return rebuild(roots, (_, body) => simplifyExpression(body, memo));
}
