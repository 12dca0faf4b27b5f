// Takes out of a sum what is the same in all its terms, so that sums that differ only by such factors become one.

import { apply, index, real, reduce, type Axis, type Expr, type Read, type Reduce } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { interval } from "../ir/interval.ts";
import type { Change } from "../ir/order.ts";
import { readsOf, substitute, walk } from "../ir/rewrite.ts";
import { separated } from "./separate.ts";

/**
 * `Σ a · f(i)` becomes `a · Σ f(i)`; a factor that is a small definition without a sum is opened where that sets something free.
 * What is left of such a sum gets a tensor of its own. What follows from `scale`, by which a loss is multiplied, stays inside: sums are stored, and without it they may be too small for that.
 */
export function factoring(scale?: Tensor): Change {
  const known = new Map<Tensor, boolean>();
  const follows = (t: Tensor): boolean => {
    const found = known.get(t) ?? (t === scale || (t.body !== undefined && isScaled(t.body)));
    known.set(t, found);
    return found;
  };
  const isScaled = (e: Expr): boolean => scale !== undefined && readsOf(e).filter((r) => follows(r.tensor)).length > 0;
  return (t, body) => {
    // Asked of producers first, so that no chain is followed far.
    isScaled(body);
    return separated(t, body.kind === "reduce" && body.by === "sum" && body.type === "real" ? outside(body, isScaled) : body);
  };
}

function outside(e: Reduce, isScaled: (f: Expr) => boolean): Expr {
  const over = new Set(e.over);
  // Outside the sum nothing is left of its tests, which may be why a read stays inside.
  const isSafe = (f: Expr): boolean => e.where.length === 0 || staysInside(f);
  const isFree = (f: Expr): boolean => f.free.every((a) => !over.has(a)) && isSafe(f) && !isScaled(f);
  const factors = factorsOf(e.body).flatMap((f) => opened(f, isFree, (a) => over.has(a)));
  const free = factors.filter(isFree);
  const bound = factors.filter((f) => !isFree(f));
  if (free.length === 0 || bound.length === 0) return e;
  return apply("mul", product(free), reduce("sum", e.over, e.where, product(bound)));
}

/** Whether all reads stay inside whatever their axes are. */
function staysInside(f: Expr): boolean {
  return readsOf(f).every((r) => r.outside !== "never" || r.at.every((e, k) => {
    const { low, high } = interval(e);
    return low >= 0 && high < (r.tensor.axes[k] as Axis).extent;
  }));
}

/**
 * In one order, so that equal products are equal expressions: by age, but what other compilations may have met already, and is of any
 * age therefore, comes first.
 */
function product(factors: readonly Expr[]): Expr {
  const rank = (e: Expr): number => (e.kind === "number" ? 0 : e.kind === "dial" ? 1 : 2);
  const order = (a: Expr, b: Expr): number => {
    if (a.kind === "number" && b.kind === "number") return a.value - b.value;
    if (a.kind === "dial" && b.kind === "dial") return a.dial.name < b.dial.name ? -1 : 1;
    return rank(a) - rank(b) || a.id - b.id;
  };
  return [...factors].sort(order).reduce((a, b) => apply("mul", a, b), real(1));
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
function opened(f: Expr, isFree: (f: Expr) => boolean, isBound: (a: Axis) => boolean): readonly Expr[] {
  if (f.kind !== "read" || isFree(f) || !hasFree(f, isBound)) return [f];
  const { body, axes } = f.tensor;
  const by = new Map<Axis, Expr>(axes.map((a, k) => [a, f.at[k] ?? index(a)]));
  const parts = factorsOf(substitute(body as Expr, by)).flatMap((p) => opened(p, isFree, isBound));
  const bound = parts.filter((p) => !isFree(p));
  return bound.length < parts.length && bound.reduce((n, p) => n + operations(p), 0) <= cheap ? parts : [f];
}

/** Whether a read stands for a definition with a factor that depends on no bound axis, or reads one; asked first, since it makes no expressions. */
function hasFree(f: Read, isBound: (a: Axis) => boolean): boolean {
  const { body, axes } = f.tensor;
  if (f.outside !== "never" || !body || body.reduces) return false;
  const bound = axes.filter((_, k) => f.at[k]?.free.some(isBound));
  const isInner = (a: Axis): boolean => bound.includes(a);
  return factorsOf(body).some((p) => !p.free.some(isInner) || (p.kind === "read" && hasFree(p, isInner)));
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
