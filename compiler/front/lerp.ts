// Multilinear interpolation as reads of the surrounding corners, in whole numbers where the position allows it.

import { apply, asReal, int, read, real, type Expr } from "../ir/expr.ts";
import { simplifyExpression } from "../ir/simplified.ts";
import type { View } from "./values.ts";

/** The interpolated element at a position; whole indices take part as they are. */
export function interpolate(view: View, at: readonly Expr[]): Expr {
  let corners: { at: Expr[]; weight: Expr }[] = [{ at: [], weight: real(1) }];
  for (const position of at) {
    if (position.type === "int") {
      for (const c of corners) c.at.push(simplifyExpression(position));
      continue;
    }
    const { below, part } = split(position);
    corners = corners.flatMap((c) => [
      { at: [...c.at, simplifyExpression(below)], weight: apply("mul", c.weight, apply("sub", real(1), part)) },
      { at: [...c.at, simplifyExpression(apply("add", below, int(1)))], weight: apply("mul", c.weight, part) },
    ]);
  }
  return corners
    .map((c) => apply("mul", c.weight, read(view.tensor, c.at, view.outside)))
    .reduce((a, b) => apply("add", a, b));
}

/** A position as the whole number below it and the rest in [0, 1). */
function split(position: Expr): { below: Expr; part: Expr } {
  const sum = linear(position);
  if (sum.rest === undefined) {
    // (a·t + b) / m in whole numbers: exact, and the solver can turn it round.
    const { top, bottom } = wholeFraction(sum);
    const remainder = apply("imod", top, int(bottom));
    return { below: apply("idiv", top, int(bottom)), part: apply("div", asReal(remainder), real(bottom)) };
  }
  const { top, bottom } = wholeFraction({ ...sum, rest: undefined });
  if (bottom === 1) {
    // A whole place plus a real shift: the floor is taken of the shift alone, which loses no digits.
    const down = apply("floor", sum.rest);
    return { below: apply("add", top, down), part: apply("sub", sum.rest, asReal(down)) };
  }
  const down = apply("floor", position);
  return { below: down, part: apply("sub", position, asReal(down)) };
}

/** `constant + Σ factor · whole + rest`, factors being fractions. */
interface Linear {
  readonly constant: Fraction;
  readonly terms: ReadonlyMap<Expr, Fraction>;
  readonly rest: Expr | undefined;
}

interface Fraction {
  readonly top: number;
  readonly bottom: number;
}

const nothing: Fraction = { top: 0, bottom: 1 };

function gcd(a: number, b: number): number {
  return b === 0 ? Math.abs(a) : gcd(b, a % b);
}

function fraction(top: number, bottom: number): Fraction {
  const g = gcd(top, bottom) || 1;
  const sign = bottom < 0 ? -1 : 1;
  return { top: (sign * top) / g, bottom: (sign * bottom) / g };
}

const plus = (a: Fraction, b: Fraction): Fraction => fraction(a.top * b.bottom + b.top * a.bottom, a.bottom * b.bottom);
const times = (a: Fraction, b: Fraction): Fraction => fraction(a.top * b.top, a.bottom * b.bottom);

/** A number as a fraction with a small power of two below; undefined where it is none. */
function exact(value: number): Fraction | undefined {
  for (let bottom = 1; bottom <= 4096; bottom *= 2) {
    if (Number.isInteger(value * bottom) && Math.abs(value * bottom) < 2 ** 31) return fraction(value * bottom, bottom);
  }
  return undefined;
}

function linear(e: Expr): Linear {
  const opaque: Linear = { constant: nothing, terms: new Map(), rest: e };
  if (e.type === "int") return { constant: nothing, terms: new Map([[e, { top: 1, bottom: 1 }]]), rest: undefined };
  if (e.kind === "number") {
    const f = exact(e.value);
    return f ? { constant: f, terms: new Map(), rest: undefined } : opaque;
  }
  if (e.kind !== "apply") return opaque;
  const [a, b] = e.args as [Expr, Expr];
  switch (e.fn) {
    case "real": return linear(a);
    case "neg": return scaled(linear(a), { top: -1, bottom: 1 });
    case "add": return added(linear(a), linear(b));
    case "sub": return added(linear(a), scaled(linear(b), { top: -1, bottom: 1 }));
    case "mul": {
      const [f, g] = [constantOf(a), constantOf(b)];
      return g ? scaled(linear(a), g) : f ? scaled(linear(b), f) : opaque;
    }
    case "div": {
      const g = constantOf(b);
      return g && g.top !== 0 ? scaled(linear(a), fraction(g.bottom, g.top)) : opaque;
    }
    default: return opaque;
  }
}

function constantOf(e: Expr): Fraction | undefined {
  const sum = linear(e);
  return sum.rest === undefined && sum.terms.size === 0 ? sum.constant : undefined;
}

function added(a: Linear, b: Linear): Linear {
  const terms = new Map(a.terms);
  for (const [e, f] of b.terms) terms.set(e, plus(terms.get(e) ?? nothing, f));
  return { constant: plus(a.constant, b.constant), terms, rest: a.rest && b.rest ? apply("add", a.rest, b.rest) : a.rest ?? b.rest };
}

function scaled(a: Linear, by: Fraction): Linear {
  return {
    constant: times(a.constant, by),
    terms: new Map([...a.terms].map(([e, f]) => [e, times(f, by)])),
    rest: a.rest && apply("mul", a.rest, real(by.top / by.bottom)),
  };
}

/** The sum as one whole number over another. */
function wholeFraction(sum: Linear): { top: Expr; bottom: number } {
  const all = [sum.constant, ...sum.terms.values()];
  const bottom = all.reduce((m, f) => (m / gcd(m, f.bottom)) * f.bottom, 1);
  let top: Expr = int((sum.constant.top * bottom) / sum.constant.bottom);
  for (const [e, f] of sum.terms) top = apply("add", top, apply("mul", e, int((f.top * bottom) / f.bottom)));
  return { top: simplifyExpression(top), bottom };
}
