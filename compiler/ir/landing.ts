// Equations that say where the terms of a sum land: an axis outside the sum equals something that depends on data.

import { affine, build, combine, scaled, without } from "./affine.ts";
import type { Axis, Expr } from "./expr.ts";
import { readsOf } from "./rewrite.ts";

/** `axis == at`, where `at` depends on data and on axes of the sum alone. */
export interface Landing {
  readonly axis: Axis;
  readonly at: Expr;
}

/** Reads an equation in the `where` of a sum over `over` as a landing, where it is one. */
export function landing(equation: Expr, over: ReadonlySet<Axis>): Landing | undefined {
  if (equation.kind !== "apply" || equation.fn !== "eq" || equation.args[0]?.type !== "int") return undefined;
  const [l, r] = equation.args as [Expr, Expr];
  const sum = combine(affine(l), affine(r), -1);
  const isInside = (e: Expr): boolean => [...e.free].every((a) => over.has(a));
  const outside = [...sum.terms].filter(([atom]) => !isInside(atom));
  const [only] = outside;
  if (!only || outside.length > 1 || only[0].kind !== "axis" || Math.abs(only[1]) !== 1) return undefined;
  const at = build(scaled(without(sum, only[0]), -only[1]));
  return readsOf(at).length > 0 && at.free.size > 0 ? { axis: (only[0] as Extract<Expr, { kind: "axis" }>).axis, at } : undefined;
}

/** Where the terms of a sum land, axis by axis, and the tests that are left; nothing lands for most sums. */
export function landings(where: readonly Expr[], over: readonly Axis[]): { readonly at: ReadonlyMap<Axis, Expr>; readonly rest: readonly Expr[] } {
  const bound = new Set(over);
  const at = new Map<Axis, Expr>();
  const rest: Expr[] = [];
  for (const test of where) {
    const found = landing(test, bound);
    if (found && !at.has(found.axis)) at.set(found.axis, found.at);
    else rest.push(test);
  }
  return { at, rest };
}

