// Writes short loops of a reduction out, so that neighbouring taps and points share what they read.

import { apply, asReal, int, number, reduce, reduceIdentity, type Axis, type Expr, type Reduce } from "../ir/expr.ts";
import { partsOf, substitute, withParts } from "../ir/rewrite.ts";

/** The expression with its reductions along these axes written out. */
export function unroll(e: Expr, axes: ReadonlySet<Axis>, memo = new Map<Expr, Expr>()): Expr {
  if (axes.size === 0 || !e.reduces) return e;
  const known = memo.get(e);
  if (known) return known;
  const parts = partsOf(e);
  const next = parts.map((p) => unroll(p, axes, memo));
  let made = next.every((p, i) => p === parts[i]) ? e : withParts(e, next);
  if (made.kind === "reduce" && made.over.some((a) => axes.has(a))) made = written(made, axes);
  memo.set(e, made);
  return made;
}

function written(e: Reduce, axes: ReadonlySet<Axis>): Expr {
  const out = e.over.filter((a) => axes.has(a));
  const fn = e.by === "sum" ? "add" : e.by === "prod" ? "mul" : e.by;
  const inner = e.where.filter((w) => out.some((a) => w.free.includes(a)));
  const outer = e.where.filter((w) => !inner.includes(w));
  const identity = number(reduceIdentity(e.by), e.body.type);
  const term = inner.length === 0 ? e.body : apply("select", inner.reduce((a, b) => apply("and", a, b)), e.body, identity);
  let terms: Expr[] = [term];
  for (const a of out) {
    terms = terms.flatMap((t) => Array.from({ length: a.extent }, (_, i) => substitute(t, new Map([[a, int(i)]]), true)));
  }
  const total = terms.reduce((a, b) => apply(fn, a, b));
  return reduce(e.by, e.over.filter((a) => !axes.has(a)), outer, e.type === "real" ? asReal(total) : total);
}
