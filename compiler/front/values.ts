// What an expression can stand for while a network is built, and the surroundings in which it is evaluated.

import type { Block, Fn, Item, Network, Op, Term } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { asReal, bool, int, real, type Dial, type Expr, type Outside } from "../ir/expr.ts";
import { shapeOf, type Origin, type State, type Tensor, type Weight } from "../ir/graph.ts";
import type { Diagnostic } from "../report/diagnostic.ts";
import type { Module } from "./module.ts";

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

/** A tensor and how it is looked at. */
export interface View {
  readonly tensor: Tensor;
  readonly outside: Outside;
  readonly lerp: boolean;
}

/** How a call was written, for names and messages. */
export interface CallSite {
  readonly span: Span;
  readonly head: Term;
  readonly as: string | undefined;
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

/** A definition, evaluated when first asked for. */
export interface Lazy {
  readonly name: string;
  readonly span: Span;
  state: "todo" | "busy" | "done";
  value: Value | undefined;
  readonly make: () => Value;
}

export interface Scope {
  readonly parent: Scope | undefined;
  readonly names: Map<string, Lazy>;
}

/** One level of the instantiation, outwards from the innermost. */
export interface Trace {
  readonly text: string;
  readonly span: Span | undefined;
  readonly outer: Trace | undefined;
  readonly depth: number;
}

/** Everything one graph gathers while it is built. */
export interface World {
  readonly training: boolean;
  /** The evaluator: what evaluates parts of expressions reaches it here, not by an import in a circle. */
  readonly evaluate: (term: Term, env: Env, fraction: boolean) => Value;
  readonly weights: Map<string, Weight>;
  readonly states: Map<string, { tensor: Tensor; current: Tensor; path: string; start: State["start"]; updated: boolean }>;
  readonly dials: Map<string, Dial>;
  /** Dials that a run replaces by a schedule. */
  readonly turned: Map<string, Expr>;
  readonly constants: Map<Item, Lazy>;
  /** What was summed over a single point. */
  readonly pointSums: Set<Expr>;
  readonly findings: Diagnostic[];
  /** The names of the definitions being evaluated, for the message about a circle. */
  readonly busy: Lazy[];
  sites: number;
  instances: number;
  entries: number;
  depth: number;
  /** The deepest place reached, to name it should the stack run out. */
  deepest: Trace | undefined;
}

/** Where weights made now get their names. */
export interface Place {
  /** The path of the equation that is being evaluated. */
  readonly path: string;
  /** The path of the body it stands in, under which `as` names live. */
  readonly body: string;
  /** True in a family's equation or a repeat: then `as` names belong to `path`. */
  readonly many: boolean;
  /** The call whose name adds nothing to the path, being the only one of its body. */
  readonly transparent: Term | Span | undefined;
  /** Paths already taken, to tell calls apart. */
  readonly used: Set<string>;
  /** In a `shared` layer: a weight that exists already is used again. */
  readonly shared: boolean;
  readonly trace: Trace | undefined;
}

export interface Env {
  readonly scope: Scope;
  readonly module: Module;
  readonly world: World;
  readonly place: Place;
  /** Which axis of a pack is being written, inside `*( … )`. */
  readonly axis: number | undefined;
  readonly inOp: boolean;
  /** In a `check`: a list of whole numbers given to a port stands for a tensor of that shape. */
  readonly shapes: boolean;
  /** Set while a pipe of a plain equation runs: tells the points named by `as`. */
  readonly mark: ((name: string, value: Value) => void) | undefined;
}

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
