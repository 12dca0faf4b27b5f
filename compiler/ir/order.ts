// The order of definitions: what a set of tensors needs, producers before consumers, and rebuilding in that order.

import { read, type Expr } from "./expr.ts";
import { define, type Tensor } from "./graph.ts";
import { mapReads, tensorsOf } from "./rewrite.ts";

/** All tensors that the roots need, the roots included, each after what it reads. Sources come too. */
export function ordered(roots: readonly Tensor[]): readonly Tensor[] {
  const out: Tensor[] = [];
  const state = new Map<Tensor, "open" | "done">();
  const stack: { tensor: Tensor; needs: readonly Tensor[]; next: number }[] = [];
  const enter = (t: Tensor): void => {
    if (state.has(t)) return;
    state.set(t, "open");
    stack.push({ tensor: t, needs: t.body ? tensorsOf(t.body) : [], next: 0 });
  };
  for (const root of roots) {
    enter(root);
    for (let top = stack[stack.length - 1]; top; top = stack[stack.length - 1]) {
      const need = top.needs[top.next++];
      if (need) enter(need);
      else {
        stack.pop();
        state.set(top.tensor, "done");
        out.push(top.tensor);
      }
    }
  }
  return out;
}

/** A definition with its reads already pointing to rebuilt tensors becomes another body, or another tensor, or what becomes of that, stands in its place. */
export type Change = (t: Tensor, body: Expr) => Expr | Tensor;

/**
 * Rebuilds the roots and all they need, producers first. Each definition goes through all changes before the next one does, and what a
 * change defines besides goes through those after it; so readers are rebuilt once, however many changes there are. Also tells what became of that.
 */
export function rebuild(roots: readonly Tensor[], ...changes: readonly Change[]): Map<Tensor, Tensor> {
  const made = new Map<Tensor, Tensor>();
  const results = new Set<Tensor>();
  const settled = (t: Tensor, from: number): Tensor => {
    const known = made.get(t);
    if (known) return known;
    if (!t.body || results.has(t)) return t;
    let result: Expr | Tensor = repointed(t.body, from);
    for (let k = from; k < changes.length && !("axes" in result); k++) {
      if (k > from) result = repointed(result, k);
      result = (changes[k] as Change)(t, result);
    }
    const now = "axes" in result ? (made.get(result) ?? result) : result === t.body ? t : define(t.name, t.axes, result, t.origin);
    made.set(t, now);
    results.add(now);
    return now;
  };
  const repointed = (body: Expr, from: number): Expr => {
    if (tensorsOf(body).every((x) => settled(x, from) === x)) return body;
    return mapReads(body, (r) => {
      const now = settled(r.tensor, from);
      return now === r.tensor ? r : read(now, r.at, r.outside);
    });
  };
  for (const t of ordered(roots)) made.set(t, settled(t, 0));
  return made;
}
