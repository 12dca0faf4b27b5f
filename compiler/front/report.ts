// Where a network's weights are: a tree of blocks with counts.

import { sizeOf, type Graph } from "../ir/graph.ts";

/** A block and what is in it; `count` is the number of learned values. */
export interface Branch {
  readonly name: string;
  readonly path: string;
  readonly count: number;
  readonly tensors: number;
  readonly children: readonly Branch[];
}

interface Growing {
  name: string;
  path: string;
  count: number;
  tensors: number;
  children: Map<string, Growing>;
}

/** The tree of a graph's weights, by the parts of their paths. */
export function tree(graph: Graph): Branch {
  const root: Growing = { name: graph.name, path: "", count: 0, tensors: 0, children: new Map() };
  for (const w of graph.weights) {
    const parts = w.path.split(".");
    let at = root;
    grow(at, sizeOf(w.tensor));
    for (const [i, part] of parts.entries()) {
      let next = at.children.get(part);
      if (!next) {
        next = { name: part, path: parts.slice(0, i + 1).join("."), count: 0, tensors: 0, children: new Map() };
        at.children.set(part, next);
      }
      grow(next, sizeOf(w.tensor));
      at = next;
    }
  }
  return done(root);
}

function grow(b: Growing, count: number): void {
  b.count += count;
  b.tensors++;
}

function done(b: Growing): Branch {
  return { name: b.name, path: b.path, count: b.count, tensors: b.tensors, children: [...b.children.values()].map(done) };
}
