// The range of values an expression can take, from the extents of its axes alone.

import { affine } from "./affine.ts";
import type { Expr } from "./expr.ts";
import { Notes } from "./notes.ts";

/** Both ends belong to it. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

const unknown: Interval = { low: -Infinity, high: Infinity };
const cache = new Notes<Interval>();

/** A sound range, not always the smallest one: `[-∞, ∞]` for what depends on data. */
export function interval(e: Expr): Interval {
  const known = cache.get(e);
  if (known) return known;
  const made = derive(e);
  cache.set(e, made);
  return made;
}

function derive(e: Expr): Interval {
  switch (e.kind) {
    case "number": return { low: e.value, high: e.value };
    case "axis": return { low: 0, high: e.axis.extent - 1 };
    case "draw": return { low: 0, high: 1 };
    case "read": case "reduce": case "dial": return e.type === "bool" ? { low: 0, high: 1 } : unknown;
    case "apply": break;
  }
  if (e.type === "int" && (e.fn === "add" || e.fn === "sub" || e.fn === "neg" || e.fn === "mul")) {
    const sum = affine(e);
    if (!(sum.atoms.length === 1 && sum.atoms[0] === e)) {
      let [low, high] = [sum.constant, sum.constant];
      for (let i = 0; i < sum.atoms.length; i++) {
        const c = sum.factors[i] as number;
        const r = interval(sum.atoms[i] as Expr);
        low += c > 0 ? c * r.low : c * r.high;
        high += c > 0 ? c * r.high : c * r.low;
      }
      return { low, high };
    }
  }
  const a = interval(e.args[0] as Expr);
  const b = interval(e.args[1] ?? e.args[0] as Expr);
  switch (e.fn) {
    case "add": return { low: a.low + b.low, high: a.high + b.high };
    case "sub": return { low: a.low - b.high, high: a.high - b.low };
    case "neg": return { low: -a.high, high: -a.low };
    case "mul": return corners(a, b, (p, q) => (p === 0 || q === 0 ? 0 : p * q));
    case "div": return b.low > 0 || b.high < 0 ? corners(a, b, (p, q) => p / q) : unknown;
    case "idiv": return b.low > 0 || b.high < 0 ? corners(a, b, (p, q) => Math.floor(p / q)) : unknown;
    case "imod": return b.low > 0 ? { low: 0, high: a.low >= 0 ? Math.min(b.high - 1, a.high) : b.high - 1 } : unknown;
    case "min": return { low: Math.min(a.low, b.low), high: Math.min(a.high, b.high) };
    case "max": return { low: Math.max(a.low, b.low), high: Math.max(a.high, b.high) };
    case "abs": return { low: a.low > 0 ? a.low : a.high < 0 ? -a.high : 0, high: Math.max(Math.abs(a.low), Math.abs(a.high)) };
    case "floor": return { low: Math.floor(a.low), high: Math.floor(a.high) };
    case "round": return { low: Math.round(a.low), high: Math.round(a.high) };
    case "trunc": return { low: Math.trunc(a.low), high: Math.trunc(a.high) };
    case "real": case "hold": return a;
    case "select": {
      const c = interval(e.args[2] as Expr);
      return { low: Math.min(b.low, c.low), high: Math.max(b.high, c.high) };
    }
    case "exp": return { low: 0, high: Infinity };
    case "sqrt": case "rsqrt": return { low: 0, high: Infinity };
    case "erf": case "tanh": case "sin": case "cos": return { low: -1, high: 1 };
    case "eq": case "ne": case "lt": case "le": case "and": case "or": case "not": return { low: 0, high: 1 };
    default: return unknown;
  }
}

function corners(a: Interval, b: Interval, f: (p: number, q: number) => number): Interval {
  const all = [f(a.low, b.low), f(a.low, b.high), f(a.high, b.low), f(a.high, b.high)];
  return all.some(Number.isNaN) ? unknown : { low: Math.min(...all), high: Math.max(...all) };
}
