// Functions the language itself knows: scalar mathematics, lists of sizes, initialisers.

import { apply, asReal, draw, evaluate, type Expr, type Primitive } from "../ir/expr.ts";
import { shapeOf, sizeOf } from "../ir/graph.ts";
import type { Span } from "../source.ts";
import { binary } from "./arithmetic.ts";
import { fault } from "./env.ts";
import { pointwise, settle } from "./pointwise.ts";
import { reshape } from "./reshape.ts";
import {
  describe, exprOf, float, list, scalar, shapeOfValue, show, truth, whole, wholes, wholesOf, type Env, type Given, type Init, type Value,
} from "./values.ts";

/** Scalar functions of one number; they map over tensors. */
const unaryFns: Readonly<Record<string, Primitive>> = {
  exp: "exp", log: "log", sqrt: "sqrt", rsqrt: "rsqrt", erf: "erf", sin: "sin", cos: "cos", tanh: "tanh", abs: "abs",
  floor: "floor", round: "round", hold: "hold", int: "trunc", float: "real",
};

const others = [
  "min", "max", "select", "rank", "product", "sum", "len", "ones", "ramp", "shape", "params", "reshape", "draw",
  "uniform", "normal", "fan_in", "he_normal",
] as const;

/** Names that mean something without being defined. */
export const builtinNames: ReadonlySet<string> = new Set([...Object.keys(unaryFns), ...others]);

/** Words with a fixed value. */
export const words: ReadonlySet<string> = new Set(["training", "none", "axis", "out"]);

/** Builtins that look at whole lists, also inside `*( … )`. */
export const takesWholeLists: ReadonlySet<string> = new Set(["rank", "product", "sum", "len", "ones", "ramp"]);

interface Call {
  readonly env: Env;
  readonly name: string;
  readonly given: readonly Given[];
  readonly span: Span;
}

/** Calls a builtin with evaluated arguments. */
export function callBuiltin(name: string, given: readonly Given[], env: Env, span: Span): Value {
  const call: Call = { env, name, given, span };
  const primitive = unaryFns[name];
  if (primitive) return one(primitive, call);
  switch (name) {
    case "min": case "max": return extreme(name, call);
    case "select": return select(call);
    case "sum": return folded(call, "+", whole(0));
    case "product": return folded(call, "*", whole(1));
    case "rank": case "len": return whole(items(arg(call, 0), call).length);
    case "ones": return list(items(arg(call, 0), call).map(() => whole(1)));
    case "ramp": return ramp(call);
    case "shape": return shapeOfTensor(call);
    case "params": throw fault(env, "N0302", "`params` counts the weights of a network", span, "only in a `check`");
    case "reshape": return reshaped(call);
    case "draw": return drawn(call);
    default: return { kind: "init", init: initialiser(call) };
  }
}

function arg(call: Call, i: number): Value {
  const found = call.given[i];
  if (!found) throw fault(call.env, "N0303", `\`${call.name}\` needs ${i === 0 ? "an argument" : `${i + 1} arguments`}`, call.span, "");
  return found.value;
}

function atMost(call: Call, n: number): void {
  const extra = call.given[n];
  if (extra) throw fault(call.env, "N0304", `\`${call.name}\` takes ${n === 1 ? "one argument" : `${n} arguments`}`, extra.span, "one too many");
}

function wrong(call: Call, i: number, wanted: string): Error {
  const g = call.given[i];
  return fault(call.env, "N0302", `\`${call.name}\` takes ${wanted}, this is ${g ? describe(g.value) : "nothing"}`, g?.span ?? call.span, "");
}

function items(v: Value, call: Call): readonly Value[] {
  if (v.kind === "list") return v.items;
  throw wrong(call, 0, "a list");
}

function one(fn: Primitive, call: Call): Value {
  const v = arg(call, 0);
  atMost(call, 1);
  if (shapeOfValue(v)) return pointwise(call.env, [v], [call.span], call.span, ([x]) => scalarOf(fn, x as Expr));
  if (v.kind === "scalar") return scalar(scalarOf(fn, v.expr));
  if (v.kind === "list") return list(v.items.map((x) => callBuiltin(call.name, [{ ...(call.given[0] as Given), value: x }], call.env, call.span)));
  if (v.kind !== "int" && v.kind !== "float") throw wrong(call, 0, "a number");
  if (fn === "abs") return v.kind === "int" ? whole(Math.abs(v.value)) : float(Math.abs(v.value));
  const made = evaluate(fn, [v.value]);
  return fn === "floor" || fn === "round" || fn === "trunc" ? whole(made) : float(made);
}

/** A whole number is its own floor, and `float` of a real is that real. */
function scalarOf(fn: Primitive, x: Expr): Expr {
  if ((fn === "floor" || fn === "round" || fn === "trunc") && x.type === "int") return x;
  return fn === "real" ? asReal(x) : apply(fn, x);
}

function extreme(name: "min" | "max", call: Call): Value {
  const first = arg(call, 0);
  const values = call.given.length === 1 && first.kind === "list" ? first.items : call.given.map((g) => g.value);
  const spans = call.given.length === 1 ? values.map(() => call.span) : call.given.map((g) => g.span);
  if (values.length === 0) throw wrong(call, 0, "at least one number");
  const pick = (xs: readonly Expr[]): Expr => xs.reduce((a, b) => apply(name, a, b));
  if (values.some(shapeOfValue)) return pointwise(call.env, values, spans, call.span, pick);
  if (values.every((v) => v.kind === "int" || v.kind === "float")) {
    const numbers = values.map((v) => ("value" in v ? Number(v.value) : 0));
    const made = name === "min" ? Math.min(...numbers) : Math.max(...numbers);
    return values.every((v) => v.kind === "int") ? whole(made) : float(made);
  }
  return scalar(pick(values.map((v, i) => exprOf(v) ?? fail(wrong(call, i, "numbers")))));
}

function fail(error: Error): never {
  throw error;
}

function select(call: Call): Value {
  const [test, yes, no] = [arg(call, 0), arg(call, 1), arg(call, 2)];
  atMost(call, 3);
  if (test.kind === "bool") return test.value ? yes : no;
  const pick = ([t, a, b]: readonly Expr[]): Expr => apply("select", t as Expr, a as Expr, b as Expr);
  const values = [test, yes, no];
  if (values.some(shapeOfValue)) return pointwise(call.env, values, call.given.map((g) => g.span), call.span, pick);
  const exprs = values.map((v, i) => exprOf(v) ?? fail(wrong(call, i, "a test and two numbers")));
  if (exprs[0]?.type !== "bool") throw wrong(call, 0, "a test");
  return scalar(pick(exprs));
}

/** Sum or product of a list of numbers, elements or tensors. */
function folded(call: Call, operator: "+" | "*", empty: Value): Value {
  const first = arg(call, 0);
  atMost(call, 1);
  const values = first.kind === "family" ? first.indices().map((i) => first.get(i, call.env, call.span)) : items(first, call);
  const { env, span } = call;
  let total: Value | undefined;
  for (const v of values) {
    total = total === undefined ? v : binary(total, v, { env, operator, span, left: span, right: span, fraction: false });
  }
  return total ?? empty;
}

function ramp(call: Call): Value {
  const [from, to, count] = [arg(call, 0), arg(call, 1), arg(call, 2)].map((v, i) =>
    v.kind === "int" || v.kind === "float" ? v.value : fail(wrong(call, i, "numbers"))) as [number, number, number];
  atMost(call, 3);
  return list(Array.from({ length: count }, (_, i) => float(count === 1 ? from : from + ((to - from) * i) / (count - 1))));
}

function shapeOfTensor(call: Call): Value {
  const v = arg(call, 0);
  atMost(call, 1);
  const shape = shapeOfValue(v);
  if (!shape) throw wrong(call, 0, "a tensor");
  return wholes(shape);
}

function reshaped(call: Call): Value {
  const [v, to] = [settle(arg(call, 0), "y"), arg(call, 1)];
  atMost(call, 2);
  if (v.kind !== "tensor") throw wrong(call, 0, "a tensor");
  const shape = wholesOf(to);
  if (!shape || to.kind !== "list") throw wrong(call, 1, "a shape");
  const count = shape.reduce((n, x) => n * x, 1);
  if (count !== sizeOf(v.tensor)) {
    throw fault(call.env, "N0407", "a reshape keeps the number of elements", call.span, `${show(to)} has ${count}`, {
      facts: [`The tensor is [${shapeOf(v.tensor).join(", ")}] and has ${sizeOf(v.tensor)} elements.`],
    });
  }
  return { kind: "tensor", tensor: reshape(v.tensor, shape, { span: call.span, path: call.env.place.path }) };
}

function drawn(call: Call): Value {
  const at = exprOf(arg(call, 0));
  atMost(call, 1);
  if (!call.env.inOp || at?.type !== "int") throw wrong(call, 0, "the index of an element, inside an op");
  return scalar(draw(++call.env.world.sites, at));
}

function initialiser(call: Call): Init {
  const value = (name: string, i: number, otherwise: number | undefined): number => {
    const g = call.given.find((x) => x.name === name) ?? call.given.filter((x) => x.name === undefined)[i];
    if (!g && otherwise !== undefined) return otherwise;
    if (g?.value.kind === "int" || g?.value.kind === "float") return g.value.value;
    throw fault(call.env, "N0302", `\`${call.name}\` takes a number as its ${name}`, g?.span ?? call.span, "");
  };
  const allowed = ({ uniform: ["bound"], normal: ["std"], fan_in: ["gain"], he_normal: ["fan", "slope"] } as const)[call.name] ?? [];
  for (const g of call.given) {
    if (g.name !== undefined && !(allowed as readonly string[]).includes(g.name)) {
      throw fault(call.env, "N0301", `\`${call.name}\` has no parameter \`${g.name}\``, g.span, "", { facts: [`Its parameters: ${allowed.join(", ")}`] });
    }
  }
  switch (call.name) {
    case "uniform": return { by: "uniform", bound: value("bound", 0, undefined) };
    case "normal": return { by: "normal", deviation: value("std", 0, undefined) };
    case "fan_in": return { by: "fan_in", gain: value("gain", 0, 1) };
    default: {
      const fan = call.given.find((x) => x.name === "fan");
      if (fan && !(fan.value.kind === "text" && (fan.value.value === "out" || fan.value.value === "in"))) {
        throw fault(call.env, "N0302", "`fan` is `out`, or left out for the inputs", fan.span, "");
      }
      return { by: "he_normal", fan: fan?.value.kind === "text" && fan.value.value === "out" ? "out" : "in", slope: value("slope", 0, 0) };
    }
  }
}

/** The values of the fixed words. */
export function wordValue(word: string, env: Env): Value | undefined {
  switch (word) {
    case "training": return truth(env.world.training);
    case "none": return { kind: "none" };
    case "out": return { kind: "text", value: "out" };
    case "axis": return env.axis === undefined ? undefined : whole(env.axis);
    default: return undefined;
  }
}

