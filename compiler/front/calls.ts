// Arguments onto ports: tensors fill the tensor ports, static values the parameters, in order; names follow.

import type { Block, Network, Op, Port } from "../../grammar/ast.ts";
import { define, shapeOf, source } from "../ir/graph.ts";
import { asReal } from "../ir/expr.ts";
import type { Span } from "../source.ts";
import { coerce } from "./coerce.ts";
import { fault, force, known, lazy } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { nearest } from "../report/spelling.ts";
import { settle } from "./pointwise.ts";
import { matchShape } from "./shapes.ts";
import { describe, exprOf, shapeOfValue, show, tensorOf, wholesOf, type Env, type Given, type Value } from "./values.ts";

/** Whatever has ports. */
export type Callable = Op | Block | Network;

export const isTensorPort = (port: Port): boolean => port.type.kind === "tensor";

/** Which port gets what; ports without an argument are absent. */
export function assign(item: Callable, given: readonly Given[], env: Env, span: Span): Map<string, Given> {
  const taken = new Map<string, Given>();
  const tensors = item.ports.filter(isTensorPort);
  const statics = item.ports.filter((p) => !isTensorPort(p));
  const named = new Set(given.flatMap((g) => (g.name === undefined ? [] : [g.name])));
  const next = (ports: readonly Port[]): Port | undefined => ports.find((p) => !taken.has(p.name.text) && !named.has(p.name.text));
  for (const g of given) {
    if (g.name !== undefined) {
      takeNamed(item, g, g.name, taken, env);
      continue;
    }
    const tensorPort = next(tensors);
    const fillsTensor = shapeOfValue(g.value) !== undefined || isTensorList(g.value) || (env.shapes && isShape(g.value) && tensorPort !== undefined);
    const port = fillsTensor ? tensorPort : next(statics);
    if (!port) throw fillsTensor ? tooManyTensors(item, given, g, env) : tooManyValues(item, statics, g, env, span);
    taken.set(port.name.text, g);
  }
  return taken;
}

const isShape = (v: Value): boolean => v.kind === "list" && v.items.length > 0 && v.items.every((x) => x.kind === "int");
const isTensorList = (v: Value): boolean => v.kind === "list" && v.items.length > 0 && v.items.every((x) => shapeOfValue(x) !== undefined);

function takeNamed(item: Callable, g: Given, name: string, taken: Map<string, Given>, env: Env): void {
  if (!item.ports.some((p) => p.name.text === name)) {
    const names = item.ports.map((p) => p.name.text);
    const near = nearest(name, names);
    const nameSpan = { file: g.span.file, start: g.span.start, end: g.span.start + name.length };
    throw fault(env, "N0301", `\`${item.name.text}\` has no parameter \`${name}\``, nameSpan, near ? `did you mean \`${near}\`?` : "", {
      facts: [`Its parameters: ${item.ports.filter((p) => !isTensorPort(p)).map((p) => p.name.text).join(", ") || "none"}`],
      edit: near ? { span: nameSpan, text: near } : undefined,
    });
  }
  const before = taken.get(name);
  if (before) {
    throw fault(env, "N0305", `\`${name}\` is given twice`, g.span, "and again here", { also: [{ span: before.span, text: "first here" }] });
  }
  taken.set(name, g);
}

function tooManyTensors(item: Callable, given: readonly Given[], g: Given, env: Env): Error {
  const ports = item.ports.filter(isTensorPort);
  const tensors = given.filter((x) => shapeOfValue(x.value) !== undefined);
  const count = (n: number, what: string): string => (n === 1 ? `one ${what}` : n === 0 ? `no ${what}s` : `${n} ${what}s`);
  return fault(env, "N0304", `\`${item.name.text}\` has ${count(ports.length, "port")}, ${count(tensors.length, "tensor")} were given`, g.span,
    "no port left for this one", {
      also: ports.flatMap((p, i) => { const t = tensors[i]; return t && t !== g ? [{ span: t.span, text: p.name.text }] : []; }),
      facts: item.kind === "op" || ports.length > 0 ? [`Its ports: ${ports.map((p) => p.name.text).join(", ")}.`] : [],
    });
}

function tooManyValues(item: Callable, statics: readonly Port[], g: Given, env: Env, span: Span): Error {
  const name = item.name.text;
  const missing = item.ports.find((p) => isTensorPort(p) && p.value === undefined);
  const facts = [statics.length === 0 ? `\`${name}\` has no parameters.` : `Its parameters: ${statics.map((p) => p.name.text).join(", ")}.`];
  if (missing && item.kind === "op") facts.push(`\`${missing.name.text}\` takes a tensor.`);
  return fault(env, "N0306", `\`${name}\` has no place for ${describe(g.value)}`, g.span, show(g.value), { facts, also: g.span === span ? [] : [] });
}

/** True when a block or network was not given its first port: then it stays a recipe. */
export function isRecipe(item: Callable, taken: ReadonlyMap<string, Given>): boolean {
  if (item.kind === "op") return false;
  const first = item.ports.find(isTensorPort);
  return first !== undefined && first.value === undefined && !taken.has(first.name.text);
}

/**
 * Binds ports and the sizes their shapes name in `env.scope`, an empty scope of the callee; demands are checked. `call` is
 * where and in whose surroundings the call was made.
 */
export function bindPorts(item: Callable, taken: ReadonlyMap<string, Given>, env: Env, call: { env: Env; span: Span }): void {
  const owner = item.name.text;
  const defined = new Set(item.where.flatMap((w) => (w.name ? [w.name.text] : [])));
  const { names } = env.scope;
  for (const w of item.where) {
    if (w.name) names.set(w.name.text, lazy(w.name.text, w.name.span, () => evaluate(w.term, env)));
  }
  let rank: number | undefined;
  const slotRank = (at: Span) => (): number => {
    if (rank !== undefined) return rank;
    throw fault(env, "N0303", `a \`size\` needs a first port with spatial axes, \`${owner}\` has none`, at, "");
  };
  for (const port of item.ports) {
    if (port.type.kind !== "static") continue;
    const { type } = port;
    names.set(port.name.text, lazy(port.name.text, port.name.span, () => {
      const g = taken.get(port.name.text);
      const slot = { name: port.name.text, owner, span: port.span, rank: slotRank(port.span) };
      if (g) return coerce(g, type, slot, call.env);
      if (!port.value) throw missing(item, port, call);
      const value = evaluate(port.value, env);
      return coerce({ name: undefined, value, span: port.value.span, term: port.value, env }, type, slot, env);
    }));
  }
  const later: (() => void)[] = [];
  for (const port of item.ports) {
    if (port.type.kind !== "tensor") continue;
    const g = taken.get(port.name.text);
    later.push(...bindTensor(item, port, g, env, call, defined));
    rank ??= packRank(port, env);
  }
  for (const check of later) check();
  for (const port of item.ports) {
    const entry = names.get(port.name.text);
    if (entry && (taken.has(port.name.text) || port.value === undefined)) force(entry, env, port.span);
  }
  demands(item, env, taken, call);
}

function missing(item: Callable, port: Port, call: { env: Env; span: Span }): Error {
  return fault(call.env, "N0303", `\`${item.name.text}\` needs \`${port.name.text}\``, call.span, `\`${port.name.text}\` is not given`, {
    also: [{ span: port.span, text: "asked for here" }],
  });
}

/** How many axes the run in the first port's shape has. */
function packRank(port: Port, env: Env): number | undefined {
  if (port.type.kind !== "tensor") return undefined;
  for (const e of port.type.shape) {
    if (!e.pack) continue;
    const value = e.term.kind === "name" ? env.scope.names.get(e.term.text)?.value : undefined;
    if (value?.kind === "list") return value.items.length;
  }
  return undefined;
}

function bindTensor(
  item: Callable, port: Port, g: Given | undefined, env: Env, call: { env: Env; span: Span }, defined: ReadonlySet<string>,
): (() => void)[] {
  if (port.type.kind !== "tensor") return [];
  const name = port.name.text;
  if (!g) {
    if (!port.value) throw missing(item, port, call);
    env.scope.names.set(name, known(name, evaluate(port.value, env), port.span));
    return [];
  }
  if (port.type.each) return bindTensors(item, port, g, env, call, defined);
  const value = asTensor(g, port, env, call.env);
  env.scope.names.set(name, known(name, value, port.span));
  if (value.kind !== "tensor") return [];
  return matchShape(env, port.type.shape, shapeOf(value.tensor), { name, owner: item.name.text, span: g.span, defined });
}

/** A port `xs: [N, C[i], *S] for i in 0..<n`: a list of tensors. */
function bindTensors(
  item: Callable, port: Port, g: Given, env: Env, call: { env: Env; span: Span }, defined: ReadonlySet<string>,
): (() => void)[] {
  const { type } = port;
  if (type.kind !== "tensor" || !type.each) return [];
  const range = evaluate(type.each.range, env);
  if (range.kind !== "range") throw fault(env, "N0302", "a range is asked for", type.each.range.span, "e.g. `0..<4`");
  const given = g.value;
  if (given.kind !== "list" || given.items.length !== range.to - range.from) {
    throw fault(call.env, "N0302", `\`${port.name.text}\` takes a list of ${range.to - range.from} tensors`, g.span, describe(given));
  }
  const each = type.each.name;
  const values: Value[] = [];
  const later: (() => void)[] = [];
  for (const [i, v] of given.items.entries()) {
    const value = asTensor({ ...g, value: v }, port, env, call.env);
    values.push(value);
    env.scope.names.set(each.text, known(each.text, { kind: "int", value: range.from + i }, each.span));
    if (value.kind === "tensor") {
      later.push(...matchShape(env, type.shape, shapeOf(value.tensor), { name: `${port.name.text}[${i}]`, owner: item.name.text, span: g.span, defined }));
    }
  }
  env.scope.names.delete(each.text);
  env.scope.names.set(port.name.text, known(port.name.text, { kind: "list", items: values }, port.span));
  return later;
}

function asTensor(g: Given, port: Port, env: Env, caller: Env): Value {
  const { value } = g;
  const name = port.name.text;
  if (value.kind === "tensor" || value.kind === "none") return value;
  if (value.kind === "field") return settle(value, name);
  const shape = caller.shapes && value.kind === "list" ? wholesOf(value) : undefined;
  if (shape) return tensorOf(source(name, shape, { span: g.span, path: name }));
  const element = exprOf(value);
  if (element && port.type.kind === "tensor" && port.type.shape.length === 0 && element.free.length === 0) {
    return tensorOf(define(name, [], asReal(element), { span: g.span, path: env.place.path }));
  }
  throw fault(caller, "N0302", `\`${name}\` takes a tensor, this is ${describe(value)}`, g.span, "");
}

/** Checks `where`. */
function demands(item: Callable, env: Env, taken: ReadonlyMap<string, Given>, call: { env: Env; span: Span }): void {
  for (const w of item.where) {
    if (w.name) continue;
    const value = evaluate(w.term, env);
    if (value.kind !== "bool") throw fault(env, "N0302", `a demand is true or false, this is ${describe(value)}`, w.span, "");
    if (value.value) continue;
    throw broken(item, w, env, taken, call);
  }
}

function broken(
  item: Callable, w: Callable["where"][number], env: Env, taken: ReadonlyMap<string, Given>, call: { env: Env; span: Span },
): Error {
  const text = w.span.file.text.slice(w.span.start, w.span.end);
  const t = w.term;
  const left = t.kind === "binary" ? t.left : undefined;
  if (t.kind === "binary" && t.operator === "==" && left?.kind === "binary" && left.operator === "%") {
    const [a, b] = [evaluate(left.left, env), evaluate(left.right, env)];
    if (left.right.kind === "name" && left.right.text === "groups" && a.kind === "int" && b.kind === "int") {
      return fault(call.env, "N0404", `${a.value} channels cannot be split into ${b.value} groups`, taken.get("groups")?.span ?? call.span, "", {
        also: [{ span: w.span, text: `\`${item.name.text}\` demands this` }],
      });
    }
    return fault(env, "N0402", `\`${item.name.text}\` demands ${text}`, w.span, remainder(left.left.span, a, b), { hint: neighbours(a, b) });
  }
  const sides = t.kind === "binary" ? [t.left, t.right].filter((s) => s.kind !== "number") : [];
  const facts = sides.map((s) => `${s.span.file.text.slice(s.span.start, s.span.end)} is ${show(evaluate(s, env))}`);
  return fault(env, "N0402", `\`${item.name.text}\` demands ${text}`, w.span, facts.join(", "));
}

function remainder(span: Span, a: Value, b: Value): string {
  const text = span.file.text.slice(span.start, span.end);
  const values = wholesOf(a) ?? [];
  const by = b.kind === "int" ? b.value : 1;
  const bad = values.find((x) => x % by !== 0);
  return `${text} is ${show(a)}${bad === undefined ? "" : `; ${bad} % ${by} is ${bad % by}`}`;
}

function neighbours(a: Value, b: Value): string | undefined {
  const bad = b.kind === "int" ? (wholesOf(a) ?? []).find((x) => x % b.value !== 0) : undefined;
  if (bad === undefined || b.kind !== "int") return undefined;
  const low = Math.floor(bad / b.value) * b.value;
  return low === 0 ? `the nearest size is ${b.value}` : `the nearest sizes are ${low} and ${low + b.value}`;
}

/** The static arguments of a call as a message shows them. */
export function argumentText(item: Callable, taken: ReadonlyMap<string, Given>): string {
  const parts = item.ports.flatMap((p) => {
    const g = taken.get(p.name.text);
    if (!g || (isTensorPort(p) && item.kind !== "network")) return [];
    return [`${p.name.text} = ${show(g.value)}`];
  });
  return parts.length === 0 ? item.name.text : `${item.name.text}(${parts.join(", ")})`;
}

