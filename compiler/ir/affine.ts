// Whole-number expressions as sums of multiples of atoms, the form in which indices are compared and solved.

import { apply, index, int, whole, type Axis, type Expr } from "./expr.ts";
import { Notes } from "./notes.ts";

/** `constant + Σ coefficient · atom`. An atom is an expression that is not itself such a sum. */
export interface Affine {
  readonly constant: number;
  readonly terms: ReadonlyMap<Expr, number>;
}

const cache = new Notes<Affine>();

/** The sum that an int expression is. Multiplication by anything but a number makes an atom. */
export function affine(e: Expr): Affine {
  const known = cache.get(e);
  if (known) return known;
  const made = derive(e);
  cache.set(e, made);
  return made;
}

function derive(e: Expr): Affine {
  if (e.kind === "number") return { constant: e.value, terms: new Map() };
  if (e.kind === "apply") {
    const a = e.args[0] as Expr;
    const b = e.args[1] as Expr;
    switch (e.fn) {
      case "add": return combine(affine(a), affine(b), 1);
      case "sub": return combine(affine(a), affine(b), -1);
      case "neg": return scaled(affine(a), -1);
      case "mul": {
        const left = affine(a);
        const right = affine(b);
        if (left.terms.size === 0) return scaled(right, left.constant);
        if (right.terms.size === 0) return scaled(left, right.constant);
      }
    }
  }
  return { constant: 0, terms: new Map([[e, 1]]) };
}

/** `a + factor · b`. */
export function combine(a: Affine, b: Affine, factor: number): Affine {
  const constant = a.constant + factor * b.constant;
  if (b.terms.size === 0 || factor === 0) return { constant, terms: a.terms };
  const terms = new Map(a.terms);
  for (const [atom, c] of b.terms) {
    const total = (terms.get(atom) ?? 0) + factor * c;
    if (total === 0) terms.delete(atom);
    else terms.set(atom, total);
  }
  return { constant, terms };
}

export function scaled(a: Affine, factor: number): Affine {
  if (factor === 0) return { constant: 0, terms: new Map() };
  if (factor === 1) return a;
  const terms = new Map<Expr, number>();
  for (const [atom, c] of a.terms) terms.set(atom, c * factor);
  return { constant: a.constant * factor, terms };
}

/** Back to an expression, in one fixed order, so that equal sums are equal expressions. */
export function build(a: Affine): Expr {
  if (a.terms.size === 0) return int(a.constant);
  const terms = inOrder(a.terms);
  let result: Expr | undefined;
  for (const [atom, c] of terms) {
    if (c <= 0) continue;
    const term = times(atom, c);
    result = result ? whole("add", result, term) : term;
  }
  const isPositive = result !== undefined;
  if (!result) result = int(a.constant);
  else if (a.constant > 0) result = whole("add", result, int(a.constant));
  for (const [atom, c] of terms) if (c < 0) result = apply("sub", result, times(atom, -c));
  if (a.constant < 0 && isPositive) result = apply("sub", result, int(-a.constant));
  if (!cache.get(result)) cache.set(result, { constant: a.constant, terms: new Map(terms) });
  return result;
}

const times = (atom: Expr, c: number): Expr => (c === 1 ? atom : whole("mul", atom, int(c)));

/** Positive terms first, then by age. */
function inOrder(terms: ReadonlyMap<Expr, number>): readonly Term[] {
  const all: Term[] = [];
  // Sums are short: most are met in this order.
  for (const term of terms) {
    let at = all.length;
    for (; at > 0 && isSooner(term, all[at - 1] as Term); at--) all[at] = all[at - 1] as Term;
    all[at] = term;
  }
  return all;
}

type Term = readonly [Expr, number];
const isSooner = ([p, a]: Term, [q, b]: Term): boolean => (a > 0 === b > 0 ? p.id < q.id : a > 0);

/** The coefficient of an axis that occurs as an atom of its own, and nowhere else in the sum; otherwise undefined. */
export function coefficient(a: Affine, axis: Axis): number | undefined {
  const own = index(axis);
  for (const atom of a.terms.keys()) if (atom !== own && atom.free.includes(axis)) return undefined;
  return a.terms.get(own);
}

/** `a` without one atom. */
export function without(a: Affine, atom: Expr): Affine {
  const terms = new Map(a.terms);
  terms.delete(atom);
  return { constant: a.constant, terms };
}
