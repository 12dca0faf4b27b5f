// Merges definitions that are equal up to the names of their axes.

import type { Axis, Expr } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { define } from "../ir/graph.ts";
import { rebuild } from "../ir/order.ts";
import { partsOf } from "../ir/rewrite.ts";

export function share(roots: readonly Tensor[]): Map<Tensor, Tensor> {
  const first = new Map<string, Tensor>();
  return rebuild(roots, (t, body) => {
    const key = `${t.axes.map((a) => a.extent).join()}:${fingerprint(t.axes, body)}`;
    const known = first.get(key);
    if (known) return known;
    const kept = body === t.body ? t : define(t.name, t.axes, body, t.origin);
    first.set(key, kept);
    return kept;
  });
}

/** A text that two bodies share exactly when they differ in nothing but the identity of axes. */
export function fingerprint(axes: readonly Axis[], body: Expr): string {
  const numbers = new Map<Axis, number>(axes.map((a, i) => [a, i]));
  const nodes = new Map<Expr, number>();
  const out: string[] = [];
  const visit = (e: Expr): number => {
    const known = nodes.get(e);
    if (known !== undefined) return known;
    if (e.kind === "reduce") for (const a of e.over) numbers.set(a, numbers.size);
    const parts = partsOf(e).map(visit).join();
    out.push(head(e) + parts);
    nodes.set(e, nodes.size);
    return nodes.size - 1;
  };
  const head = (e: Expr): string => {
    switch (e.kind) {
      case "number": return `n${e.value}${e.type}`;
      case "axis": return `x${numbers.get(e.axis)}`;
      case "dial": return `d${e.dial.name}`;
      case "draw": return `w${e.site}:`;
      case "read": return `r${e.tensor.id}${e.outside}:`;
      case "apply": return `${e.fn}:`;
      case "reduce": return `${e.by}[${e.over.map((a) => `${numbers.get(a)}<${a.extent}`).join()}]`;
    }
  };
  visit(body);
  return out.join(";");
}
