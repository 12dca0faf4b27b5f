// Calls of ops: every element of every result, by index.

import type { Binder, Element, Op, Statement, Term } from "../../grammar/ast.ts";
import { asReal, type Axis, type Expr } from "../ir/expr.ts";
import { define, shapeOf } from "../ir/graph.ts";
import type { Span } from "../source.ts";
import { argumentText, assign, bindPorts } from "./calls.ts";
import { deeper, fault, force, lazy, newScope, tooDeep, within } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { settle, stored } from "./pointwise.ts";
import type { Module } from "./module.ts";
import { bindRun, runsOf, type Run } from "./ranges.ts";
import { elementExtents, extentsOf } from "./shapes.ts";
import { describe, exprOf, showShape, tensorOf, type Env, type Given, type Value } from "./values.ts";

/** The results of an op: a tensor, or several. */
export function callOp(item: Op, module: Module, given: readonly Given[], env: Env, span: Span): Value {
  if ((env.place.trace?.depth ?? 0) > 200) throw tooDeep(env, span);
  const taken = assign(item, given, env, span);
  const place = deeper(env, argumentText(item, taken), span);
  const inner: Env = { ...env, place, module, scope: newScope(undefined), axis: undefined, inOp: true, shapes: false, mark: undefined };
  bindPorts(item, taken, inner, { env, span });
  const results = new Map(item.results.flatMap((r) => (r.name && r.type.kind === "tensor" ? [[r.name.text, r.type.shape] as const] : [])));
  for (const statement of item.body.statements) enter(statement, inner, results);
  const values = item.results.map((r) => result(item, r, inner));
  const [only] = values;
  return values.length === 1 && only ? only : { kind: "tuple", items: values };
}

function enter(s: Statement, env: Env, results: ReadonlyMap<string, readonly Element[]>): void {
  if (s.kind !== "define") throw fault(env, "N0505", "an op has equations only", s.span, `\`${s.kind}\` belongs in a block`);
  const { names } = env.scope;
  const { target } = s;
  if (target.kind === "many") {
    const all = lazy(target.names.map((n) => n.text).join(", "), target.span, () => evaluate(s.value, env));
    for (const [i, n] of target.names.entries()) {
      names.set(n.text, lazy(n.text, n.span, () => part(force(all, env, n.span), i, target.names.length, env, s.value.span)));
    }
    return;
  }
  const { name, binders } = target;
  const shape = results.get(name.text);
  names.set(name.text, lazy(name.text, name.span, () => {
    if (binders) return equation(name.text, binders, s.value, shape, env, target.span);
    return settle(evaluate(s.value, env), name.text);
  }));
}

/** One of several values. */
export function part(v: Value, i: number, of: number, env: Env, span: Span): Value {
  const item = v.kind === "tuple" || v.kind === "list" ? v.items[i] : undefined;
  if (item && (v.kind === "tuple" || v.kind === "list") && v.items.length === of) return settle(item, "y");
  throw fault(env, "N0302", `${of} values are wanted, this is ${describe(v)}`, span, "");
}

/** `y[n, o, *t] = …`. Extents come from the result's type where there is one, else from uses. */
function equation(name: string, binders: readonly Binder[], body: Term, shape: readonly Element[] | undefined, env: Env, span: Span): Value {
  const runs = shape ? runsOfResult(name, binders, shape, env, span) : runsOf(binders, [body], env);
  const axes: Axis[] = [];
  const names: (readonly [string, Value])[] = [];
  for (const run of runs) {
    const bound = bindRun(run);
    axes.push(...bound.axes);
    if (run.name !== "_") names.push([run.name, bound.value]);
  }
  const value = evaluate(body, within(env, names, span));
  const element = exprOf(value);
  if (!element) {
    throw fault(env, "N0302", `an element is a number, this is ${describe(value)}`, body.span, "", {
      hint: value.kind === "tensor" ? `without indices on the left it is a tensor: \`${name} = …\`` : undefined,
    });
  }
  return tensorOf(define(name, axes, shape ? stored(element) : local(element), { span, path: env.place.path }));
}

/** Whole numbers stay whole in a local definition, so that it can be an index. */
const local = (e: Expr): Expr => (e.type === "int" ? e : stored(e));

function runsOfResult(name: string, binders: readonly Binder[], shape: readonly Element[], env: Env, span: Span): readonly Run[] {
  const extents = shape.map((e) => elementExtents(env, e));
  const flat = extents.flat();
  const singles = binders.filter((b) => !b.pack).length;
  const packs = binders.length - singles;
  const aligned = binders.length === shape.length && binders.every((b, i) => b.pack === shape[i]?.pack);
  if (!aligned && (packs > 1 || (packs === 0 ? singles !== flat.length : singles > flat.length))) {
    throw fault(env, "N0405", `\`${name}\` is ${showShape(flat)}, it is defined with ${binders.length} indices`, span, "");
  }
  let at = 0;
  return binders.map((b, i) => {
    const n = b.pack ? (aligned ? (extents[i]?.length ?? 0) : flat.length - singles) : 1;
    const mine = flat.slice(at, at + n);
    at += n;
    if (b.term.kind !== "name") throw fault(env, "N0302", "an index is a name", b.span, "a result has one equation");
    return { name: b.term.text, pack: b.pack, from: mine.map(() => 0), extents: mine };
  });
}

function result(item: Op, r: Op["results"][number], env: Env): Value {
  const name = r.name;
  if (!name || r.type.kind !== "tensor") throw fault(env, "N0505", "a result of an op has a name and a shape", r.span, "e.g. `y: [N, C, *S]`");
  const entry = env.scope.names.get(name.text);
  if (!entry || !item.body.statements.some((s) => defines(s, name.text))) {
    throw fault(env, "N0505", `\`${item.name.text}\` never defines its result \`${name.text}\``, name.span, "promised here");
  }
  let value = force(entry, env, name.span);
  const wanted = extentsOf(env, r.type.shape);
  const element = exprOf(value);
  if (element && wanted.length === 0) value = tensorOf(define(name.text, [], asReal(element), { span: name.span, path: env.place.path }));
  if (value.kind !== "tensor") throw fault(env, "N0302", `\`${name.text}\` is a tensor, this is ${describe(value)}`, entry.span, "");
  const got = shapeOf(value.tensor);
  if (got.length === wanted.length && got.every((n, i) => n === wanted[i])) return value;
  throw fault(env, "N0403", `\`${item.name.text}\` promises ${showShape(wanted)} but returns ${showShape(got)}`, entry.span, "", {
    also: [{ span: r.span, text: "promised here" }],
  });
}

function defines(s: Statement, name: string): boolean {
  if (s.kind !== "define") return false;
  return s.target.kind === "one" ? s.target.name.text === name : s.target.names.some((n) => n.text === name);
}
