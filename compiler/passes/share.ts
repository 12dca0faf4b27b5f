// Merges definitions that are equal up to the names of their axes.

import type { Axis, Expr } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { stirred } from "../ir/interning.ts";
import { Notes } from "../ir/notes.ts";
import type { Change } from "../ir/order.ts";
import { partsOf } from "../ir/rewrite.ts";

interface Kept {
  readonly tensor: Tensor;
  readonly body: Expr;
}

/** Merges equal definitions among all that are rebuilt. */
export function sharing(): Change {
  const kept = new Map<number, Kept[]>();
  const texts = new Map<Kept, string>();
  const textOf = (k: Kept): string => {
    let text = texts.get(k);
    if (text === undefined) texts.set(k, text = `${k.tensor.axes.map((a) => a.extent).join()}:${fingerprint(k.tensor.axes, k.body)}`);
    return text;
  };
  return (t, body) => {
    const mine: Kept = { tensor: t, body };
    const hash = t.axes.reduce((h, a) => stirred(h, a.extent), hashOf(body));
    const list = kept.get(hash);
    const known = list?.find((k) => textOf(k) === textOf(mine));
    if (known) return known.tensor;
    if (list) list.push(mine);
    else kept.set(hash, [mine]);
    return body;
  };
}

const hashes = new Notes<number>();

/** A number that does not depend on which axes a body has: few bodies share it without being equal. */
function hashOf(e: Expr): number {
  const known = hashes.get(e);
  if (known !== undefined) return known;
  const own = e.kind === "number" ? e.value * 65537.25 : e.kind === "axis" ? e.axis.extent : e.kind === "read" ? e.tensor.id
    : e.kind === "apply" ? e.fn.charCodeAt(0) * 31 + e.fn.charCodeAt(1) : 0;
  const hash = partsOf(e).reduce((h, p) => stirred(h, hashOf(p)), stirred(e.kind.charCodeAt(1), own));
  hashes.set(e, hash);
  return hash;
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
