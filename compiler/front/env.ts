// Where an expression is evaluated: its scope, the place of instantiation, and what the graph has gathered so far.

import type { Item, Term } from "../../grammar/ast.ts";
import type { Dial, Expr } from "../ir/expr.ts";
import type { State, Tensor, Weight } from "../ir/graph.ts";
import { diagnostic, Fault, type Code, type Diagnostic, type Frame } from "../report/diagnostic.ts";
import type { Span } from "../source.ts";
import type { Module } from "./program.ts";
import type { Value } from "./values.ts";

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
  readonly weights: Map<string, Weight>;
  readonly states: Map<string, { tensor: Tensor; current: Tensor; path: string; start: State["start"]; updated: boolean }>;
  readonly dials: Map<string, Dial>;
  /** Dials that a run replaces by a schedule. */
  readonly turned: Map<string, Expr>;
  readonly constants: Map<Item, Lazy>;
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

export function newWorld(training: boolean): World {
  return {
    training, weights: new Map(), states: new Map(), dials: new Map(), turned: new Map(), constants: new Map(), findings: [],
    busy: [], sites: 0, instances: 0, entries: 0, depth: 0, deepest: undefined,
  };
}

export function rootPlace(): Place {
  return { path: "", body: "", many: false, transparent: undefined, used: new Set(), shared: false, trace: undefined };
}

export function newEnv(module: Module, world: World, options: Partial<Pick<Env, "shapes" | "place">> = {}): Env {
  return {
    scope: newScope(undefined), module, world, place: options.place ?? rootPlace(), axis: undefined, inOp: false,
    shapes: options.shapes ?? false, mark: undefined,
  };
}

export const newScope = (parent: Scope | undefined): Scope => ({ parent, names: new Map() });

export function known(name: string, value: Value, span: Span): Lazy {
  return { name, span, state: "done", value, make: () => value };
}

export function lazy(name: string, span: Span, make: () => Value): Lazy {
  return { name, span, state: "todo", value: undefined, make };
}

/** The same surroundings with further names. */
export function within(env: Env, names: Iterable<readonly [string, Value]>, span: Span): Env {
  const scope = newScope(env.scope);
  for (const [name, value] of names) scope.names.set(name, known(name, value, span));
  return { ...env, scope };
}

export function lookup(scope: Scope, name: string): Lazy | undefined {
  for (let s: Scope | undefined = scope; s; s = s.parent) {
    const found = s.names.get(name);
    if (found) return found;
  }
  return undefined;
}

/** `a.b`, or either where the other is empty. */
export const join = (a: string, b: string): string => (a === "" ? b : b === "" ? a : `${a}.${b}`);

export function deeper(env: Env, text: string, span: Span | undefined): Place {
  const outer = env.place.trace;
  const trace: Trace = { text, span, outer, depth: (outer?.depth ?? 0) + 1 };
  return { ...env.place, trace };
}

/** The instantiation, innermost level first. */
export function framesOf(trace: Trace | undefined): readonly Frame[] {
  const all: Frame[] = [];
  for (let t = trace; t; t = t.outer) all.push({ text: t.text, span: t.span });
  return all;
}

type Rest = Partial<Omit<Diagnostic, "code" | "headline" | "frames" | "labels">> & {
  readonly also?: readonly { readonly span: Span; readonly text: string }[];
};

/** An error at a place in the text, with the instantiation that led there. */
export function fault(env: Env, code: Code, headline: string, span: Span, label: string, rest: Rest = {}): Fault {
  return new Fault(finding(env, code, headline, span, label, rest));
}

export function finding(env: Env, code: Code, headline: string, span: Span, label: string, rest: Rest = {}): Diagnostic {
  const { also, ...others } = rest;
  const frames = framesOf(env.place.trace);
  // What goes wrong inside the standard library is pointed at where somebody's own text calls it.
  const own = inLibrary(span) ? frames.find((f) => f.span && !inLibrary(f.span))?.span : undefined;
  const labels = own ? [{ span: own, text: label }, { span, text: "found here" }] : [{ span, text: label }];
  return diagnostic(code, headline, { labels: [...labels, ...(also ?? [])], frames, ...others });
}

const inLibrary = (span: Span): boolean => span.file.path.startsWith("std:");

const maxDepth = 900;

/** The value of a definition; asked for while it is being made, it is a circle. */
export function force(entry: Lazy, env: Env, span: Span): Value {
  if (entry.state === "done" && entry.value) return entry.value;
  const { world } = env;
  if (entry.state === "busy") {
    const start = world.busy.lastIndexOf(entry);
    const circle = [...world.busy.slice(Math.max(start, 0)), entry].map((l) => l.name);
    throw fault(env, "N0502", `\`${entry.name}\` needs itself`, span, circle.join(" → "), {
      hint: hintForCircle(entry.name),
    });
  }
  if (world.depth > maxDepth) throw tooDeep(env, span);
  entry.state = "busy";
  world.busy.push(entry);
  world.depth++;
  try {
    entry.value = entry.make();
    entry.state = "done";
    return entry.value;
  } finally {
    if (entry.state === "busy") entry.state = "todo";
    world.busy.pop();
    world.depth--;
  }
}

export function tooDeep(env: Env, span: Span): Fault {
  return fault(env, "N0504", "this never comes to an end", span, `still asking for more at depth ${env.world.depth}`, {
    hint: "a block that uses itself needs an `if` that stops it; a family needs a first case",
  });
}

function hintForCircle(name: string): string | undefined {
  const index = /^(.*)\[(\d+)\]$/.exec(name);
  return index ? `did you mean the entry before or after, \`${index[1]}[i - 1]\` or \`${index[1]}[i + 1]\`?` : undefined;
}
