// Whole-number expressions as sums of multiples of atoms, the form in which indices are compared and solved.

import { apply, index, int, whole, type Axis, type Expr } from "./expr.ts";
import { Notes } from "./notes.ts";

/** `constant + Σ factors[i] · atoms[i]`: each atom once, none of the factors zero. An atom is an expression that is not itself such a sum. */
export interface Affine {
  readonly constant: number;
  readonly atoms: readonly Expr[];
  readonly factors: readonly number[];
}

const none: readonly never[] = [];
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
  if (e.kind === "number") return fixed(e.value);
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
        if (left.atoms.length === 0) return scaled(right, left.constant);
        if (right.atoms.length === 0) return scaled(left, right.constant);
      }
    }
  }
  return { constant: 0, atoms: [e], factors: [1] };
}

/** A sum of no terms. */
export const fixed = (constant: number): Affine => ({ constant, atoms: none, factors: none });

/** `a + factor · b`. */
export function combine(a: Affine, b: Affine, factor: number): Affine {
  return b.atoms.length === 0 ? { constant: a.constant + factor * b.constant, atoms: a.atoms, factors: a.factors } : total([a, b], [1, factor]);
}

/** `Σ by[i] · sums[i]`. */
export function total(sums: readonly Affine[], by: readonly number[]): Affine {
  let [constant, room] = [0, 0];
  for (let i = 0; i < sums.length; i++) {
    const { constant: more, atoms } = sums[i] as Affine;
    constant += (by[i] as number) * more;
    room += atoms.length;
  }
  const [atoms, factors] = [new Array<Expr>(room), new Array<number>(room)];
  let count = 0;
  for (let i = 0; i < sums.length; i++) {
    const sum = sums[i] as Affine;
    for (let k = 0; k < sum.atoms.length; k++) {
      const atom = sum.atoms[k] as Expr;
      const more = (by[i] as number) * (sum.factors[k] as number);
      let at = 0;
      while (at < count && atoms[at] !== atom) at++;
      if (at === count) atoms[count++] = atom;
      factors[at] = (factors[at] ?? 0) + more;
    }
  }
  if (count < room) [atoms.length, factors.length] = [count, count];
  const all = { constant, atoms, factors };
  return factors.includes(0) ? picked(all, constant, (_, c) => c !== 0) : all;
}

export function scaled(a: Affine, factor: number): Affine {
  if (factor === 0) return fixed(0);
  // Zero has one sign.
  return factor === 1 ? a : { constant: a.constant * factor + 0, atoms: a.atoms, factors: a.factors.map((c) => c * factor) };
}

/** Some of the terms, with another constant. */
export function picked(a: Affine, constant: number, isWanted: (atom: Expr, factor: number) => boolean): Affine {
  const isIn = a.atoms.map((atom, i) => isWanted(atom, a.factors[i] as number));
  if (isIn.every(Boolean)) return { ...a, constant };
  return { constant, atoms: a.atoms.filter((_, i) => isIn[i]), factors: a.factors.filter((_, i) => isIn[i]) };
}

/** A sum as `unit · high + low`: `high` has all terms that the unit divides, and the constant of `low` is in `0 ..< unit`. */
export function digitsOf(a: Affine, unit: number): { readonly high: Affine; readonly low: Affine } {
  const whole = Math.floor(a.constant / unit);
  const high = picked(a, unit * whole, (_, c) => c % unit === 0);
  return {
    high: { constant: whole, atoms: high.atoms, factors: high.factors.map((c) => c / unit) },
    low: picked(a, a.constant - unit * whole, (_, c) => c % unit !== 0),
  };
}

/** By what an atom is multiplied; 0 where it is none of the sum's. */
export function factorOf(a: Affine, atom: Expr): number {
  const at = a.atoms.indexOf(atom);
  return at < 0 ? 0 : (a.factors[at] as number);
}

/** Back to an expression, in one fixed order, so that equal sums are equal expressions. */
export function build(a: Affine): Expr {
  if (a.atoms.length === 0) return int(a.constant);
  const sum = inOrder(a);
  const { atoms, factors } = sum;
  let result: Expr | undefined;
  let k = 0;
  for (; k < atoms.length && (factors[k] as number) > 0; k++) {
    const term = times(atoms[k] as Expr, factors[k] as number);
    result = result ? whole("add", result, term) : term;
  }
  const isPositive = result !== undefined;
  if (!result) result = int(a.constant);
  else if (a.constant > 0) result = whole("add", result, int(a.constant));
  for (; k < atoms.length; k++) result = apply("sub", result, times(atoms[k] as Expr, -(factors[k] as number)));
  if (a.constant < 0 && isPositive) result = apply("sub", result, int(-a.constant));
  if (!cache.get(result)) cache.set(result, sum);
  return result;
}

const times = (atom: Expr, c: number): Expr => (c === 1 ? atom : whole("mul", atom, int(c)));

/** Positive terms first, then by age. */
export function inOrder(a: Affine): Affine {
  // Most are met in this order.
  let k = 1;
  while (k < a.atoms.length && !isSooner(a.atoms[k] as Expr, a.factors[k] as number, a.atoms[k - 1] as Expr, a.factors[k - 1] as number)) k++;
  if (k >= a.atoms.length) return a;
  const [atoms, factors] = [a.atoms.slice(), a.factors.slice()];
  for (; k < atoms.length; k++) {
    const [atom, factor] = [atoms[k] as Expr, factors[k] as number];
    let at = k;
    for (; at > 0 && isSooner(atom, factor, atoms[at - 1] as Expr, factors[at - 1] as number); at--) {
      atoms[at] = atoms[at - 1] as Expr;
      factors[at] = factors[at - 1] as number;
    }
    atoms[at] = atom;
    factors[at] = factor;
  }
  return { constant: a.constant, atoms, factors };
}

const isSooner = (p: Expr, a: number, q: Expr, b: number): boolean => (a > 0 === b > 0 ? p.id < q.id : a > 0);

/** The coefficient of an axis that occurs as an atom of its own, and nowhere else in the sum; otherwise undefined. */
export function coefficient(a: Affine, axis: Axis): number | undefined {
  const own = index(axis);
  for (const atom of a.atoms) if (atom !== own && atom.free.includes(axis)) return undefined;
  return factorOf(a, own) || undefined;
}

/** `a` without one atom. */
export const without = (a: Affine, atom: Expr): Affine => picked(a, a.constant, (x) => x !== atom);
