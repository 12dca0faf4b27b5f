// Gives every reduction a tensor of its own: a definition is then either one reduction or free of them.

import { index, makeAxis, read, type Axis, type Expr, type Reduce } from "../ir/expr.ts";
import { define, type Tensor } from "../ir/graph.ts";
import { rebuild } from "../ir/order.ts";
import { changed, substitute } from "../ir/rewrite.ts";

/** Gives every reduction that the roots need a tensor of its own. */
export function separate(roots: readonly Tensor[]): Map<Tensor, Tensor> {
  return rebuild(roots, separated);
}

/** What a definition's body is when its reductions are tensors of their own. */
export function separated(t: Tensor, body: Expr): Expr {
  const memo = new Map<Expr, Expr>();
  if (body.kind !== "reduce") return inside(t, body, memo);
  return changed(body, (p) => inside(t, p, memo));
}

/** The expression with its reductions replaced by reads of new tensors, the innermost first. */
function inside(t: Tensor, e: Expr, memo: Map<Expr, Expr>): Expr {
  if (!e.reduces) return e;
  const known = memo.get(e);
  if (known) return known;
  let made = changed(e, (p) => inside(t, p, memo));
  if (made.kind === "reduce") made = own(t, made);
  memo.set(e, made);
  return made;
}

function own(t: Tensor, e: Reduce): Expr {
  const outer = [...e.free].sort((a, b) => place(t, a) - place(t, b));
  const axes = outer.map((a) => makeAxis(a.name, a.extent));
  const body = substitute(e, new Map(outer.map((a, i) => [a, index(axes[i] as Axis)])));
  return read(define(`${t.name}_${e.by}`, axes, body, t.origin), outer.map(index));
}

/** Axes of the tensor first, in their order; then those of enclosing reductions, oldest first. */
function place(t: Tensor, a: Axis): number {
  const k = t.axes.indexOf(a);
  return k < 0 ? t.axes.length + a.id : k;
}
