// Calls of `fn`: functions of numbers, inlined; of tensors, element by element.

import type { Body, Fn, Term } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { openBody } from "./body.ts";
import { deeper, fault, known, newScope, tooDeep } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { nearest } from "../report/spelling.ts";
import { pointwise } from "./pointwise.ts";
import { find, type Module } from "./module.ts";
import { describe, exprOf, scalar, shapeOfValue, type Env, type Given, type Value } from "./values.ts";
import { namesIn } from "./walk.ts";

/** Calls a `fn`. One that uses only numbers maps over tensors; one that calls ops gets the tensors as they are. */
export function callFn(item: Fn, module: Module, given: readonly Given[], env: Env, span: Span): Value {
  const args = named(item, given, env, span);
  const values = args.map((g) => g.value);
  if ((env.place.trace?.depth ?? 0) > 200) throw tooDeep(env, span);
  const inner: Env = { ...env, module, scope: newScope(undefined), axis: undefined, mark: undefined, place: deeper(env, item.name.text, span) };
  if (!values.some(shapeOfValue) || !maps(item, module)) return run(item, values, inner);
  return pointwise(env, values, args.map((g) => g.span), span, (elements) => {
    // A list or a word is not an element: it goes through as it is.
    const made = run(item, values.map((v, i) => (shapeOfValue(v) || exprOf(v) === undefined ? elementOr(v, elements[i]) : v)), inner);
    const e = exprOf(made);
    if (e) return e;
    throw fault(inner, "N0302", `\`${item.name.text}\` gives ${describe(made)}, not a number`, item.span, "");
  });
}

function elementOr(v: Value, e: ReturnType<typeof exprOf>): Value {
  return shapeOfValue(v) && e ? scalar(e) : v;
}

function run(item: Fn, values: readonly Value[], inner: Env): Value {
  const scope = newScope(undefined);
  for (const [i, p] of item.params.entries()) {
    const value = values[i];
    if (value) scope.names.set(p.text, known(p.text, value, p.span));
  }
  const env = { ...inner, scope };
  return item.body.kind === "body" ? openBody(item.body, env, "fn").result() : evaluate(item.body, env);
}

function named(item: Fn, given: readonly Given[], env: Env, span: Span): readonly Given[] {
  const slots = new Map<string, Given>();
  let next = 0;
  for (const g of given) {
    const name = g.name ?? item.params[next++]?.text;
    if (name === undefined) {
      throw fault(env, "N0304", `\`${item.name.text}\` takes ${item.params.length === 1 ? "one argument" : `${item.params.length} arguments`}`, g.span, "one too many");
    }
    if (!item.params.some((p) => p.text === name)) {
      const names = item.params.map((p) => p.text);
      const near = nearest(name, names);
      throw fault(env, "N0301", `\`${item.name.text}\` has no parameter \`${name}\``, g.span, near ? `did you mean \`${near}\`?` : "", { facts: [`Its parameters: ${names.join(", ")}`] });
    }
    const before = slots.get(name);
    if (before) throw fault(env, "N0305", `\`${name}\` is given twice`, g.span, "and again here", { also: [{ span: before.span, text: "first here" }] });
    slots.set(name, g);
  }
  return item.params.map((p) => {
    const g = slots.get(p.text);
    if (g) return g;
    throw fault(env, "N0303", `\`${item.name.text}\` needs \`${p.text}\``, span, `\`${p.text}\` is not given`, { also: [{ span: p.span, text: "asked for here" }] });
  });
}

const purity = new WeakMap<Fn, boolean>();

/** True when nothing it uses works on whole tensors. */
function maps(item: Fn, module: Module): boolean {
  const before = purity.get(item);
  if (before !== undefined) return before;
  purity.set(item, true);
  let pure = true;
  for (const name of namesOf(item.body)) {
    if (name === "reshape" || name === "shape") pure = false;
    if (item.params.some((p) => p.text === name)) continue;
    const meaning = find(module, name);
    if (meaning?.kind !== "item") continue;
    const other = meaning.item;
    if (other.kind === "op" || other.kind === "block" || other.kind === "network") pure = false;
    if (other.kind === "fn" && !maps(other, meaning.module)) pure = false;
  }
  purity.set(item, pure);
  return pure;
}

function namesOf(body: Term | Body): ReadonlySet<string> {
  if (body.kind !== "body") return namesIn(body);
  return new Set(body.statements.flatMap((s) => [...namesIn(s.value)]));
}
