// Reverse-mode differentiation by one rule: the adjoint of a read is the same sum, kept where the index equals the point.

import { adjoints } from "./derivatives.ts";
import { apply, asReal, index, int, makeAxis, read, real, reduce, type Axis, type Expr, type Reduce } from "../ir/expr.ts";
import { define, type Tensor } from "../ir/graph.ts";
import { ordered } from "../ir/order.ts";
import { readsOf, substitute } from "../ir/rewrite.ts";

/** `value`, summed over the binders where every index equals the target's point. */
interface Contribution {
  readonly binders: readonly Axis[];
  readonly where: readonly Expr[];
  readonly at: readonly Expr[];
  readonly value: Expr;
}

/**
 * The gradient of a scalar with respect to each of `targets`, as tensors of the targets' shapes. Definitions must be
 * separated (a reduction stands alone or nowhere). Where nothing depends on a target its gradient is zero. All gradients are
 * multiplied by `scale`.
 */
export function differentiate(loss: Tensor, targets: readonly Tensor[], scale = real(1)): Map<Tensor, Tensor> {
  const order = ordered([loss]);
  const active = new Set<Tensor>(targets);
  for (const t of order) if (t.body && readsOf(t.body).some((r) => r.type === "real" && active.has(r.tensor))) active.add(t);

  const pending = new Map<Tensor, Contribution[]>();
  pending.set(loss, [{ binders: [], where: [], at: [], value: scale }]);
  const gradients = new Map<Tensor, Tensor>();
  for (const t of [...order].reverse()) {
    const given = pending.get(t);
    pending.delete(t);
    if (!given || !active.has(t)) continue;
    const gradient = collect(t, given);
    gradients.set(t, gradient);
    if (t.body) spread(t, t.body, gradient, active, pending);
  }
  return new Map(targets.map((t) => [t, gradients.get(t) ?? zero(t)]));
}

function zero(t: Tensor): Tensor {
  return define(`d_${t.name}`, t.axes.map((a) => makeAxis(a.name, a.extent)), real(0), t.origin);
}

/** Terms of one sum; more are added up in steps, so that no kernel must bind them all. */
const atOnce = 6;

function collect(t: Tensor, given: readonly Contribution[]): Tensor {
  const axes = t.axes.map((a) => makeAxis(a.name, a.extent));
  const terms = given.length > atOnce ? parts(given).map((p) => read(collect(t, p), axes.map(index)))
    : given.map((c) => (given.length === 1 ? term(c, axes) : own(t, c, axes)));
  const body = terms.reduce((a, b) => apply("add", a, b));
  return define(`d_${t.name}`, axes, body, t.origin);
}

/** One of several sums, which is a tensor of its own: definitions stay separated. */
function own(t: Tensor, c: Contribution, axes: readonly Axis[]): Expr {
  if (c.binders.every((a) => a.extent === 1)) return term(c, axes);
  const fresh = axes.map((a) => (a.extent === 1 ? a : makeAxis(a.name, a.extent)));
  const long = (a: Axis): boolean => a.extent !== 1;
  return read(define(`d_${t.name}_sum`, fresh.filter(long), term(c, fresh), t.origin), axes.filter(long).map(index));
}

/** An index that is a binder itself gives it its value; of other indices an equation remains. */
function term({ binders, where, at, value }: Contribution, axes: readonly Axis[]): Expr {
  const values = new Map<Axis, Expr>();
  const isOpen = at.map((e, k) => {
    const point = axes[k] as Axis;
    if (e.kind !== "axis" || values.has(e.axis) || e.axis.extent < point.extent) return true;
    values.set(e.axis, index(point));
    return false;
  });
  const over: Axis[] = [];
  for (const a of binders) {
    if (values.has(a)) continue;
    const fresh = makeAxis(a.name, a.extent);
    over.push(fresh);
    values.set(a, index(fresh));
  }
  const equations = at.flatMap((e, k) => (isOpen[k] ? [apply("eq", substitute(e, values), index(axes[k] as Axis))] : []));
  return reduce("sum", over, [...where.map((w) => substitute(w, values)), ...equations], substitute(value, values));
}

function parts(given: readonly Contribution[]): readonly (readonly Contribution[])[] {
  const size = Math.ceil(given.length / atOnce);
  return Array.from({ length: Math.ceil(given.length / size) }, (_, i) => given.slice(i * size, (i + 1) * size));
}

/** Sends the gradient of `t` on to everything active that its body reads. */
function spread(t: Tensor, body: Expr, gradient: Tensor, active: ReadonlySet<Tensor>, pending: Map<Tensor, Contribution[]>): void {
  const incoming = read(gradient, t.axes.map(index));
  const whole = body.kind === "reduce" ? body : undefined;
  const inner = whole ? whole.body : body;
  const binders = whole ? [...t.axes, ...whole.over] : t.axes;
  const upstream = whole ? throughReduction(t, whole, incoming) : incoming;
  for (const [r, value] of adjoints(inner, upstream, (x) => active.has(x.tensor))) {
    const at = r.outside !== "edge" ? r.at
      : r.at.map((e, k) => apply("min", apply("max", e, int(0)), int((r.tensor.axes[k] as Axis).extent - 1)));
    const contribution: Contribution = { binders, where: whole?.where ?? [], at, value };
    const list = pending.get(r.tensor);
    if (list) list.push(contribution);
    else pending.set(r.tensor, [contribution]);
  }
}

/** What reaches the body of a reduction: all of it for a sum, the share of those that attain it for an extreme. */
function throughReduction(t: Tensor, e: Reduce, incoming: Expr): Expr {
  const value = read(t, t.axes.map(index));
  switch (e.by) {
    case "sum": return incoming;
    case "max": case "min": return apply("select", apply("eq", asReal(e.body), value), incoming, real(0));
    case "prod": return apply("div", apply("mul", incoming, value), e.body);
  }
}
