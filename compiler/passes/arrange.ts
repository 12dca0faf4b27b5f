// Which axis of every value lies innermost in memory: the one along which four neighbours can be loaded at once most often.

import { affine, picked } from "../ir/affine.ts";
import { read, type Axis, type Expr } from "../ir/expr.ts";
import { Notes } from "../ir/notes.ts";
import { define, sizeOf, source, type Tensor } from "../ir/graph.ts";
import { ordered } from "../ir/order.ts";
import { mapReads, readsOf } from "../ir/rewrite.ts";

/** Neighbours that are loaded at once. */
const together = 4;

/** What arranging must know of the roles of tensors. */
export interface Roles {
  /** Tensors whose axes stay in their order. */
  readonly fixed: ReadonlySet<Tensor>;
  /** Tensors of equal shape that lie alike: a weight and its gradient. */
  readonly alike: readonly (readonly Tensor[])[];
}

/** Every rebuilt tensor, and for sources whose axes moved, which of the declared axes lies where. */
export interface Arranged {
  readonly tensors: Map<Tensor, Tensor>;
  readonly orders: ReadonlyMap<Tensor, readonly number[]>;
}

/**
 * Moves one axis of each tensor to the end, where that helps. Axes that walk together through reads count as one, so that
 * values that meet lie alike: channels, which no read shifts, come out innermost, and voxels keep their order.
 */
export function arrange(roots: readonly Tensor[], { fixed, alike }: Roles): Arranged {
  const all = ordered(roots);
  const classes = new Classes();
  for (const group of alike) for (const t of group) t.axes.forEach((a, k) => classes.join(a, (group[0] as Tensor).axes[k] as Axis));
  for (const t of all) if (t.body) weigh(t, t.body, classes);
  const leader = new Map(alike.flatMap((group) => group.map((t) => [t, group[0] as Tensor] as const)));
  const orders = new Map<Tensor, readonly number[]>();
  const orderOf = (t: Tensor): readonly number[] | undefined => {
    const lead = leader.get(t) ?? t;
    if (fixed.has(t) || (!lead.body && !leader.has(t))) return undefined;
    return innermostLast(lead, classes);
  };
  const tensors = new Map<Tensor, Tensor>();
  for (const t of all) {
    const order = orderOf(t);
    const axes = order ? order.map((k) => t.axes[k] as Axis) : t.axes;
    if (order) orders.set(t, order);
    if (!t.body) {
      tensors.set(t, order ? source(t.name, axes.map((a) => a.extent), t.origin, t.type) : t);
      continue;
    }
    const body = mapReads(t.body, (r) => {
      const now = tensors.get(r.tensor) as Tensor;
      const moved = orders.get(r.tensor);
      return now === r.tensor ? r : read(now, moved ? moved.map((k) => r.at[k] as Expr) : r.at, r.outside);
    });
    tensors.set(t, body === t.body && !order ? t : define(t.name, axes, body, t.origin));
  }
  return { tensors, orders };
}

/** The axes with the best one last; undefined where they may stay. */
function innermostLast(t: Tensor, classes: Classes): readonly number[] | undefined {
  let best: { k: number; score: number } | undefined;
  t.axes.forEach((a, k) => {
    if (a.extent % together !== 0) return;
    const score = classes.score(a);
    if (score <= 0) return;
    // Of equals the longer one, then the one that is last already.
    const bestExtent = best ? (t.axes[best.k] as Axis).extent : 0;
    if (!best || score > best.score || (score === best.score && a.extent >= bestExtent)) best = { k, score };
  });
  if (!best) return undefined;
  const last = best.k;
  if (t.axes.slice(last + 1).every((a) => a.extent === 1)) return undefined;
  return [...t.axes.keys()].filter((k) => k !== last).concat(last);
}

/** Counts, for every axis that a read runs along, the loads that find four neighbours and those that do not. */
function weigh(t: Tensor, body: Expr, classes: Classes): void {
  const length = body.kind === "reduce" ? body.over.reduce((n, a) => n * a.extent, 1) : 1;
  const loads = sizeOf(t) * length;
  for (const e of readsOf(body)) {
    e.at.forEach((at, k) => {
      const own = e.tensor.axes[k] as Axis;
      if (at.free.length === 0) return;
      if (at.kind === "axis") {
        classes.join(own, at.axis);
        classes.add(own, loads);
        return;
      }
      const sum = affine(at);
      const units = picked(sum, 0, (_, c) => c % together !== 0);
      const isStraight = units.atoms.length === 1 && units.factors[0] === 1 && units.atoms[0]?.kind === "axis" && sum.constant % together === 0 && e.outside !== "edge";
      classes.add(own, isStraight ? loads : -loads);
      for (const a of at.free) if (a.extent % together === 0) classes.add(a, isStraight && at.free.length === 1 ? loads : -loads);
    });
  }
}

/** Sets of axes that lie alike, each with its loads: in all, and straight ones less the others. */
class Classes {
  readonly #parent = new Notes<Axis>();
  readonly #loads = new Notes<{ all: number; net: number }>();

  #root(a: Axis): Axis {
    let at = a;
    for (let up = this.#parent.get(at); up; up = this.#parent.get(at)) at = up;
    if (at !== a) this.#parent.set(a, at);
    return at;
  }

  join(a: Axis, b: Axis): void {
    const [p, q] = [this.#root(a), this.#root(b)];
    if (p === q || p.extent !== q.extent) return;
    this.#parent.set(p, q);
    this.#count(q, this.#of(p).all, this.#of(p).net);
  }

  add(a: Axis, loads: number): void {
    this.#count(this.#root(a), Math.abs(loads), loads);
  }

  /** From -1, where no load is straight, to 1, where all are: a share, so that axes of many values and of few compare. */
  score(a: Axis): number {
    const { all, net } = this.#of(this.#root(a));
    return all === 0 ? 0 : net / all;
  }

  #of(root: Axis): { readonly all: number; readonly net: number } {
    return this.#loads.get(root) ?? { all: 0, net: 0 };
  }

  #count(root: Axis, all: number, net: number): void {
    const known = this.#loads.get(root);
    if (known) {
      known.all += all;
      known.net += net;
    } else this.#loads.set(root, { all, net });
  }
}
