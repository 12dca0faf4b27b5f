// The two-step reduction: few results over a huge sum are summed in parts by many invocations, then the parts in order.

import { apply, index, int, makeAxis, read, real, reduce, type Axis, type Expr, type Reduce } from "../../ir/expr.ts";
import { define, sizeOf, type Tensor } from "../../ir/graph.ts";
import type { Change } from "../../ir/order.ts";
import { substitute } from "../../ir/rewrite.ts";
import { simplifyExpression } from "../../ir/simplified.ts";
import type { Lanes } from "../kernel.ts";
import { costsOf, longSum } from "../price.ts";


/** Which axes of a reduction become parts: whole leading axes, then chunks of one more. */
interface Split {
  readonly whole: readonly Axis[];
  readonly chunked: { readonly axis: Axis; readonly parts: number } | undefined;
}

/** Splits a reduction that it accepts into two definitions, the first of which must be stored: it is added to `stored`. */
export function splitting(lanes: Lanes, stored: Set<Tensor>): Change {
  return (t, body) => {
    if (body.kind !== "reduce" || body.type === "wide") return body;
    const split = accepts(t, body, lanes);
    if (!split) return body;
    const { partials, total } = inTwoSteps(t, body, split);
    for (const p of partials) stored.add(p);
    return total;
  };
}

function accepts(t: Tensor, e: Reduce, lanes: Lanes): Split | undefined {
  const points = sizeOf(t);
  const length = e.over.reduce((n, a) => n * a.extent, 1);
  // Every invocation should find as many results as it can take together, which share their loads.
  const parts = Math.min(Math.ceil((lanes.wanted * costsOf(lanes).longRegisters) / points), Math.floor(length / longSum));
  if (parts < 2) return undefined;
  const whole: Axis[] = [];
  let have = 1;
  for (const axis of e.over) {
    if (have >= parts) break;
    if (have * axis.extent > parts * 2) {
      const chunk = Math.ceil(axis.extent / Math.ceil(parts / have));
      return { whole, chunked: { axis, parts: Math.ceil(axis.extent / chunk) } };
    }
    whole.push(axis);
    have *= axis.extent;
  }
  return whole.length < e.over.length ? { whole, chunked: undefined } : undefined;
}

function inTwoSteps(t: Tensor, e: Reduce, split: Split): InParts {
  const own = t.axes.map((a) => makeAxis(a.name, a.extent));
  const parts: Axis[] = [];
  const by = new Map<Axis, Expr>(t.axes.map((a, i) => [a, index(own[i] as Axis)]));
  const inner: Axis[] = [];
  const tests: Expr[] = [];
  for (const axis of e.over) {
    if (split.whole.includes(axis)) {
      const part = makeAxis(axis.name, axis.extent);
      parts.push(part);
      by.set(axis, index(part));
    } else if (split.chunked?.axis === axis) {
      const chunk = Math.ceil(axis.extent / split.chunked.parts);
      const part = makeAxis("part", split.chunked.parts);
      const rest = makeAxis(axis.name, chunk);
      parts.push(part);
      inner.push(rest);
      const at = apply("add", apply("mul", index(part), int(chunk)), index(rest));
      by.set(axis, at);
      if (chunk * split.chunked.parts !== axis.extent) tests.push(apply("lt", at, int(axis.extent)));
    } else {
      const rest = makeAxis(axis.name, axis.extent);
      inner.push(rest);
      by.set(axis, index(rest));
    }
  }
  const where = e.where.map((w) => substitute(w, by));
  const again = parts.map((a) => makeAxis(a.name, a.extent));
  const square = e.where.length + tests.length === 0 ? squareOf(e) : undefined;
  if (square) return aroundMeans(t, square, { own, parts, inner, by, again });
  const body = simplifyExpression(reduce(e.by, inner, [...where, ...tests], substitute(e.body, by)));
  const partial = define(`${t.name}_parts`, [...own, ...parts], body, t.origin);
  const total = reduce(e.by, again, [], read(partial, [...t.axes.map(index), ...again.map(index)]));
  return { partials: [partial], total };
}

interface InParts {
  readonly partials: readonly Tensor[];
  readonly total: Expr;
}

/** The axes of a sum in parts: the result's own, the parts', those within a part, and what they stand in place of. */
interface Parted {
  readonly own: readonly Axis[];
  readonly parts: readonly Axis[];
  readonly inner: readonly Axis[];
  readonly by: ReadonlyMap<Axis, Expr>;
  readonly again: readonly Axis[];
}

/** What a sum of `(value - centre)^2` with one centre for all terms is made of. */
interface Square {
  readonly value: Expr;
  readonly centre: Expr;
}

function squareOf(e: Reduce): Square | undefined {
  if (e.by !== "sum" || e.body.kind !== "apply" || e.body.fn !== "mul") return undefined;
  const [a, b] = e.body.args;
  if (!a || a !== b || a.kind !== "apply" || a.fn !== "sub") return undefined;
  const [value, centre] = a.args as [Expr, Expr];
  return e.over.some((x) => centre.free.includes(x)) || !e.over.some((x) => value.free.includes(x)) ? undefined : { value, centre };
}

/**
 * A sum of squares around a centre `m` as that around each part's own mean `m_p`, and the means' squares around `m`:
 * `Σ (x - m)^2 = Σ_p (Σ (x - m_p)^2 + n (m_p - m)^2)`, exact for every `m` (Chan, Golub and LeVeque 1983). So no part waits for
 * the centre, which is mostly a mean over the same values: one pass over memory gives both.
 */
function aroundMeans(t: Tensor, { value, centre }: Square, { own, parts, inner, by, again }: Parted): InParts {
  const count = real(inner.reduce((n, a) => n * a.extent, 1));
  const axes = [...own, ...parts];
  const sums = define(`${t.name}_of_part`, axes, simplifyExpression(reduce("sum", inner, [], substitute(value, by))), t.origin);
  const means = axes.map((a) => makeAxis(a.name, a.extent));
  const rename = new Map(axes.map((a, i) => [a, index(means[i] as Axis)]));
  const loops = inner.map((a) => makeAxis(a.name, a.extent));
  inner.forEach((a, i) => rename.set(a, index(loops[i] as Axis)));
  const off = apply("sub", substitute(substitute(value, by), rename), apply("div", read(sums, means.map(index)), count));
  const squares = define(`${t.name}_parts`, means, simplifyExpression(reduce("sum", loops, [], apply("mul", off, off))), t.origin);
  const at = [...t.axes.map(index), ...again.map(index)];
  const away = apply("sub", apply("div", read(sums, at), count), centre);
  return { partials: [sums, squares], total: reduce("sum", again, [], apply("add", read(squares, at), apply("mul", apply("mul", away, away), count))) };
}
