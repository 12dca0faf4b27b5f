// The order of launches: producers before consumers, and nothing is overwritten before its last reader.

import type { Tensor } from "../ir/graph.ts";
import { invariant } from "../report/diagnostic.ts";

/** What ordering must know of a kernel. */
export interface Launch {
  readonly writes: Tensor;
  readonly reads: readonly Tensor[];
}

/**
 * Indices of the launches in a valid order, as near to the given one as possible. `behind` names the launches' tensors that
 * must be complete before a tensor without a launch (a pack of gradients) is read; `overwrites` the old tensors whose memory
 * a launch takes over.
 */
export function orderLaunches(
  launches: readonly Launch[], behind: ReadonlyMap<Tensor, readonly Tensor[]>, overwrites: ReadonlyMap<Tensor, readonly Tensor[]>,
): readonly number[] {
  const writer = new Map(launches.map((l, i) => [l.writes, i]));
  const readers = new Map<Tensor, number[]>();
  launches.forEach((l, i) => {
    for (const t of l.reads) {
      const list = readers.get(t);
      if (list) list.push(i);
      else readers.set(t, [i]);
    }
  });
  const needs = launches.map((l, i) => {
    const set = new Set<number>();
    for (const t of l.reads) {
      const own = writer.get(t);
      if (own !== undefined) set.add(own);
      for (const part of behind.get(t) ?? []) {
        const w = writer.get(part);
        if (w !== undefined) set.add(w);
      }
    }
    for (const old of overwrites.get(l.writes) ?? []) for (const r of readers.get(old) ?? []) set.add(r);
    set.delete(i);
    return set;
  });
  const order: number[] = [];
  const state = new Array<"new" | "open" | "done">(launches.length).fill("new");
  const visit = (start: number): void => {
    const stack = [{ at: start, needs: [...(needs[start] as Set<number>)], next: 0 }];
    state[start] = "open";
    for (let top = stack[stack.length - 1]; top; top = stack[stack.length - 1]) {
      const n = top.needs[top.next++];
      if (n === undefined) {
        stack.pop();
        state[top.at] = "done";
        order.push(top.at);
      } else if (state[n] === "new") {
        state[n] = "open";
        stack.push({ at: n, needs: [...(needs[n] as Set<number>)], next: 0 });
      } else invariant(state[n] === "done", () => `launches ${launches[n]?.writes.name} and ${launches[top.at]?.writes.name} wait for each other`);
    }
  };
  launches.forEach((_, i) => {
    if (state[i] === "new") visit(i);
  });
  return order;
}
