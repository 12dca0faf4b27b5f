// What an element of a tensor is: index expressions, hash-consed so that equal ones are one object.

import { invariant } from "../report/diagnostic.ts";
import type { Tensor } from "./graph.ts";
import { Interned, stirred, type Make } from "./interning.ts";
import { Notes } from "./notes.ts";

/** A loop index `0 ..< extent`. Identity is the object; the name is for people. */
export interface Axis {
  readonly name: string;
  readonly extent: number;
  readonly id: number;
}

/** `wide` is a whole number of 64 bits: what a sum is gathered in whose terms come in any order. */
export type Type = "real" | "int" | "bool" | "wide";

/** What a read yields beyond the edge. `never` is a proof obligation, met before lowering. */
export type Outside = "never" | "zero" | "edge" | "lowest";

/** A named scalar set from outside, once a step. */
export interface Dial {
  readonly name: string;
  readonly value: number;
}

/**
 * Scalar functions. `idiv` and `imod` floor (as the language does); `div` is real division;
 * `real` turns an int into a real; `floor`, `round` (halves to even) and `trunc` turn a real into an int; `hold` is the
 * identity whose derivative is zero; `half` is what a real becomes when it is stored as a half; `binade` is the power of two at or below a positive real; `widen` cuts a real to a wide whole number, `real` brings it back;
 * `select(test, then, otherwise)`.
 */
export type Primitive =
  | "add" | "sub" | "mul" | "div" | "idiv" | "imod" | "neg" | "min" | "max" | "abs" | "pow"
  | "exp" | "log" | "sqrt" | "rsqrt" | "erf" | "sin" | "cos" | "tanh"
  | "floor" | "round" | "trunc" | "widen" | "binade" | "half" | "real" | "hold" | "select"
  | "eq" | "ne" | "lt" | "le" | "and" | "or" | "not";

interface Common {
  /** Unique among living expressions; equal expressions have equal ids. */
  readonly id: number;
  readonly type: Type;
  /** The axes it depends on that it does not bind itself. */
  readonly free: readonly Axis[];
  /** Whether a read, and whether a reduction, is in it. */
  readonly reads: boolean;
  readonly reduces: boolean;
  /** The expressions it is made of: indices, arguments, or the tests of a reduction and then its body. */
  readonly parts: readonly Expr[];
}

export type Expr = Common &
  (
    | { readonly kind: "number"; readonly value: number }
    | { readonly kind: "axis"; readonly axis: Axis }
    | { readonly kind: "read"; readonly tensor: Tensor; readonly at: readonly Expr[]; readonly outside: Outside }
    | { readonly kind: "apply"; readonly fn: Primitive; readonly args: readonly Expr[] }
    | { readonly kind: "reduce"; readonly by: "sum" | "max" | "min" | "prod"; readonly over: readonly Axis[];
        readonly where: readonly Expr[]; readonly body: Expr }
    | { readonly kind: "dial"; readonly dial: Dial }
    /** Uniform in [0, 1): a pure function of the seed, the step, `site` and the whole number `at`. */
    | { readonly kind: "draw"; readonly site: number; readonly at: Expr }
  );

export type Read = Extract<Expr, { kind: "read" }>;
export type Reduce = Extract<Expr, { kind: "reduce" }>;
export type Apply = Extract<Expr, { kind: "apply" }>;

let nextId = 1;
const table = new Interned();
const none: readonly Axis[] = [];
const noParts: readonly Expr[] = [];

/**
 * All expressions, of one make: with an object type for each kind JavaScript would look up every property anew. What the kinds call
 * their own is a view of `head`, `detail` and `parts`, by which equal ones are found.
 */
class Node {
  readonly id = nextId++;
  readonly kind: Expr["kind"];
  readonly type: Type;
  readonly free: readonly Axis[];
  readonly reads: boolean;
  readonly reduces: boolean;
  readonly head: unknown;
  readonly detail: unknown;
  readonly parts: readonly Expr[];

  constructor(kind: Expr["kind"], type: Type, head: unknown, detail: unknown, parts: readonly Expr[]) {
    let [reads, reduces] = [kind === "read", kind === "reduce"];
    for (let i = 0; i < parts.length; i++) {
      const p = parts[i] as Expr;
      reads ||= p.reads;
      reduces ||= p.reduces;
    }
    this.kind = kind;
    this.type = type;
    this.free = kind === "axis" ? [head as Axis] : kind === "reduce" ? without(union(parts), detail as readonly Axis[]) : union(parts);
    this.reads = reads;
    this.reduces = reduces;
    this.head = head;
    this.detail = detail;
    this.parts = parts;
  }

  get value(): unknown { return this.head; }
  get axis(): unknown { return this.head; }
  get tensor(): unknown { return this.head; }
  get outside(): unknown { return this.detail; }
  get fn(): unknown { return this.head; }
  get args(): unknown { return this.parts; }
  get by(): unknown { return this.head; }
  get over(): unknown { return this.detail; }
  get where(): unknown { return this.parts.length === 1 ? noParts : this.parts.slice(0, -1); }
  get body(): unknown { return this.parts[this.parts.length - 1]; }
  get dial(): unknown { return { name: this.head, value: this.detail }; }
  get site(): unknown { return this.head; }
  get at(): unknown { return this.kind === "draw" ? this.parts[0] : this.parts; }
}

export function makeAxis(name: string, extent: number): Axis {
  return { name, extent, id: nextId++ };
}

/** The one expression of this make; what is equal has the same `hash`. */
function made(hash: number, kind: Expr["kind"], type: Type, head: unknown, detail: unknown, parts: readonly Expr[]): Expr {
  const known = table.find(hash, kind, head, detail, parts);
  if (known) return known;
  const fresh = new Node(kind, type, head, detail, parts) as unknown as Expr & Make;
  table.add(hash, fresh);
  return fresh;
}

/** A kind or a name as a number; names that share it are told apart by comparing. */
const code = (name: string): number => name.charCodeAt(0) * 8191 + name.charCodeAt(name.length - 1) * 127 + name.length;

function hashOf(kind: Expr["kind"], head: number, parts: readonly Expr[]): number {
  let hash = stirred(code(kind), head);
  for (let i = 0; i < parts.length; i++) hash = stirred(hash, (parts[i] as Expr).id);
  return hash;
}

/** The axes that some of the parts depend on, in the order in which they come. */
function union(parts: readonly Expr[]): readonly Axis[] {
  let all = none;
  let more: Axis[] | undefined;
  for (let i = 0; i < parts.length; i++) {
    const { free } = parts[i] as Expr;
    if (all.length === 0) all = free;
    else if (free !== all) {
      for (let k = 0; k < free.length; k++) {
        const a = free[k] as Axis;
        if ((more ?? all).includes(a)) continue;
        more ??= all.slice();
        more.push(a);
      }
    }
  }
  // Without the room that growing left.
  return more ? more.slice() : all;
}

const without = (all: readonly Axis[], others: readonly Axis[]): readonly Axis[] => all.filter((a) => !others.includes(a));

export function number(value: number, type: Type): Expr {
  return made(hashOf("number", stirred(code(type), value * 65537.25), noParts), "number", type, value, type, noParts);
}

const smallInts: Expr[] = [];

/** A whole number. */
export function int(value: number): Expr {
  // Most are small: they are not looked for.
  if (!(value >= 0 && value < 1024)) return number(value, "int");
  return smallInts[value] ??= number(value, "int");
}
export const real = (value: number): Expr => number(value, "real");
export const bool = (value: boolean): Expr => number(value ? 1 : 0, "bool");

const indices = new Notes<Expr>();

/** The index that runs along an axis; along an axis of one point it is 0. */
export function index(axis: Axis): Expr {
  if (axis.extent === 1) return int(0);
  let known = indices.get(axis);
  if (!known) indices.set(axis, known = made(hashOf("axis", axis.id, noParts), "axis", "int", axis, undefined, noParts));
  return known;
}

/** Element `at` (one int per axis) of a tensor. */
export function read(tensor: Tensor, at: readonly Expr[], outside: Outside = "never"): Expr {
  invariant(at.length === tensor.axes.length, () => `${tensor.name} has ${tensor.axes.length} axes, read with ${at.length}`);
  return made(hashOf("read", stirred(tensor.id, code(outside)), at), "read", tensor.type, tensor, outside, at);
}

export function dial(d: Dial): Expr {
  return made(hashOf("dial", code(d.name), noParts), "dial", "real", d.name, d.value, noParts);
}

export function draw(site: number, at: Expr): Expr {
  const parts = [at];
  return made(hashOf("draw", site, parts), "draw", "real", site, undefined, parts);
}

/** A reduction of `body` over the points of `over` that satisfy all of `where`. */
export function reduce(by: "sum" | "max" | "min" | "prod", along: readonly Axis[], given: readonly Expr[], body: Expr): Expr {
  const over = along.every((a) => a.extent !== 1) ? along : along.filter((a) => a.extent !== 1);
  const where = given.flatMap(conjuncts);
  if (where.some((w) => w.kind === "number" && w.value === 0)) return number(reduceIdentity(by), body.type);
  if (over.length === 0) {
    if (where.length === 0) return body;
    return apply("select", where.reduce((a, b) => apply("and", a, b)), body, number(reduceIdentity(by), body.type));
  }
  const parts = [...where, body];
  const hash = over.reduce((h, a) => stirred(h, a.id), hashOf("reduce", code(by), parts));
  return made(hash, "reduce", body.type, by, over, parts);
}

/** The conditions that together make this one; none for `true`. */
export function conjuncts(test: Expr): readonly Expr[] {
  if (test.kind === "number" && test.value !== 0) return [];
  return test.kind === "apply" && test.fn === "and" ? test.args.flatMap(conjuncts) : [test];
}

/** What a reduction over nothing yields. The extremes are those of f32. */
export function reduceIdentity(by: Reduce["by"]): number {
  return by === "sum" ? 0 : by === "prod" ? 1 : by === "max" ? -3.4028234663852886e38 : 3.4028234663852886e38;
}

/** Applies a scalar function, folding constants and the usual neutral elements. Mixed int and real become real. */
export function apply(fn: Primitive, ...args: readonly Expr[]): Expr {
  return applied(fn, args);
}

/** `apply` with its arguments in a list. */
export function applied(fn: Primitive, given: readonly Expr[]): Expr {
  const args = promote(fn, given);
  return fold(fn, args) ?? made(hashOf("apply", code(fn), args), "apply", resultType(fn, args), fn, undefined, args);
}

/** `apply` to whole numbers of which none folds away. */
export function whole(fn: "add" | "mul", a: Expr, b: Expr): Expr {
  const parts = [a, b];
  return made(hashOf("apply", code(fn), parts), "apply", "int", fn, undefined, parts);
}

const realOnly = new Set<Primitive>(["div", "exp", "log", "sqrt", "rsqrt", "erf", "sin", "cos", "tanh", "floor", "round", "trunc", "widen", "binade", "half", "pow"]);

/** An int as a real; a real as it is. */
export function asReal(e: Expr): Expr {
  return e.type === "real" ? e : e.kind === "number" ? real(e.value) : apply("real", e);
}

function promote(fn: Primitive, args: readonly Expr[]): readonly Expr[] {
  let reals = 0;
  for (let i = 0; i < args.length; i++) if ((args[i] as Expr).type === "real") reals++;
  if (reals === args.length || fn === "real" || fn === "idiv" || fn === "imod") return args;
  if (realOnly.has(fn)) return args.map(asReal);
  if (fn === "select") {
    const [test, a, b] = args as [Expr, Expr, Expr];
    return a.type === b.type ? args : [test, asReal(a), asReal(b)];
  }
  return reals > 0 ? args.map((e) => (e.type === "int" ? asReal(e) : e)) : args;
}

function resultType(fn: Primitive, args: readonly Expr[]): Type {
  switch (fn) {
    case "eq": case "ne": case "lt": case "le": case "and": case "or": case "not": return "bool";
    case "floor": case "round": case "trunc": case "idiv": case "imod": return "int";
    case "real": return "real";
    case "widen": return "wide";
    case "select": return (args[1] as Expr).type;
    default: return (args[0] as Expr).type;
  }
}

const isNumber = (e: Expr, v: number): boolean => e.kind === "number" && e.value === v;

function fold(fn: Primitive, args: readonly Expr[]): Expr | undefined {
  if (args[0]?.kind === "number" && fn !== "hold" && args.every((e) => e.kind === "number")) {
    return number(evaluate(fn, args.map((e) => (e as Extract<Expr, { kind: "number" }>).value)), resultType(fn, args));
  }
  const a = args[0] as Expr;
  const b = args[1] as Expr;
  switch (fn) {
    case "add": return isNumber(a, 0) ? b : isNumber(b, 0) ? a : undefined;
    case "sub": return isNumber(b, 0) ? a : isNumber(a, 0) ? apply("neg", b) : a === b ? number(0, a.type) : undefined;
    case "mul": return isNumber(a, 1) ? b : isNumber(b, 1) ? a : isNumber(a, 0) ? a : isNumber(b, 0) ? b
      : isNumber(a, -1) ? apply("neg", b) : isNumber(b, -1) ? apply("neg", a) : undefined;
    case "div": return isNumber(b, 1) ? a : isNumber(a, 0) ? a : undefined;
    case "idiv": return isNumber(b, 1) ? a : isNumber(a, 0) ? a : undefined;
    case "imod": return isNumber(b, 1) ? int(0) : isNumber(a, 0) ? a : undefined;
    case "pow": return isNumber(b, 1) ? a : isNumber(b, 0) ? real(1) : isNumber(b, 2) ? apply("mul", a, a)
      : isNumber(b, 0.5) ? apply("sqrt", a) : undefined;
    case "neg": return a.kind === "apply" && a.fn === "neg" ? a.args[0] : undefined;
    case "select": return a.kind === "number" ? (a.value ? b : args[2]) : b === args[2] ? b : undefined;
    case "and": return isNumber(a, 1) || a === b ? b : isNumber(b, 1) ? a : isNumber(a, 0) ? a : isNumber(b, 0) ? b : undefined;
    case "or": return isNumber(a, 0) || a === b ? b : isNumber(b, 0) ? a : isNumber(a, 1) ? a : isNumber(b, 1) ? b : undefined;
    case "eq": return a === b ? bool(true) : undefined;
    case "ne": return a === b ? bool(false) : undefined;
    case "le": return a === b ? bool(true) : undefined;
    case "min": case "max": return a === b ? a : undefined;
    default: return undefined;
  }
}

/** erf, by Abramowitz and Stegun's series below 2 and a continued fraction above; good to 1e-15. */
export function erf(x: number): number {
  const t = Math.abs(x);
  if (t > 6) return Math.sign(x);
  if (t < 2.5) {
    let term = t;
    let total = t;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
      term *= (-t * t) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = t;
  for (let k = 60; k > 0; k--) fraction = t + k / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-t * t) / (fraction * Math.sqrt(Math.PI)));
}

/** The power of two at or below a positive number; what is no number, or has no bound, stays so. */
export function binade(x: number): number {
  if (!Number.isFinite(x)) return x;
  let power = 2 ** Math.floor(Math.log2(x));
  if (power > x) power /= 2;
  return power * 2 <= x ? power * 2 : power;
}

/** The nearest number with 11 digits and an exponent from -14 to 15, as f16 has them, ties to even; beyond 65504 it has no bound. */
export function nearestHalf(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const step = Math.max(binade(Math.abs(x)), 2 ** -14) * 2 ** -10;
  const rounded = roundEven(x / step) * step;
  return Math.abs(rounded) < 65536 ? rounded : Math.sign(x) * Infinity;
}

/** Halves to even. */
export function roundEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest < 0.5 ? down : rest > 0.5 ? down + 1 : down % 2 === 0 ? down : down + 1;
}

/** The value of a scalar function of numbers, in f64; booleans are 0 and 1. */
export function evaluate(fn: Primitive, v: readonly number[]): number {
  const a = v[0] as number;
  const b = v[1] as number;
  switch (fn) {
    case "add": return a + b;
    case "sub": return a - b;
    case "mul": return a * b;
    case "div": return a / b;
    case "idiv": return Math.floor(a / b);
    case "imod": return a - Math.floor(a / b) * b;
    case "neg": return -a;
    case "min": return Math.min(a, b);
    case "max": return Math.max(a, b);
    case "abs": return Math.abs(a);
    case "pow": return a ** b;
    case "exp": return Math.exp(a);
    case "log": return Math.log(a);
    case "sqrt": return Math.sqrt(a);
    case "rsqrt": return 1 / Math.sqrt(a);
    case "erf": return erf(a);
    case "sin": return Math.sin(a);
    case "cos": return Math.cos(a);
    case "tanh": return Math.tanh(a);
    case "floor": return Math.floor(a);
    case "round": return roundEven(a);
    case "trunc": case "widen": return Math.trunc(a);
    case "binade": return binade(a);
    case "half": return nearestHalf(a);
    case "real": case "hold": return a;
    case "select": return a ? b : (v[2] as number);
    case "eq": return a === b ? 1 : 0;
    case "ne": return a !== b ? 1 : 0;
    case "lt": return a < b ? 1 : 0;
    case "le": return a <= b ? 1 : 0;
    case "and": return a && b ? 1 : 0;
    case "or": return a || b ? 1 : 0;
    case "not": return a ? 0 : 1;
    default: return fn satisfies never;
  }
}
