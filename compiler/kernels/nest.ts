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
  readonly #order: readonly Tensor[];
  readonly #stored: ReadonlyMap<Tensor, unknown>;
  /** By tensor, the definitions that read it, those after others first; found when first asked for, which mostly nobody does. */
  #readers: ReadonlyMap<Tensor, readonly Tensor[]> | undefined;
  readonly #uses = new Map<Tensor, readonly Use[] | undefined>();
  readonly #widened = new Set<Tensor>();
  readonly #covered = new Map<Tensor, ReadonlySet<Axis>>();

  /**
   * `order` has all definitions, each after what it reads; `stored` is to hold those that are stored of all whose turn has come. With "all" a value
   * that follows a widened sum point by point is nested too: then nothing of that width is stored, and every reader does all of it again.
   */
  constructor(order: readonly Tensor[], stored: ReadonlyMap<Tensor, unknown>, nested: Nested, isCard: boolean) {
    this.#nested = nested;
    this.#perByte = isCard ? perByte.card : perByte.processor;
    this.#order = order;
    this.#stored = stored;
    /** Elements of the smallest values that a definition can be made of. */
    const least = new Map<Tensor, number>();
    for (const t of order) {
      const reads = t.body ? tensorsOf(t.body) : [];
      let needed = 0;
      for (const r of reads) needed += Math.min(sizeOf(r), least.get(r) ?? sizeOf(r));
      least.set(t, t.body ? needed : sizeOf(t));
      if (t.body && this.#isWidened(t, t.body, reads, needed)) this.#widened.add(t);
    }
  }

  /** Whether a sum of few terms is twice as wide as all that it is made of, or a value follows such a sum point by point. */
  #isWidened(t: Tensor, body: Expr, reads: readonly Tensor[], needed: number): boolean {
    const isWider = sizeOf(t) >= 1.9 * needed;
    const isFollowing = this.#nested === "all" && reads.some((r) => this.#widened.has(r) && sizeOf(r) === sizeOf(t));
    if (!isWider && !isFollowing) return false;
    const length = lengthOf(body);
    if (length === 1) return isFollowing;
    // One more time each term is a product and a sum, in place of a store and a load.
    return isWider && length <= (this.#nested === "cheap" ? this.#perByte * (t.half ? 2 : 4) : longest);
  }

  /** The axes of which one invocation of a launch must take all points. */
  coveredBy(root: Tensor): readonly Axis[] {
    return [...(this.#covered.get(root) ?? [])];
  }

  /** How launches use a value whose readers are all settled; undefined where there are too many uses to follow. */
  #usesOf(t: Tensor): readonly Use[] | undefined {
    if (!this.#uses.has(t)) this.#uses.set(t, this.#followed(t));
    return this.#uses.get(t);
  }

  #followed(t: Tensor): readonly Use[] | undefined {
    this.#readers ??= readersIn(this.#order);
    const found: Use[] = [];
    for (const by of this.#readers.get(t) ?? []) {
      const uses = this.#stored.has(by) ? [{ root: by, from: by.axes.map((a) => new Set([a])) }] : this.#usesOf(by);
      if (!uses) return undefined;
      for (const r of readsOf(by.body as Expr)) {
        if (r.tensor !== t) continue;
        for (const { root, from } of uses) {
          const origin = (free: readonly Axis[]): ReadonlySet<Axis> => new Set(free.flatMap((a) => {
            const k = by.axes.indexOf(a);
            return k < 0 ? [a] : [...(from[k] ?? [])];
          }));
          found.push({ root, from: r.at.map((e) => origin(e.free)), on: origin(r.free) });
        }
        if (found.length > widest) return undefined;
      }
    }
    return found;
  }

  /** Whether a definition, whose readers are all settled, is computed inside them; if so, they are to cover the axes that it does not depend on. */
  takes(t: Tensor): boolean {
    if (t.type !== "real" || !this.#widened.has(t)) return false;
    const uses = this.#usesOf(t);
    if (!uses || uses.length === 0) return false;
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

function readersIn(order: readonly Tensor[]): ReadonlyMap<Tensor, readonly Tensor[]> {
  const readers = new Map<Tensor, Tensor[]>();
  for (let i = order.length - 1; i >= 0; i--) {
    const t = order[i] as Tensor;
    for (const r of t.body ? tensorsOf(t.body) : []) {
      const list = readers.get(r);
      if (list) list.push(t);
      else readers.set(r, [t]);
    }
  }
  return readers;
}

/** Terms of the sums in an expression. */
function lengthOf(body: Expr): number {
  let length = 1;
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (!e.reduces || seen.has(e)) return;
    seen.add(e);
    if (e.kind === "reduce") length *= e.over.reduce((n, a) => n * a.extent, 1);
    partsOf(e).forEach(visit);
  };
  visit(body);
  return length;
}
