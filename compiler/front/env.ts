// Scopes, definitions on demand, and findings with the instantiation that led to them.

import { diagnostic, Fault, type Code, type Diagnostic, type Frame } from "../report/diagnostic.ts";
import type { Span } from "../source.ts";
import type { Module } from "./module.ts";
import type { Env, Lazy, Place, Scope, Trace, Value, World } from "./values.ts";

/** A world in which nothing has been built yet; `newWorld` gives it the evaluator. */
export function emptyWorld(training: boolean, evaluate: World["evaluate"]): World {
  return {
    training, evaluate, weights: new Map(), states: new Map(), dials: new Map(), turned: new Map(), constants: new Map(), pointSums: new Set(), findings: [],
    busy: [], sites: 0, instances: 0, entries: 0, depth: 0, deepest: undefined,
  };
}

function rootPlace(): Place {
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
  return fault(env, "N0504", "this never comes to an end", span, `still asking for more, ${Math.max(env.world.depth, env.place.trace?.depth ?? 0)} deep`, {
    hint: "a block that uses itself needs an `if` that stops it; a family needs a first case",
  });
}

function hintForCircle(name: string): string | undefined {
  const index = /^(.*)\[(\d+)\]$/.exec(name);
  return index ? `did you mean the entry before or after, \`${index[1]}[i - 1]\` or \`${index[1]}[i + 1]\`?` : undefined;
}
