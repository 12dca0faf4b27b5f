// What a `.net` expression can stand for while a network is built.

import type { Argument, Block, Fn, Item, Network, Op, Term } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { asReal, int, real, bool, type Expr, type Outside } from "../ir/expr.ts";
import { shapeOf, type Origin, type Tensor } from "../ir/graph.ts";
import type { Module } from "./program.ts";
import type { Env } from "./env.ts";

/** How a weight begins, before its shape is known. */
export type Init =
  | { readonly by: "constant"; readonly value: number }
  | { readonly by: "uniform"; readonly bound: number }
  | { readonly by: "normal"; readonly deviation: number }
  | { readonly by: "fan_in"; readonly gain: number }
  | { readonly by: "he_normal"; readonly fan: "in" | "out"; readonly slope: number };

/** An argument as it was given; the term and its surroundings stay, so that a `float` parameter can read `1 / 16` as a fraction. */
export interface Given {
  readonly name: string | undefined;
  readonly value: Value;
  readonly span: Span;
  readonly term: Term | undefined;
  readonly env: Env | undefined;
}

/** A block or network with some of its arguments: a recipe, or one shared instance when `shared` is set. */
export interface Layer {
  readonly kind: "layer";
  readonly item: Block | Network;
  readonly module: Module;
  readonly given: readonly Given[];
  /** The path under which all uses of a `shared` layer keep their weights. */
  readonly shared: string | undefined;
}

/** Elements computed on the way to a tensor: pointwise arithmetic that has not been given a name yet. */
export interface Field {
  readonly kind: "field";
  readonly shape: readonly number[];
  readonly at: (index: readonly Expr[]) => Expr;
  readonly origin: Origin;
}

/** A list of values defined by cases. */
export interface Family {
  readonly kind: "family";
  readonly name: string;
  readonly get: (index: readonly number[], env: Env, span: Span) => Value;
  /** Every index that a case defines, in the order of the cases. */
  readonly indices: () => readonly (readonly number[])[];
}

export type Value =
  | { readonly kind: "int" | "float"; readonly value: number }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Value[] }
  /** `from ..< to` */
  | { readonly kind: "range"; readonly from: number; readonly to: number }
  | { readonly kind: "tensor"; readonly tensor: Tensor }
  | Field
  /** One element: in an op it may depend on indices, in a block only on dials. */
  | { readonly kind: "scalar"; readonly expr: Expr }
  /** One index per spatial axis. */
  | { readonly kind: "pack"; readonly items: readonly Expr[] }
  | { readonly kind: "view"; readonly tensor: Tensor; readonly outside: Outside; readonly lerp: boolean }
  | Family
  | Layer
  | { readonly kind: "function"; readonly item: Fn | Op; readonly module: Module }
  | { readonly kind: "builtin"; readonly name: string }
  | { readonly kind: "init"; readonly init: Init }
  | { readonly kind: "none" }
  | { readonly kind: "net"; readonly name: string; readonly outputs: ReadonlyMap<string, Value> }
  | { readonly kind: "module"; readonly module: Module }
  | { readonly kind: "data"; readonly item: Extract<Item, { kind: "data" }>; readonly module: Module };

export type { Argument };

export const none: Value = { kind: "none" };
export const whole = (value: number): Value => ({ kind: "int", value });
export const float = (value: number): Value => ({ kind: "float", value });
export const truth = (value: boolean): Value => ({ kind: "bool", value });
export const list = (items: readonly Value[]): Value => ({ kind: "list", items });
export const wholes = (items: readonly number[]): Value => list(items.map(whole));
export const tensorOf = (tensor: Tensor): Value => ({ kind: "tensor", tensor });
/** An element; a plain number becomes a static value again, so that `select` on numbers stays static. */
export const scalar = (expr: Expr): Value => ({ kind: "scalar", expr });

/** The shape of a tensor or of elements on their way to one. */
export function shapeOfValue(v: Value): readonly number[] | undefined {
  return v.kind === "tensor" ? shapeOf(v.tensor) : v.kind === "field" ? v.shape : undefined;
}

/** A number or an element as an expression; undefined where the value is neither. */
export function exprOf(v: Value): Expr | undefined {
  switch (v.kind) {
    case "int": return int(v.value);
    case "float": return real(v.value);
    case "bool": return bool(v.value);
    case "scalar": return v.expr;
    default: return undefined;
  }
}

/** The same, as a real. */
export function realOf(v: Value): Expr | undefined {
  const e = exprOf(v);
  return e && asReal(e);
}

/** The whole numbers of a list, or of a single number; undefined where it is neither. */
export function wholesOf(v: Value): readonly number[] | undefined {
  if (v.kind === "int") return [v.value];
  if (v.kind !== "list") return undefined;
  const out: number[] = [];
  for (const item of v.items) {
    if (item.kind !== "int") return undefined;
    out.push(item.value);
  }
  return out;
}

/** A value in the words of a message: `a size`, `text`, `[1, 32, 64, 64]`. */
export function describe(v: Value): string {
  switch (v.kind) {
    case "int": return "a whole number";
    case "float": return "a number";
    case "bool": return "true or false";
    case "text": return "text";
    case "list": return "a list";
    case "tuple": return `${v.items.length} values`;
    case "range": return "a range";
    case "tensor": case "field": return `a tensor ${showShape(shapeOfValue(v) ?? [])}`;
    case "scalar": return "a value known only at run time";
    case "pack": return "one index per axis";
    case "view": return "a view of a tensor";
    case "family": return `the family \`${v.name}\``;
    case "layer": return `the layer \`${v.item.name.text}\``;
    case "function": return `the ${v.item.kind} \`${v.item.name.text}\``;
    case "builtin": return `the function \`${v.name}\``;
    case "init": return "an initialiser";
    case "none": return "none";
    case "net": return `the network \`${v.name}\``;
    case "module": return "a file";
    case "data": return `the data set \`${v.item.name.text}\``;
  }
}

export const showShape = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** A value as it would be written. */
export function show(v: Value): string {
  switch (v.kind) {
    case "int": return String(v.value);
    case "float": return Number.isInteger(v.value) ? v.value.toFixed(1) : String(v.value);
    case "bool": return String(v.value);
    case "text": return JSON.stringify(v.value);
    case "list": return `[${v.items.map(show).join(", ")}]`;
    case "tuple": return `(${v.items.map(show).join(", ")})`;
    case "range": return `${v.from}..<${v.to}`;
    case "tensor": case "field": return showShape(shapeOfValue(v) ?? []);
    case "layer": return `${v.item.name.text}(…)`;
    case "none": return "none";
    default: return describe(v);
  }
}
