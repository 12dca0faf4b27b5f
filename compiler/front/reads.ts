// Elements of tensors: `x[n, c, *t]`, with what lies outside and with interpolation.

import type { Element, Term } from "../../grammar/ast.ts";
import { read, type Expr } from "../ir/expr.ts";
import { shapeOf } from "../ir/graph.ts";
import { interval } from "../ir/interval.ts";
import { simplifyExpression } from "../ir/simplified.ts";
import type { Span } from "../source.ts";
import { fault, force, lookup } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { interpolate } from "./lerp.ts";
import { describe, exprOf, scalar, showShape, wholesOf, type Env, type Value, type View } from "./values.ts";
import { partsOfTerm } from "./walk.ts";

/** The element an index expression names. */
export function readAt(view: View, term: Extract<Term, { kind: "index" }>, env: Env): Value {
  if (!env.inOp) {
    throw fault(env, "N0605", "only an op looks at elements", term.span, "this is a block", { hint: "write an `op` with the tensor as a port" });
  }
  const { tensor } = view;
  const rank = tensor.axes.length;
  const at: Expr[] = [];
  const spans: Span[] = [];
  const spare = rank - term.at.filter((e) => !e.pack).length;
  for (const e of term.at) {
    const values = e.pack ? expandPack(e, env, spare) : [evaluate(e.term, env)];
    for (let k = 0; k < values.length; k++) {
      at.push(indexOf(values[k] as Value, e.span, env));
      spans.push(e.span);
    }
  }
  if (at.length !== rank) {
    throw fault(env, "N0405", `this read has ${at.length} indices, the tensor has ${rank} axes`, term.span, showShape(shapeOf(tensor)));
  }
  if (view.lerp) return scalar(interpolate(view, at));
  const exprs = at.map((e, i) => {
    if (e.type === "int") return simplifyExpression(e);
    throw fault(env, "N0604", "an index must be whole", spans[i] as Span, "a real number", {
      hint: `\`${textOf(term.head)}.lerp[…]\` interpolates; \`round(…)\` picks the nearest`,
    });
  });
  if (view.outside === "never") exprs.forEach((e, i) => inside(view, i, e, spans[i] as Span, term, env));
  return scalar(read(tensor, exprs, view.outside));
}

function indexOf(v: Value, span: Span, env: Env): Expr {
  const e = exprOf(v);
  if (e && e.type !== "bool") return e;
  throw fault(env, "N0302", `an index is a number, this is ${describe(v)}`, span, v.kind === "pack" || v.kind === "list" ? "`*` spreads it over the axes" : "");
}

function inside(view: View, i: number, e: Expr, span: Span, term: Extract<Term, { kind: "index" }>, env: Env): void {
  const extent = view.tensor.axes[i]?.extent ?? 0;
  const range = interval(e);
  if (range.low >= 0 && range.high < extent) return;
  const name = textOf(term.head);
  const where = Number.isFinite(range.low) && Number.isFinite(range.high)
    ? `runs from ${range.low} to ${range.high}` : "depends on data, it may be anything";
  throw fault(env, "N0601", `this read can leave \`${name}\``, span, `${where}, \`${name}\` has 0..<${extent}`, {
    hint: `say what lies outside, e.g. \`${name}.zero[…]\` or \`${name}.edge[…]\``,
  });
}

const textOf = (term: Term): string => term.span.file.text.slice(term.span.start, term.span.end);

/** `*( … )`: the expression once per axis. `spare` is how many axes are left where nothing else tells. */
export function expandPack(element: Element, env: Env, spare: number | undefined): readonly Value[] {
  const { term } = element;
  if (term.kind === "name") {
    const v = evaluate(term, { ...env, axis: undefined });
    if (v.kind === "pack") return v.items.map(scalar);
    if (v.kind === "list") return v.items;
  }
  const rank = packLength(term, env) ?? spare;
  if (rank === undefined) throw fault(env, "N0602", "how many axes does this stand for?", element.span, "no pack and no size is in it");
  return Array.from({ length: rank }, (_, axis) => evaluate(term, { ...env, axis }));
}

/** How many axes the packs and sizes in a term have. */
export function packLength(term: Term, env: Env): number | undefined {
  if (term.kind === "name") {
    const entry = lookup(env.scope, term.text);
    if (!entry || entry.state === "busy") return undefined;
    const v = force(entry, env, term.span);
    return v.kind === "pack" ? v.items.length : v.kind === "list" ? wholesOf(v)?.length : undefined;
  }
  // `S[0]` and `product(S)` are numbers; a nested read spreads its own packs.
  if (term.kind === "call") return firstOf(term.args.map((a) => a.value), env);
  const parts = term.kind === "index" ? term.at.filter((e) => !e.pack).map((e) => e.term) : partsOfTerm(term);
  return firstOf(parts, env);
}

function firstOf(terms: readonly Term[], env: Env): number | undefined {
  for (const t of terms) {
    const n = packLength(t, env);
    if (n !== undefined) return n;
  }
  return undefined;
}
