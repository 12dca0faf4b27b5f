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

/**
 * Rebuilds the roots and all they need, producers first. `change` gets each definition with its reads already pointing to
 * the rebuilt tensors and returns its new body, or another tensor to stand in its place.
 */
export function rebuild(roots: readonly Tensor[], change: (t: Tensor, body: Expr) => Expr | Tensor): Map<Tensor, Tensor> {
  const made = new Map<Tensor, Tensor>();
  for (const t of ordered(roots)) {
    if (!t.body) {
      made.set(t, t);
      continue;
    }
    const isSame = tensorsOf(t.body).every((x) => made.get(x) === x);
    const body = isSame ? t.body : mapReads(t.body, (r) => {
      const now = made.get(r.tensor) as Tensor;
      return now === r.tensor ? r : read(now, r.at, r.outside);
    });
    const result = change(t, body);
    if ("axes" in result) made.set(t, result);
    else made.set(t, result === t.body ? t : define(t.name, t.axes, result, t.origin));
  }
  return made;
}
