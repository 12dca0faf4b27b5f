// The value of an expression: runs the static world, and leaves elements and tensors behind.

import type { Argument, Element, Stage, Term } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { binary, unary } from "./arithmetic.ts";
import { builtinNames, callBuiltin, takesWholeLists, wordValue } from "./builtins.ts";
import { fault, force, join, lazy, lookup, newEnv, emptyWorld, within } from "./env.ts";
import { dialValue } from "./dials.ts";
import { callFn } from "./fn.ts";
import { expandPack, readAt } from "./reads.ts";
import { callLayer } from "./instance.ts";
import { nearest } from "../report/spelling.ts";
import { callOp } from "./op.ts";
import { settle } from "./pointwise.ts";
import { find, visible, type Meaning } from "./module.ts";
import { reduction } from "./reduction.ts";
import { namesIn } from "./walk.ts";
import {
  describe, float, list, scalar, show, truth, whole, type CallSite, type Env, type Given, type Layer, type Place, type Value,
} from "./values.ts";

/** Evaluates; with `fraction`, `/` between whole numbers does not floor. */
export function evaluate(term: Term, env: Env, fraction = false): Value {
  switch (term.kind) {
    case "number": return term.whole ? whole(term.value) : float(term.value);
    case "bool": return truth(term.value);
    case "text": return { kind: "text", value: term.value };
    case "name": return component(valueOfName(term.text, term.span, env), env);
    case "group": return evaluate(term.term, env, fraction);
    case "unary": return unary(term.operator, evaluate(term.term, env, fraction), env, term.span);
    case "binary": return operation(term, env, fraction);
    case "if": return evaluate(condition(term.test, env) ? term.then : term.otherwise, env, fraction);
    case "tuple": return { kind: "tuple", items: term.items.map((t) => settle(evaluate(t, env), "y")) };
    case "list": return list(term.items.flatMap((e) => listed(e, env, fraction)));
    case "fill": return filled(term, env, fraction);
    case "each": return each(term, env, fraction);
    case "index": return indexed(term, env);
    case "member": return member(term, env);
    case "reduction": return reduction(term, env);
    case "call": return call(term, env);
    case "pipe": return piped(term, env);
  }
}

/** Inside `*( … )` a pack or a list stands for its entry of this axis. */
function component(v: Value, env: Env): Value {
  if (env.axis === undefined) return v;
  if (v.kind === "pack") {
    const e = v.items[env.axis];
    return e ? scalar(e) : v;
  }
  return v.kind === "list" ? (v.items[env.axis] ?? v) : v;
}

/** What a name stands for here. */
export function valueOfName(name: string, span: Span, env: Env): Value {
  const entry = lookup(env.scope, name);
  if (entry) return force(entry, env, span);
  const word = wordValue(name, env);
  if (word) return word;
  const meaning = find(env.module, name);
  if (meaning) return meant(meaning, span, env);
  if (builtinNames.has(name)) return { kind: "builtin", name };
  throw unknown(name, span, env);
}

function unknown(name: string, span: Span, env: Env): Error {
  const names: string[] = [...visible(env.module), ...builtinNames];
  for (let s: Env["scope"] | undefined = env.scope; s; s = s.parent) names.push(...s.names.keys());
  const near = nearest(name, names);
  return fault(env, "N0201", `there is no \`${name}\` here`, span, near ? `did you mean \`${near}\`?` : "not defined", {
    edit: near ? { span, text: near } : undefined,
  });
}

function meant(meaning: Meaning, span: Span, env: Env): Value {
  if (meaning.kind === "module") return meaning;
  const { item, module } = meaning;
  switch (item.kind) {
    case "fn": case "op": return { kind: "function", item, module };
    case "block": return { kind: "layer", item, module, given: [], shared: undefined };
    case "data": return { kind: "data", item, module };
    case "dial": return dialValue(item, module, env);
    case "network":
      if (!item.alias) return { kind: "layer", item, module, given: [], shared: undefined };
      return once(item, item.alias);
    case "const": return once(item, item.value);
  }
  function once(key: typeof item, term: Term): Value {
    const { constants } = env.world;
    let entry = constants.get(key);
    if (!entry) {
      const inner: Env = { ...newEnv(module, env.world), place: { ...env.place, path: "" } };
      entry = lazy(key.name.text, key.name.span, () => settle(evaluate(term, inner), key.name.text));
      constants.set(key, entry);
    }
    return force(entry, env, span);
  }
}

function condition(test: Term, env: Env): boolean {
  const v = evaluate(test, env);
  if (v.kind === "bool") return v.value;
  throw fault(env, "N0302", `\`if\` decides while compiling, this is ${describe(v)}`, test.span, "", {
    hint: "`select(test, then, otherwise)` decides per element",
  });
}

function operation(term: Extract<Term, { kind: "binary" }>, env: Env, fraction: boolean): Value {
  const { operator, span } = term;
  const a = evaluate(term.left, env, fraction);
  if ((operator === "and" || operator === "or") && a.kind === "bool") {
    if (a.value === (operator === "or")) return a;
    const b = evaluate(term.right, env);
    if (b.kind === "bool" || b.kind === "scalar") return b;
    throw fault(env, "N0302", `\`${operator}\` joins tests, this is ${describe(b)}`, term.right.span, "");
  }
  const b = evaluate(term.right, env, fraction && operator !== "^");
  if (operator === "..<" || operator === "..=") {
    if (a.kind === "int" && b.kind === "int") return { kind: "range", from: a.value, to: operator === "..<" ? b.value : b.value + 1 };
    throw fault(env, "N0302", "a range goes from one whole number to another", span, `${describe(a)} to ${describe(b)}`);
  }
  return binary(a, b, { env, operator, span, left: term.left.span, right: term.right.span, fraction });
}

function listed(e: Element, env: Env, fraction: boolean): readonly Value[] {
  if (e.pack && [...namesIn(e.term)].some((name) => isPack(name, env, e.term.span))) {
    return expandPack(e, env, undefined).map((v) => settle(v, "y"));
  }
  const v = settle(evaluate(e.term, env, fraction), "y");
  if (!e.pack) return [v];
  if (v.kind === "list") return v.items;
  if (v.kind === "int") return [v];
  throw fault(env, "N0302", `\`*\` spreads a list, this is ${describe(v)}`, e.term.span, "");
}

/** Whether a name is one index per axis: what mentions it is written once per axis. */
function isPack(name: string, env: Env, span: Span): boolean {
  const entry = lookup(env.scope, name);
  return entry !== undefined && entry.state !== "busy" && force(entry, env, span).kind === "pack";
}

const mostEntries = 1 << 20;

function count(env: Env, n: number, span: Span): void {
  if (n <= mostEntries) return;
  throw fault(env, "N0504", `a list of ${n} entries is more than a network needs`, span, `the limit is ${mostEntries}`);
}

function filled(term: Extract<Term, { kind: "fill" }>, env: Env, fraction: boolean): Value {
  const n = evaluate(term.count, env);
  if (n.kind !== "int" || n.value < 0) throw fault(env, "N0302", `a list is filled a whole number of times, this is ${show(n)}`, term.count.span, "");
  count(env, n.value, term.span);
  const item = evaluate(term.item, env, fraction);
  return list(Array.from({ length: n.value }, () => item));
}

function each(term: Extract<Term, { kind: "each" }>, env: Env, fraction: boolean): Value {
  const over = evaluate(term.range, env);
  const values = over.kind === "list" ? over.items : over.kind === "range" ? rangeItems(over.from, over.to, env, term.range.span) : undefined;
  if (!values) throw fault(env, "N0302", `\`for\` runs over a range or a list, this is ${describe(over)}`, term.range.span, "");
  return list(values.map((v) => settle(evaluate(term.item, within(env, [[term.name.text, v]], term.name.span), fraction), "y")));
}

function rangeItems(from: number, to: number, env: Env, span: Span): readonly Value[] {
  count(env, to - from, span);
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => whole(from + i));
}

function indexed(term: Extract<Term, { kind: "index" }>, env: Env): Value {
  const head = evaluate(term.head, { ...env, axis: undefined });
  switch (head.kind) {
    case "tensor": return readAt({ tensor: head.tensor, outside: "never", lerp: false }, term, env);
    case "view": return readAt(head, term, env);
    case "family": {
      const index = term.at.map((e) => {
        const v = evaluate(e.term, env);
        if (v.kind === "int") return v.value;
        throw fault(env, "N0302", `an entry of a family has a whole number, this is ${describe(v)}`, e.span, "");
      });
      return head.get(index, env, term.span);
    }
    case "list": case "tuple": case "pack": return entry(head, term, env);
    default: throw fault(env, "N0302", `${describe(head)} has no entries`, term.head.span, "");
  }
}

function entry(head: Extract<Value, { kind: "list" | "tuple" | "pack" }>, term: Extract<Term, { kind: "index" }>, env: Env): Value {
  const items: readonly Value[] = head.kind === "pack" ? head.items.map(scalar) : head.items;
  const [only, ...more] = term.at;
  if (!only || more.length > 0) throw fault(env, "N0302", "a list takes one index", term.span, `${term.at.length} are given`);
  const v = evaluate(only.term, env);
  if (v.kind === "range") return list(items.slice(Math.max(0, v.from), Math.max(0, v.to)));
  if (v.kind !== "int") throw fault(env, "N0302", `a list takes a whole number, this is ${describe(v)}`, only.span, "");
  const found = items[v.value];
  if (found && v.value >= 0) return found;
  const { start, end, file } = term.head.span;
  throw fault(env, "N0503", `\`${file.text.slice(start, end)}\` has ${items.length} entries, entry ${v.value} is asked for`, only.span,
    `this is ${v.value}`, { facts: ["Entries are counted from 0."] });
}

const views: ReadonlySet<string> = new Set(["zero", "edge", "lowest", "lerp"]);

function member(term: Extract<Term, { kind: "member" }>, env: Env): Value {
  const head = evaluate(term.head, { ...env, axis: undefined });
  const { text, span } = term.name;
  switch (head.kind) {
    case "net": {
      const output = head.outputs.get(text);
      if (output) return output;
      const names = [...head.outputs.keys()];
      const near = nearest(text, names);
      throw fault(env, "N0201", `\`${head.name}\` has no output \`${text}\``, span, near ? `did you mean \`${near}\`?` : "", { facts: [`Its outputs: ${names.join(", ")}`] });
    }
    case "module": {
      const meaning = head.module.items.get(text);
      if (meaning) return meant({ kind: "item", item: meaning, module: head.module }, span, env);
      const near = nearest(text, head.module.items.keys());
      throw fault(env, "N0202", `\`${head.module.path}\` has no \`${text}\``, span, near ? `did you mean \`${near}\`?` : "");
    }
    case "tensor": case "view": {
      const before = head.kind === "view" ? head : { tensor: head.tensor, outside: "never" as const, lerp: false };
      if (text === "lerp") return { kind: "view", tensor: before.tensor, outside: before.outside, lerp: true };
      if (text === "zero" || text === "edge" || text === "lowest") return { kind: "view", tensor: before.tensor, outside: text, lerp: before.lerp };
      throw fault(env, "N0201", `a tensor has no view \`${text}\``, span, nearest(text, views) ? `did you mean \`${nearest(text, views)}\`?` : "", {
        facts: ["The views: zero, edge, lowest, lerp."],
      });
    }
    default: throw fault(env, "N0302", `${describe(head)} has no parts`, term.span, "");
  }
}

/** The arguments of a call, in order. */
export function givenOf(args: readonly Argument[], env: Env): readonly Given[] {
  return args.map((a) => ({ name: a.name?.text, value: evaluate(a.value, env), span: a.span, term: a.value, env }));
}

function call(term: Extract<Term, { kind: "call" }>, env: Env): Value {
  if (term.head.kind === "name" && term.head.text === "params" && !lookup(env.scope, "params")) return counted(term, env);
  const head = evaluate(term.head, env);
  const inner = head.kind === "builtin" && takesWholeLists.has(head.name) ? { ...env, axis: undefined } : env;
  return apply(head, givenOf(term.args, inner), env, { span: term.span, head: term.head, as: undefined });
}

/** `params(Net(…))`: the weights of a network built for the count alone. */
function counted(term: Extract<Term, { kind: "call" }>, env: Env): Value {
  const [only] = term.args;
  if (!only || term.args.length > 1) throw fault(env, "N0303", "`params` takes one network", term.span, "");
  const world = emptyWorld(true, env.world.evaluate);
  const value = evaluate(only.value, { ...env, world });
  env.world.findings.push(...world.findings);
  if (value.kind === "layer") {
    throw fault(env, "N0303", `\`${value.item.name.text}\` needs the shape of its input to be counted`, only.span, "e.g. `([1, 1, 64, 64, 64], …)`");
  }
  let total = 0;
  for (const w of world.weights.values()) total += w.tensor.axes.reduce((n, a) => n * a.extent, 1);
  return whole(total);
}

function apply(head: Value, given: readonly Given[], env: Env, site: CallSite): Value {
  switch (head.kind) {
    case "builtin": return callBuiltin(head.name, given, env, site.span);
    case "function": return head.item.kind === "fn" ? callFn(head.item, head.module, given, env, site.span) : callOp(head.item, head.module, given, env, site.span);
    case "layer": return layer(head, given, env, site);
    default: throw fault(env, "N0302", `${describe(head)} cannot be called`, site.head.span, "only blocks, ops and fns take arguments");
  }
}

function layer(head: Layer, given: readonly Given[], env: Env, site: CallSite): Value {
  if (!env.inOp) return callLayer(head, given, env, site);
  throw fault(env, "N0701", "an op cannot own weights", site.head.span, `\`${head.item.name.text}\` is a ${head.item.kind}`, {
    hint: "make this a `block`, or take the weight as a port: `w: [O, C, *K]`",
  });
}

function piped(term: Extract<Term, { kind: "pipe" }>, env: Env): Value {
  let value = evaluate(term.from, env);
  let span = term.from.span;
  for (const stage of term.stages) {
    value = staged(value, span, stage, env);
    span = stage.span;
  }
  return value;
}

function staged(value: Value, from: Span, stage: Stage, env: Env): Value {
  const made = stage.kind === "apply" ? applied(value, from, stage, env) : repeated(value, from, stage, env);
  if (!stage.as) return made;
  const settled = settle(made, stage.as.text);
  env.mark?.(stage.as.text, settled);
  return settled;
}

function applied(value: Value, from: Span, stage: Extract<Stage, { kind: "apply" }>, env: Env): Value {
  const head = evaluate(stage.head, env);
  const first: Given = { name: undefined, value, span: from, term: undefined, env: undefined };
  return apply(head, [first, ...givenOf(stage.args ?? [], env)], env, { span: stage.span, head: stage.head, as: stage.as?.text });
}

function repeated(start: Value, from: Span, stage: Extract<Stage, { kind: "repeat" }>, env: Env): Value {
  const passes = evaluate(stage.count, env);
  const range = passes.kind === "int" ? { from: 0, to: passes.value } : passes.kind === "range" ? passes : undefined;
  if (!range) throw fault(env, "N0302", `\`repeat\` takes a number of passes or a range, this is ${describe(passes)}`, stage.count.span, "");
  const total = range.to - range.from;
  count(env, total, stage.count.span);
  let value = start;
  for (let pass = 0; pass < total; pass++) {
    const place = passPlace(env.place, stage.as?.text, pass, total);
    const named = stage.name ? within(env, [[stage.name.text, whole(range.from + pass)]], stage.name.span) : env;
    const inner: Env = { ...named, place, mark: undefined };
    let span = from;
    for (const s of stage.stages) {
      value = staged(value, span, s, inner);
      span = s.span;
    }
  }
  return value;
}

function passPlace(place: Place, as: string | undefined, pass: number, total: number): Place {
  const { trace } = place;
  const text = `pass ${pass + 1} of ${total}`;
  const next = trace ? { ...trace, text: `${trace.text}, ${text}` } : { text, span: undefined, outer: undefined, depth: 1 };
  const path = join(join(place.path, as ?? ""), String(pass));
  return { ...place, path, body: path, many: true, transparent: undefined, trace: next };
}

