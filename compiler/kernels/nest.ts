// Which values are computed inside their readers and never stored: those that are wider than what they are made of.

import type { Axis, Expr } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { partsOf, readsOf, tensorsOf } from "../ir/rewrite.ts";

/**
 * What is computed inside its readers: sums that are wider than what they are made of, where that is as fast as to store and load them;
 * all such sums, to save memory; and what follows them point by point.
 */
export type Nested = "cheap" | "sums" | "all";

/** Operations that take as long as it takes to move a byte: by llvmpipe's ceilings, and on a card, which may have several times as many. */
const perByte = { processor: 4, card: 16 };

/** Points of a launch that one invocation takes together at most. */
const most = 64;
/** Terms of a sum that may be taken again for every reader. */
const longest = 512;
/** How many more points than it has a value may be computed at: parts of a sum do not always divide its axis. */
const slack = 1.5;
/** Uses that are followed; a value with more of them is stored. */
const widest = 24;

/** How a launch uses a value: which of the launch's axes, and of its sums' axes, each axis of the value comes from. */
interface Use {
  readonly root: Tensor;
  readonly from: readonly ReadonlySet<Axis>[];
  readonly on: ReadonlySet<Axis>;
}

/**
 * Finds values to nest, going from results to sources. A widened tensor (twice as wide as its sources or more) costs more memory
 * than it is worth where every reader can compute an element just once: the points of the reader that share it are then taken by one
 * invocation, which holds them in registers.
 */
export class Nest {
  readonly #nested: Nested;
  readonly #perByte: number;
  readonly #uses = new Map<Tensor, readonly Use[] | undefined>();
  /** Elements of the smallest values that a definition can be made of. */
  readonly #least = new Map<Tensor, number>();
  readonly #widened = new Set<Tensor>();
  readonly #covered = new Map<Tensor, ReadonlySet<Axis>>();

  /**
   * `order` has all definitions, each after what it reads. With "all" a value that follows a widened sum point by point is
   * nested too: then nothing of that width is stored, and every reader does all of it again.
   */
  constructor(order: readonly Tensor[], nested: Nested, isCard: boolean) {
    this.#nested = nested;
    this.#perByte = isCard ? perByte.card : perByte.processor;
    for (const t of order) {
      const reads = t.body ? tensorsOf(t.body) : [];
      const needed = reads.reduce((n, r) => n + Math.min(sizeOf(r), this.#least.get(r) ?? sizeOf(r)), 0);
      this.#least.set(t, t.body ? needed : sizeOf(t));
      if (t.body && this.#isWidened(t, t.body, reads)) this.#widened.add(t);
    }
  }

  /** Whether a sum of few terms is twice as wide as all that it is made of, or a value follows such a sum point by point. */
  #isWidened(t: Tensor, body: Expr, reads: readonly Tensor[]): boolean {
    const length = lengthOf(body);
    if (length === 1) return this.#nested === "all" && reads.some((r) => this.#widened.has(r) && sizeOf(r) === sizeOf(t));
    // One more time each term is a product and a sum, in place of a store and a load.
    const most = this.#nested === "cheap" ? this.#perByte * (t.half ? 2 : 4) : longest;
    return length <= most && sizeOf(t) >= 1.9 * (this.#least.get(t) ?? Infinity);
  }

  /** The axes of which one invocation of a launch must take all points. */
  coveredBy(root: Tensor): readonly Axis[] {
    return [...(this.#covered.get(root) ?? [])];
  }

  /** Notes how a definition, whose readers are all settled, uses others. */
  note(t: Tensor, body: Expr, isStored: boolean): void {
    const uses = isStored ? [{ root: t, from: t.axes.map((a) => new Set([a])), on: new Set(t.axes) }] : this.#uses.get(t);
    for (const r of readsOf(body)) {
      if (!r.tensor.body) continue;
      const before = this.#uses.has(r.tensor) ? this.#uses.get(r.tensor) : [];
      const now = uses?.map(({ root, from }): Use => {
        const origin = (free: readonly Axis[]): ReadonlySet<Axis> => new Set(free.flatMap((a) => {
          const k = t.axes.indexOf(a);
          return k < 0 ? [a] : [...(from[k] ?? [])];
        }));
        return { root, from: r.at.map((e) => origin(e.free)), on: origin(r.free) };
      });
      this.#uses.set(r.tensor, before && now && before.length + now.length <= widest ? [...before, ...now] : undefined);
    }
  }

  /** Whether a definition is computed inside its readers; if so, they are to cover the axes that it does not depend on. */
  takes(t: Tensor): boolean {
    const uses = this.#uses.get(t);
    if (!uses || uses.length === 0 || t.type !== "real" || !this.#widened.has(t)) return false;
    const wanted = new Map<Tensor, ReadonlySet<Axis>>();
    for (const { root, on } of uses) {
      const points = [...on].reduce((n, a) => n * a.extent, 1);
      if (points > slack * sizeOf(t) || root.type === "wide") return false;
      const shared = root.axes.filter((a) => a.extent > 1 && !on.has(a));
      wanted.set(root, new Set([...(wanted.get(root) ?? this.#covered.get(root) ?? []), ...shared]));
    }
    if ([...wanted.values()].some((axes) => [...axes].reduce((n, a) => n * a.extent, 1) > most)) return false;
    if (this.#nested === "cheap" && (wanted.size > 2 || [...wanted.values()].some((axes) => axes.size > 0))) return false;
    for (const [root, axes] of wanted) this.#covered.set(root, axes);
    return true;
  }
}

/** Terms of the sums in an expression. */
function lengthOf(body: Expr): number {
  let length = 1;
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.kind === "reduce") length *= e.over.reduce((n, a) => n * a.extent, 1);
    partsOf(e).forEach(visit);
  };
  visit(body);
  return length;
}
