// What a tile costs: loads, tests, turns of loops and products per point, in multiplications.

import type { Axis } from "../ir/expr.ts";
import type { Lanes, Schedule } from "./kernel.ts";
import { isRow, type Sum, type Touch } from "./touch.ts";
import { four } from "./vector.ts";

/** Terms from which on a sum is long. */
export const longSum = 32;
/** Products written out in the body of the innermost loop: so many cost nothing, and as many more should save a tenth. */
const comfortable = 96;
const lengthy = 0.1;
/** Costs in multiplications, and how much an invocation has room for. */
export interface Costs {
  /** Most accumulators that one invocation keeps, and most for long sums, where filling and emptying them does not count. */
  readonly registers: number;
  readonly longRegisters: number;
  /** Most products written out in the body of the innermost loop. */
  readonly longest: number;
  /** A load of one element, and of four side by side. */
  readonly load: number;
  readonly row: number;
  /** The test of a view. */
  readonly view: number;
  /** One turn of a loop, and each accumulator in it. */
  readonly turn: number;
  readonly keep: number;
}
const card: Costs = { registers: 32, longRegisters: 32, longest: 96, load: 3, row: 7, view: 3, turn: 5, keep: 0 };
/** On a processor every invocation of a subgroup loads by itself, with a test of its own, and blends its accumulators in every turn. */
const processor: Costs = { registers: 32, longRegisters: 64, longest: 192, load: 12, row: 28, view: 3, turn: 5, keep: 1 };
/** To take from another invocation of the subgroup what it has loaded. */
const handed = 0.5;
export const costsOf = ({ mates }: Lanes): Costs => (mates === undefined ? card : processor);

export interface Tile {
  readonly tile: ReadonlyMap<Axis, number>;
  readonly unrolled: ReadonlySet<Axis>;
  readonly vector: Axis | undefined;
  readonly subgroup: Extract<Schedule, { strategy: "map" }>["subgroup"];
}

/** Points of a tile, a vector counted as one. */
export const widthOf = (tile: ReadonlyMap<Axis, number>): number => [...tile.values()].reduce((n, w) => n * w, 1);

/** How many tiles that are `width` wide lie along an axis; the last two may overlap. */
export const tilesAlong = (a: Axis, width: number): number => Math.ceil(a.extent / width);

/** Whether neighbours along an axis of the tile, which are wanted one by one, can be loaded four at a time. */
export function inRows(t: Touch, tile: ReadonlyMap<Axis, number>, vector: Axis | undefined): boolean {
  if (vector && t.axes.includes(vector)) return false;
  for (const [a, w] of tile) if (w % four === 0 && a !== vector && isRow(t, a)) return true;
  return false;
}

/** The cost of what a read needs for four points along an axis. */
export function priceOfLoad(t: Touch, a: Axis, cost: Costs): number {
  return !t.axes.includes(a) ? cost.load : isRow(t, a) ? cost.row : four * cost.load;
}

/** A read with numbers in place of axes. */
interface Reading {
  /** By axis, whether it depends on it, and whether four points along it are read in one go. */
  readonly on: readonly boolean[];
  readonly rows: readonly boolean[];
  /** Whether two axes move one index by the same step. */
  readonly overlaps: boolean;
  /** By index, the axes that it moves with, and by what step; no number where it moves in another way. */
  readonly dimensions: readonly { readonly isViewed: boolean; readonly axes: readonly number[]; readonly steps: readonly number[] }[];
}

/** A sum with numbers in place of axes. */
interface Term {
  readonly sum: Sum;
  /** The axes that it runs over, those of the sums around it first. */
  readonly loops: readonly number[];
  /** By axis, whether it depends on it. */
  readonly free: readonly boolean[];
  readonly reads: readonly Reading[];
  /** The axes that each of its tests depends on. */
  readonly where: readonly (readonly number[])[];
}

/** What the sums of a launch cost, tile by tile: many are compared, so all that is the same for all of them is looked up once. */
export class Prices {
  readonly #cost: Costs;
  readonly #axes: readonly Axis[];
  readonly #numbers: ReadonlyMap<Axis, number>;
  readonly #terms: readonly Term[];

  /** For sums of a launch over `axes`. */
  constructor(axes: readonly Axis[], sums: readonly Sum[], cost: Costs) {
    this.#cost = cost;
    this.#axes = [...new Set([...axes, ...sums.flatMap((s) => [...s.around, ...s.over])])];
    this.#numbers = new Map(this.#axes.map((a, i) => [a, i]));
    this.#terms = sums.map((sum) => ({
      sum, loops: this.#of([...sum.around, ...sum.over]), free: this.#axes.map((a) => sum.free.has(a)),
      reads: sum.reads.map((touch) => this.#reading(touch)), where: sum.where.map((w) => this.#of(w.free)),
    }));
  }

  #of(axes: Iterable<Axis>): readonly number[] {
    return [...axes].flatMap((a) => this.#numbers.get(a) ?? []);
  }

  #reading(touch: Touch): Reading {
    const dimensions = touch.dimensions.map((moves, k) => {
      const known = [...moves].filter(([a]) => this.#numbers.has(a));
      return { isViewed: touch.viewed[k] ?? false, axes: this.#of(known.map(([a]) => a)), steps: known.map(([, step]) => Math.abs(step ?? NaN)) };
    });
    const overlaps = dimensions.some(({ steps }) => steps.some((s, i) => steps.indexOf(s) < i && s > 0));
    return { on: this.#axes.map((a) => touch.axes.includes(a)), rows: this.#axes.map((a) => isRow(touch, a)), overlaps, dimensions };
  }

  /** A tile, with four points along `vector`, an axis of the kernel where `isOut`, and the ways in which a subgroup may lie. */
  laid(tile: Tile["tile"], vector: Axis | undefined, isOut: boolean, ways: readonly Tile["subgroup"][]): Laid {
    const widths = this.#axes.map((a) => tile.get(a) ?? 0);
    const order = this.#of(tile.keys());
    const points = order.reduce((n, i) => {
      const [a, w] = [this.#axes[i] as Axis, widths[i] as number];
      return a === vector ? n * w : (n * a.extent) / tilesAlong(a, w);
    }, isOut ? four : 1);
    const along = ways.map((way) => way && this.#axes.map((a) => way.along.includes(a)));
    return { tile, ways, widths, order, points, along, fours: vector === undefined ? -1 : (this.#numbers.get(vector) ?? -1) };
  }

  /**
   * The cost of all sums per point of the kernel, of which those where tiles overlap count once, for each way in which a subgroup may lie;
   * undefined where a tile has too much text.
   */
  of(laid: Laid, unrolled: ReadonlySet<Axis>): readonly number[] | undefined {
    const totals = laid.ways.map(() => 0);
    for (const term of this.#terms) {
      const costs = this.#costs(term, laid, unrolled);
      if (!costs) return undefined;
      for (let k = 0; k < costs.length; k++) totals[k] = (totals[k] as number) + (costs[k] as number) / laid.points;
    }
    return totals;
  }

  #costs({ sum, loops, free, reads, where }: Term, { widths, order, fours, ways, along }: Laid, unrolled: ReadonlySet<Axis>): readonly number[] | undefined {
    const cost = this.#cost;
    const written = loops.filter((i) => unrolled.has(this.#axes[i] as Axis));
    // Points of the tile that differ only along other axes share them.
    let [own, turns, copies] = [1, 1, 1];
    for (const i of order) if (free[i]) own *= widths[i] as number;
    for (const i of loops) turns *= (this.#axes[i] as Axis).extent;
    for (const i of written) copies *= (this.#axes[i] as Axis).extent;
    turns /= copies;
    copies *= own;
    const isLooped = loops.includes(fours);
    if (isLooped) turns /= four;
    const side = isLooped || free[fours] ? four : 1;
    if (copies * side > cost.longest && copies > 1) return undefined;
    const spread = order.filter((i) => free[i]);
    const met = new Array<number>(this.#axes.length).fill(0);
    for (const i of spread) met[i] = widths[i] as number;
    const inner = spread.length;
    for (const i of written) {
      spread.push(i);
      met[i] = (this.#axes[i] as Axis).extent;
    }
    const loads = new Array<number>(ways.length).fill(0);
    for (const r of reads) {
      const count = distinct(r, spread, met);
      const views = tested(r, free, widths, written, this.#axes);
      const isLaned = r.on[fours] ?? false;
      let apart = !isLaned ? cost.load : r.rows[fours] ? cost.row : four * cost.load;
      for (let k = 0; k < inner && !isLaned; k++) {
        const i = spread[k] as number;
        if ((met[i] as number) % four === 0 && r.rows[i]) apart = cost.row / four;
      }
      const shared = count * (isLaned ? four : 1);
      for (let k = 0; k < ways.length; k++) {
        const [way, beside] = [ways[k], along[k]];
        const isApart = beside !== undefined && r.on.some((on, i) => on && beside[i]);
        const tests = isApart && r.dimensions.some((d) => d.isViewed && d.axes.some((i) => beside[i])) ? 1 : views;
        const more = way && !isApart && shared > 1 ? Math.ceil(shared / way.size) * cost.load + shared * handed + count * tests * cost.view : count * (apart + tests * cost.view);
        loads[k] = (loads[k] as number) + more;
      }
    }
    const text = 1 + lengthy * Math.max(0, (copies * side) / comfortable - 1);
    const turning = turns > 1 ? cost.turn + cost.keep * own * side * sum.together : 0;
    return loads.map((n, k) => {
      // A test that differs between the points of a tile, or of a subgroup, cannot stand outside the loop.
      const tests = where.filter((on) => on.some((i) => met[i] || along[k]?.[i])).length * copies;
      return text * turns * (n + tests + copies * side * sum.work + turning);
    });
  }
}

/** A tile with numbers in place of axes. */
interface Laid extends Pick<Tile, "tile"> {
  readonly ways: readonly Tile["subgroup"][];
  /** By axis, how many points of it. */
  readonly widths: readonly number[];
  /** Its axes in their order. */
  readonly order: readonly number[];
  /** Points that it has alone. */
  readonly points: number;
  /** By way and axis, whether the subgroup lies along it. */
  readonly along: readonly (readonly boolean[] | undefined)[];
  /** The axis of the vector; -1 where there is none, or not in these sums. */
  readonly fours: number;
}

/**
 * The share of a read's loads that need a test of their own. One that all points of a tile have in common stands outside; where
 * neighbouring points meet neighbouring taps, only the outermost can lie outside.
 */
function tested(r: Reading, free: readonly boolean[], widths: readonly number[], written: readonly number[], all: readonly Axis[]): number {
  let outside = 1;
  for (const { isViewed, axes } of r.dimensions) {
    if (!isViewed) continue;
    let [points, taps] = [1, 1];
    for (const i of axes) if (free[i]) points *= widths[i] || 1;
    for (const i of written) if (axes.includes(i)) taps *= (all[i] as Axis).extent;
    if (taps > 1) outside *= points > 1 ? points / (points + taps - 1) : 0;
    else if (points > 1) outside = 0;
  }
  return 1 - outside;
}

/**
 * How many different elements a read touches over the points of a tile and the turns written out, `spread` so many wide. Axes that
 * move one index by the same step overlap (`t + k`); all others multiply.
 */
function distinct({ on, overlaps, dimensions }: Reading, spread: readonly number[], widths: readonly number[]): number {
  let count = 1;
  if (!overlaps) {
    for (const a of spread) if (on[a]) count *= widths[a] as number;
    return count;
  }
  const met: number[] = [];
  for (const a of spread) {
    if (!on[a] || met.includes(a)) continue;
    let reach = widths[a] as number;
    for (const { axes, steps } of dimensions) {
      const step = steps[axes.indexOf(a)];
      for (let k = 0; k < axes.length; k++) {
        const b = axes[k] as number;
        if (steps[k] !== step || b === a || !widths[b] || met.includes(b)) continue;
        met.push(b);
        reach += (widths[b] as number) - 1;
      }
    }
    count *= reach;
  }
  return count;
}
