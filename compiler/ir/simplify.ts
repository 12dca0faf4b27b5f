// Local simplification of one node whose parts are simple already: affine normal form, digits, comparisons decided by ranges.

import { affine, build, combine, digitsOf, factorOf, fixed, picked, scaled, total, type Affine } from "./affine.ts";
import { apply, bool, int, number, read, reduceIdentity, type Axis, type Expr, type Read } from "./expr.ts";
import { interval } from "./interval.ts";
import { Notes } from "./notes.ts";

const done = new Notes<Expr>();

/** An equal expression, simpler where a local rule applies. */
export function simplifyNode(e: Expr): Expr {
  // Most are of these kinds, for which there is no rule.
  if (e.kind === "read" ? e.outside === "never" : e.type === "real") return e;
  const known = done.get(e);
  if (known) return known;
  const made = step(e);
  done.set(e, made);
  done.set(made, made);
  return made;
}

/** The place of the element that a read takes, in its tensor's row-major storage. */
export function flatOf(r: Read): Expr {
  const extent = (k: number): number => (r.tensor.axes[k] as Axis).extent;
  const at = r.outside !== "edge" ? r.at
    : r.at.map((e, k) => simplifyNode(apply("min", simplifyNode(apply("max", e, int(0))), int(extent(k) - 1))));
  return flatIn(r.tensor.axes, at);
}

/** The place of the element `at` in the row-major storage of what has these axes. */
export function flatIn(axes: readonly Axis[], at: readonly Expr[]): Expr {
  const strides = new Array<number>(at.length).fill(1);
  for (let k = at.length - 1; k > 0; k--) strides[k - 1] = (strides[k] as number) * (axes[k] as Axis).extent;
  return build(joinDigits(total(at.map(affine), strides)));
}

function step(e: Expr): Expr {
  if (e.kind === "read") return insideRead(e);
  if (e.kind !== "apply") return e;
  const a = e.args[0] as Expr;
  const b = e.args[1] as Expr;
  switch (e.fn) {
    case "add": case "sub": case "neg": case "mul":
      return e.type === "int" ? build(joinDigits(affine(e))) : e;
    case "idiv": return b.kind === "number" && b.value > 0 ? divide(a, b.value) : e;
    case "imod": return b.kind === "number" && b.value > 0 ? modulo(a, b.value) : e;
    case "eq": case "ne": case "lt": case "le": return a.type === "int" ? compare(e.fn, a, b) : e;
    case "min": case "max": return e.type === "int" ? extreme(e.fn, a, b, e) : e;
    case "trunc": case "floor": case "round": return a.kind === "apply" && a.fn === "real" ? (a.args[0] as Expr) : e;
    default: return e;
  }
}

/** A read that stays inside needs no view; of one that never is inside only the view is left. */
function insideRead(e: Extract<Expr, { kind: "read" }>): Expr {
  if (e.outside === "never") return e;
  const extent = (k: number): number => e.tensor.axes[k]?.extent ?? 0;
  const ranges = e.at.map(interval);
  if (ranges.every((r, k) => r.low >= 0 && r.high < extent(k))) return read(e.tensor, e.at, "never");
  const isNowhere = e.outside !== "edge" && ranges.some((r, k) => r.high < 0 || r.low >= extent(k));
  return isNowhere ? number(e.outside === "zero" ? 0 : reduceIdentity("max"), e.type) : e;
}

/** `m · (x / m) + x % m` is `x`. */
function joinDigits(sum: Affine): Affine {
  for (let i = 0; i < sum.atoms.length; i++) {
    const atom = sum.atoms[i] as Expr;
    if (atom.kind !== "apply" || atom.fn !== "imod") continue;
    const [x, m] = atom.args as [Expr, Expr];
    if (m.kind !== "number") continue;
    const part = affine(simplifyNode(apply("idiv", x, m)));
    // The quotient must be there as often as the remainder asks, as one atom.
    if (part.atoms.length !== 1 || part.constant !== 0 || part.factors[0] !== 1) continue;
    const [quotient, c] = [part.atoms[0] as Expr, sum.factors[i] as number];
    if (factorOf(sum, quotient) !== c * m.value) continue;
    return joinDigits(combine(picked(sum, sum.constant, (t) => t !== atom && t !== quotient), affine(x), c));
  }
  return sum;
}

function divide(x: Expr, m: number): Expr {
  const { high: whole, low: rest } = digitsOf(affine(x), m);
  const remainder = build(rest);
  const range = interval(remainder);
  let quotient: Expr;
  if (Math.floor(range.low / m) === Math.floor(range.high / m)) quotient = int(Math.floor(range.low / m));
  else {
    const digits = highAndLow(rest, m);
    if (digits) quotient = m === digits.unit ? build(digits.high) : divide(build(digits.high), m / digits.unit);
    else if (remainder.kind === "apply" && remainder.fn === "idiv" && (remainder.args[1] as Expr).kind === "number") {
      const inner = remainder.args[1] as Extract<Expr, { kind: "number" }>;
      quotient = divide(remainder.args[0] as Expr, inner.value * m);
    } else if (remainder.kind === "apply" && remainder.fn === "imod" && (remainder.args[1] as Expr).kind === "number"
      && (remainder.args[1] as Extract<Expr, { kind: "number" }>).value % m === 0) {
      const inner = remainder.args[1] as Extract<Expr, { kind: "number" }>;
      quotient = modulo(divide(remainder.args[0] as Expr, m), inner.value / m);
    } else quotient = apply("idiv", remainder, int(m));
  }
  return build(combine(whole, affine(quotient), 1));
}

function modulo(x: Expr, m: number): Expr {
  const { low: rest } = digitsOf(affine(x), m);
  const remainder = build(rest);
  const range = interval(remainder);
  const turns = Math.floor(range.low / m);
  if (turns === Math.floor(range.high / m)) return build(combine(rest, fixed(turns * m), -1));
  if (remainder.kind === "apply" && remainder.fn === "imod" && (remainder.args[1] as Expr).kind === "number"
    && (remainder.args[1] as Extract<Expr, { kind: "number" }>).value % m === 0) {
    return modulo(remainder.args[0] as Expr, m);
  }
  const digits = highAndLow(rest, m);
  if (digits && m !== digits.unit) return build(combine(digits.low, affine(modulo(build(digits.high), m / digits.unit)), digits.unit));
  return apply("imod", remainder, int(m));
}

/**
 * The sum as `unit · high + low` with `0 ≤ low < unit`, for the largest `unit` that divides `m`:
 * then `sum / m = high / (m / unit)` and `sum % m = unit · (high % (m / unit)) + low`.
 */
function highAndLow(sum: Affine, m: number): { readonly unit: number; readonly high: Affine; readonly low: Affine } | undefined {
  const units = new Set(sum.factors.map((c) => gcd(c, m)).filter((u) => u > 1));
  for (const unit of [...units].sort((a, b) => b - a)) {
    const { high, low } = digitsOf(sum, unit);
    const range = interval(build(low));
    if (range.low >= 0 && range.high < unit) return { unit, high, low };
  }
  return undefined;
}

function gcd(a: number, b: number): number {
  let [p, q] = [Math.abs(a), Math.abs(b)];
  while (q) [p, q] = [q, p % q];
  return p;
}

/** Brings a comparison of ints to a canonical one of a sum with a number, or decides it. */
function compare(fn: "eq" | "ne" | "lt" | "le", a: Expr, b: Expr): Expr {
  const left = affine(a);
  const right = affine(b);
  const d = combine(right, left, -1); // b - a
  if (fn === "lt" || fn === "le") {
    const whole = wholeDigits(fn === "le" ? d : combine(d, fixed(1), -1));
    if (whole) return compare("le", int(0), build(whole));
  }
  const range = interval(build(d));
  switch (fn) {
    case "lt": if (range.low > 0) return bool(true); if (range.high <= 0) return bool(false); break;
    case "le": if (range.low >= 0) return bool(true); if (range.high < 0) return bool(false); break;
    case "eq": case "ne": {
      const apart = range.low > 0 || range.high < 0 || !divisible(d);
      if (apart) return bool(fn === "ne");
      if (range.low === 0 && range.high === 0) return bool(fn === "eq");
    }
  }
  // Positive terms on one side, negative on the other; equalities with the first atom positive.
  let first: number | undefined;
  for (let i = 0; i < d.atoms.length; i++) if (first === undefined || (d.atoms[i] as Expr).id < (d.atoms[first] as Expr).id) first = i;
  const isTurned = (fn === "eq" || fn === "ne") && first !== undefined && (d.factors[first] as number) < 0;
  const sum = isTurned ? scaled(d, -1) : d;
  const low = build(scaled(picked(sum, Math.min(sum.constant, 0), (_, c) => c < 0), -1));
  const high = build(picked(sum, Math.max(sum.constant, 0), (_, c) => c > 0));
  return apply(fn, low, high);
}

/** `unit · high + low` with `0 ≤ low < unit` is negative exactly when `high` is: what decides, where the sum has such digits. */
function wholeDigits(d: Affine): Affine | undefined {
  const units = new Set(d.factors.map(Math.abs).filter((c) => c > 1));
  for (const unit of [...units].sort((a, b) => b - a)) {
    const { high, low } = digitsOf(d, unit);
    const range = interval(build(low));
    if (range.low >= 0 && range.high < unit) return high;
  }
  return undefined;
}

/** Whether a sum can be zero as far as common factors of its coefficients say. */
function divisible(d: Affine): boolean {
  const shared = d.factors.reduce(gcd, 0);
  return shared === 0 ? d.constant === 0 : d.constant % shared === 0;
}

function extreme(fn: "min" | "max", a: Expr, b: Expr, e: Expr): Expr {
  const difference = interval(build(combine(affine(b), affine(a), -1)));
  if (difference.low >= 0) return fn === "min" ? a : b;
  if (difference.high <= 0) return fn === "min" ? b : a;
  return e;
}

/** `low ≤ e < extent` as one condition, decided where ranges decide it. */
export function within(e: Expr, extent: number): Expr {
  return apply("and", simplifyNode(apply("le", int(0), e)), simplifyNode(apply("lt", e, int(extent))));
}

