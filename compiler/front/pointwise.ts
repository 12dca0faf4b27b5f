// Arithmetic on tensors in blocks: element by element, axes of extent 1 stretch, nothing else does.

import { apply, asReal, index, int, makeAxis, read, real, type Expr } from "../ir/expr.ts";
import { define, type Origin, type Tensor } from "../ir/graph.ts";
import type { Span } from "../source.ts";
import { fault } from "./env.ts";
import { exprOf, shapeOfValue, showShape, type Env, type Field, type Value } from "./values.ts";

/**
 * Applies a scalar function to tensors and numbers alike; `spans` are where the values were written, `between` is the
 * operator that joins them, if one does.
 */
export function pointwise(
  env: Env, values: readonly Value[], spans: readonly Span[], span: Span, f: (elements: readonly Expr[]) => Expr, between = span,
): Field {
  const shape = common(env, values, spans, between);
  const origin: Origin = { span, path: env.place.path };
  return { kind: "field", shape, origin, at: (at) => f(values.map((v) => element(v, at))) };
}

function element(v: Value, at: readonly Expr[]): Expr {
  if (v.kind === "tensor") return read(v.tensor, at.map((e, i) => (v.tensor.axes[i]?.extent === 1 ? int(0) : e)));
  if (v.kind === "field") return v.at(at.map((e, i) => (v.shape[i] === 1 ? int(0) : e)));
  return exprOf(v) ?? real(0);
}

function common(env: Env, values: readonly Value[], spans: readonly Span[], span: Span): readonly number[] {
  let shape: readonly number[] | undefined;
  let from = span;
  for (const [i, v] of values.entries()) {
    const next = shapeOfValue(v);
    if (!next) continue;
    const here = spans[i] ?? span;
    if (!shape) {
      shape = next;
      from = here;
      continue;
    }
    const made = stretch(shape, next);
    if (!made) throw misfit(env, shape, next, span, from, here);
    shape = made;
  }
  return shape ?? [];
}

function stretch(a: readonly number[], b: readonly number[]): readonly number[] | undefined {
  if (a.length !== b.length) return undefined;
  const out: number[] = [];
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? 0;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(x === 1 ? y : x);
  }
  return out;
}

function misfit(env: Env, left: readonly number[], right: readonly number[], span: Span, from: Span, here: Span): Error {
  const facts: string[] = [];
  let hint: string | undefined;
  if (left.length !== right.length) {
    facts.push(`The left has ${left.length} axes, the right has ${right.length}.`);
    hint = "an axis of extent 1 stretches, a missing axis does not: `reshape` adds one";
  } else {
    const axis = left.findIndex((x, i) => x !== right[i] && x !== 1 && right[i] !== 1);
    facts.push(`Axis ${axis} is ${left[axis]} on the left and ${right[axis]} on the right.`);
    if (axis >= 2 && left.slice(2).every((x, i) => Math.abs(x - (right[i + 2] ?? 0)) === 1)) {
      hint = "an even kernel cannot be centred; 3 or 5 keeps the size";
    }
  }
  return fault(env, "N0401", "these shapes do not line up", span, "", {
    also: [{ span: from, text: showShape(left) }, { span: here, text: showShape(right) }], facts, hint,
  });
}

/** Gives elements a tensor of their own; any other value stays as it is. */
export function settle(v: Value, name: string): Value {
  return v.kind === "field" ? { kind: "tensor", tensor: materialise(v, name) } : v;
}

function materialise(field: Field, name: string): Tensor {
  const axes = field.shape.map((extent, i) => makeAxis(axisName(i, field.shape.length), extent));
  return define(name, axes, stored(field.at(axes.map(index))), field.origin);
}

/** What is kept of an element: truth as 0 and 1, whole numbers as reals. */
export function stored(e: Expr): Expr {
  return e.type === "bool" ? apply("select", e, real(1), real(0)) : asReal(e);
}

/** Names for axes nobody named: batch, channel, then space. */
export function axisName(i: number, rank: number): string {
  if (rank === 1) return "i";
  return i === 0 ? "n" : i === 1 ? "c" : rank === 3 ? "s" : `s${i - 2}`;
}
