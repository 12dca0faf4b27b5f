// Equations that say where the terms of a sum land: an axis outside the sum equals something that depends on data.

import { affine, build, combine, factorOf, scaled, without } from "./affine.ts";
import type { Axis, Expr } from "./expr.ts";
import { readsOf } from "./rewrite.ts";

/** `axis == at`, where `at` depends on data that differ from term to term. */
export interface Landing {
  readonly axis: Axis;
  readonly at: Expr;
}

/**
 * Reads an equation in the `where` of a sum over `over` as a landing of its terms along an axis of the result, where it is one. A sum that
 * is `decided` to be taken from its terms may have lost the axis along which data differed, if that had one point, and the data, if they are written in.
 */
export function landing(equation: Expr, over: ReadonlySet<Axis>, decided = false): Landing | undefined {
  if (equation.kind !== "apply" || equation.fn !== "eq" || equation.args[0]?.type !== "int") return undefined;
  const [l, r] = equation.args as [Expr, Expr];
  const sum = combine(affine(l), affine(r), -1);
  const { atoms } = sum;
  const differs = decided || atoms.some((atom) => readsOf(atom).length > 0 && atom.free.some((a) => over.has(a)));
  const outside = atoms.filter((atom) => atom.kind === "axis" && !over.has(atom.axis));
  const [only] = outside;
  if (!differs || only?.kind !== "axis" || outside.length > 1 || Math.abs(factorOf(sum, only)) !== 1) return undefined;
  const rest = without(sum, only);
  const at = build(scaled(rest, -factorOf(sum, only)));
  return at.free.includes(only.axis) ? undefined : { axis: only.axis, at };
}

/** Where the terms of a sum land, axis by axis, and the tests that are left; nothing lands for most sums. */
export function landings(where: readonly Expr[], over: readonly Axis[], decided = false): { readonly at: ReadonlyMap<Axis, Expr>; readonly rest: readonly Expr[] } {
  const bound = new Set(over);
  const at = new Map<Axis, Expr>();
  const rest: Expr[] = [];
  for (const test of where) {
    const found = landing(test, bound, decided);
    // Where terms land along one axis may not depend on where they land along another.
    const isFree = found && !at.has(found.axis) && [...at].every(([axis, e]) => !e.free.includes(found.axis) && !found.at.free.includes(axis));
    if (isFree) at.set(found.axis, found.at);
    else rest.push(test);
  }
  return { at, rest };
}

