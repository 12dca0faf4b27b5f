// Which transient values live when, and which of them are written where another one lies that is read there for the last time.

import { sizeOf, type Tensor } from "../ir/graph.ts";
import { readsOf } from "../ir/rewrite.ts";
import { isOwnPoint, longAxes, type Kernel, type Result } from "../kernels/kernel.ts";
import type { Launch } from "../kernels/ranges.ts";
import { bytesOf, type Storage } from "./storage.ts";

/** Values that lie at one place one after the other, and the launches with which the place is first and last in use. */
export interface Stay {
  readonly tensors: readonly Tensor[];
  readonly first: number;
  readonly last: number;
}

export interface Stays {
  /** In the order in which they begin. */
  readonly stays: readonly Stay[];
  /** What is written over what. */
  readonly over: ReadonlyMap<Tensor, Tensor>;
}

/**
 * Values that a result of a launch may be written over, if nobody reads them later: the launch reads them only at the point that an invocation
 * writes, and each invocation reads before it writes. By result, where there are any.
 */
export function replaceable(results: readonly Pick<Result, "root" | "body" | "at">[], axes = longAxes((results[0] as Result).root)): ReadonlyMap<Tensor, readonly Tensor[]> {
  const isOwn = new Map<Tensor, boolean>();
  for (const { body } of results) {
    for (const r of readsOf(body)) if (isOwn.get(r.tensor) !== false) isOwn.set(r.tensor, r.outside === "never" && isOwnPoint(r, axes));
  }
  const found = new Map<Tensor, readonly Tensor[]>();
  for (const { root, at } of results) {
    if (at || root.type === "wide" || longAxes(root).length !== axes.length) continue;
    const olds: Tensor[] = [];
    for (const [t, own] of isOwn) if (own && sizeOf(t) === sizeOf(root) && t.type === root.type && t.half === root.half) olds.push(t);
    if (olds.length > 0) found.set(root, olds);
  }
  return found;
}

/**
 * Pairs of a new value and the old one that it is written over in some launch. `isLast` tells whether no later launch needs a value, and that it is transient.
 */
export function taken(kernels: readonly Kernel[], choices: (k: Kernel) => ReadonlyMap<Tensor, readonly Tensor[]>, mayLie: (t: Tensor) => boolean, isLast: (t: Tensor) => boolean): readonly (readonly [Tensor, Tensor])[] {
  const pairs: (readonly [Tensor, Tensor])[] = [];
  const gone = new Set<Tensor>();
  for (const k of kernels) {
    for (const [root, olds] of choices(k)) {
      if (!mayLie(root)) continue;
      const old = olds.find((t) => !gone.has(t) && isLast(t) && kernels.every((other) => other === k || other.results.every((r) => readsOf(r.body).every((x) => x.tensor !== t))));
      if (!old) continue;
      gone.add(old);
      pairs.push([root, old]);
    }
  }
  return pairs;
}

/** Where the transient values of some launches stay. */
export function staysOf(launches: readonly Launch[], storage: Storage): Stays {
  const life = new Map<Tensor, { first: number; last: number }>();
  launches.forEach(({ loops: { writes, reads } }, at) => {
    for (const t of [...writes, ...reads]) {
      const l = life.get(t);
      if (l) l.last = at;
      else life.set(t, { first: at, last: at });
    }
  });
  for (const t of storage.atEnd) {
    const l = life.get(t);
    if (l) l.last = launches.length;
  }
  const isTransient = (t: Tensor): boolean => !storage.own.has(t);
  const over = new Map(launches.flatMap(({ kernels }, at) => taken(kernels, (k) => replaceable(k.results, k.axes), isTransient, (t) => {
    const l = life.get(t);
    return isTransient(t) && l !== undefined && l.last === at && l.first < at && bytesOf(t) > 0;
  })));
  const olds = new Map([...over].map(([next, old]) => [old, next]));
  const stays = [...life].flatMap(([t, { first }]): readonly Stay[] => {
    if (!isTransient(t) || over.has(t)) return [];
    const tensors = [t];
    for (let next = olds.get(t); next; next = olds.get(next)) tensors.push(next);
    return [{ tensors, first, last: Math.max(...tensors.map((x) => life.get(x)?.last ?? first)) }];
  });
  return { stays, over };
}
