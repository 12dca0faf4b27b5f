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
  const terms = given.length <= atOnce ? given.map((c) => term(c, axes)) : parts(given).map((p) => read(collect(t, p), axes.map(index)));
  const body = terms.reduce((a, b) => apply("add", a, b));
  return define(`d_${t.name}`, axes, body, t.origin);
}

function term(c: Contribution, axes: readonly Axis[]): Expr {
  const equations = c.at.map((e, k) => apply("eq", e, index(axes[k] as Axis)));
  return reduce("sum", c.binders, [...c.where, ...equations], c.value);
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
  const upstream = whole ? throughReduction(t, whole, incoming) : incoming;
  for (const [r, value] of adjoints(inner, upstream, (x) => active.has(x.tensor))) {
    const binders = [...t.axes, ...(whole?.over ?? [])];
    const fresh = binders.map((a) => makeAxis(a.name, a.extent));
    const rename = new Map(binders.map((a, i) => [a, index(fresh[i] as Axis)]));
    const at = r.outside !== "edge" ? r.at
      : r.at.map((e, k) => apply("min", apply("max", e, int(0)), int((r.tensor.axes[k] as Axis).extent - 1)));
    const contribution: Contribution = {
      binders: fresh,
      where: (whole?.where ?? []).map((w) => substitute(w, rename)),
      at: at.map((e) => substitute(e, rename)),
      value: substitute(value, rename),
    };
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
