// Takes out of a sum what is the same in all its terms, so that sums that differ only by such factors become one.

import { apply, index, real, reduce, type Axis, type Expr, type Reduce } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { rebuild } from "../ir/order.ts";
import { substitute, walk } from "../ir/rewrite.ts";

/** `Σ a · f(i)` becomes `a · Σ f(i)`; a factor that is a small definition without a sum is opened where that sets something free. */
export function factor(roots: readonly Tensor[]): Map<Tensor, Tensor> {
  return rebuild(roots, (_, body) => (body.kind === "reduce" && body.by === "sum" && body.type === "real" ? outside(body) : body));
}

function outside(e: Reduce): Expr {
  const over = new Set(e.over);
  const isFree = (f: Expr): boolean => !(f.kind === "apply" && f.fn === "hold") && [...f.free].every((a) => !over.has(a));
  const factors = factorsOf(e.body).flatMap((f) => opened(f, isFree));
  const free = factors.filter(isFree);
  const bound = factors.filter((f) => !isFree(f));
  if (free.length === 0 || bound.length === 0) return e;
  return apply("mul", product(free), reduce("sum", e.over, e.where, product(bound)));
}

/** In one order, so that equal products are equal expressions. */
function product(factors: readonly Expr[]): Expr {
  return [...factors].sort((a, b) => a.id - b.id).reduce((a, b) => apply("mul", a, b), real(1));
}

function factorsOf(e: Expr): readonly Expr[] {
  if (e.kind !== "apply" || e.type !== "real") return [e];
  const [a, b] = e.args as [Expr, Expr];
  switch (e.fn) {
    case "mul": return [...factorsOf(a), ...factorsOf(b)];
    case "neg": return [real(-1), ...factorsOf(a)];
    case "add": return a === b ? [real(2), ...factorsOf(a)] : [e];
    default: return [e];
  }
}

/** The factors of the definition that a read stands for, where one of them is free; else the read. */
function opened(f: Expr, isFree: (f: Expr) => boolean): readonly Expr[] {
  if (f.kind !== "read" || f.outside !== "never" || isFree(f)) return [f];
  const { body, axes } = f.tensor;
  if (!body || holdsSum(body)) return [f];
  const by = new Map<Axis, Expr>(axes.map((a, k) => [a, f.at[k] ?? index(a)]));
  const parts = factorsOf(substitute(body, by)).flatMap((p) => opened(p, isFree));
  const bound = parts.filter((p) => !isFree(p));
  return bound.length < parts.length && bound.reduce((n, p) => n + operations(p), 0) <= cheap ? parts : [f];
}

/** Operations that may be done again for every term, to see what is the same in all of them. */
const cheap = 2;

/** Operations on reals in an expression. */
function operations(e: Expr): number {
  let count = 0;
  walk(e, (x) => {
    if (x.kind === "apply" && x.type === "real") count++;
  });
  return count;
}

function holdsSum(e: Expr): boolean {
  let found = false;
  walk(e, (x) => {
    if (x.kind === "reduce") found = true;
  });
  return found;
}
