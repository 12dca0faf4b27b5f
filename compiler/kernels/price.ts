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
  /** By axis, the others that move one index by the same step; undefined where there are none at all. */
  readonly beside: readonly (readonly number[])[] | undefined;
  /** The axes of each index that may lie outside. */
  readonly views: readonly (readonly number[])[];
  /** The kernel's axes that it depends on, and that such an index does, as bits. */
  readonly bits: number;
  readonly viewed: number;
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

/** A tile with numbers in place of the kernel's axes. */
export interface Shape {
  /** Its axes in their order. */
  readonly order: readonly number[];
  /** By axis, how many points of it; 0 where it has no tile. */
  readonly widths: readonly number[];
  /** Points that it has alone. */
  readonly points: number;
  /** How a subgroup may lie: the axes that it lies along as bits. The first way is to have none. */
  readonly ways: readonly number[];
}

/** What the sums of a launch touch, with numbers in place of axes: many tiles are compared, so all that is the same for them is looked up once. */
export class Prices {
  readonly #cost: Costs;
  readonly #mates: number;
  /** Those of the kernel first, which are no more than a number has bits, since each has two points at least. */
  readonly #axes: readonly Axis[];
  readonly #kernel: number;
  readonly #terms: readonly Term[];

  /** For sums of a launch over `axes`, and subgroups of `mates`. */
  constructor(axes: readonly Axis[], sums: readonly Sum[], cost: Costs, mates: number) {
    this.#cost = cost;
    this.#mates = mates;
    this.#axes = [...new Set([...axes, ...sums.flatMap((s) => [...s.around, ...s.over])])];
    this.#kernel = axes.length;
    this.#terms = sums.map((sum) => ({
      sum, loops: this.#of([...sum.around, ...sum.over]), free: this.#axes.map((a) => sum.free.has(a)),
      reads: sum.reads.map((touch) => this.#reading(touch)), where: sum.where.map((w) => this.#of(w.free)),
    }));
  }

  #of(axes: readonly Axis[]): readonly number[] {
    return axes.map((a) => this.#axes.indexOf(a)).filter((i) => i >= 0);
  }

  #bits(axes: readonly number[]): number {
    return axes.reduce((bits, i) => (i < this.#kernel ? bits | (1 << i) : bits), 0);
  }

  #reading(touch: Touch): Reading {
    const moves = touch.dimensions.map((d) => [...d].map(([a, step]) => ({ axis: this.#axes.indexOf(a), step: Math.abs(step ?? NaN) })).filter((m) => m.axis >= 0));
    const views = moves.filter((_, k) => touch.viewed[k]).map((all) => all.map((m) => m.axis));
    const beside = this.#axes.map((_, i) => moves.flatMap((all) => {
      const own = all.find((m) => m.axis === i);
      return own ? all.filter((m) => m !== own && m.step === own.step).map((m) => m.axis) : [];
    }));
    return {
      on: this.#axes.map((a) => touch.axes.includes(a)), rows: this.#axes.map((a) => isRow(touch, a)), beside: beside.some((b) => b.length > 0) ? beside : undefined,
      views, bits: this.#bits(this.#of(touch.axes)), viewed: this.#bits(views.flat()),
    };
  }

  /** The sets of the kernel's axes that what the sums read depends on, as bits. */
  dependences(): readonly number[] {
    return [...new Set(this.#terms.flatMap((t) => t.reads.map((r) => r.bits)))];
  }

  /** What tiles cost with four points along `vector` side by side, and loops along some axes written out. */
  written(vector: Axis | undefined, unrolled: ReadonlySet<Axis>): Written {
    const fours = vector === undefined ? -1 : this.#axes.indexOf(vector);
    const extents = this.#axes.map((a) => (unrolled.has(a) ? a.extent : 0));
    const extent = (n: number, i: number): number => n * (this.#axes[i] as Axis).extent;
    const terms = this.#terms.map((term): WrittenTerm => {
      const isLooped = term.loops.includes(fours);
      const loops = term.loops.filter((i) => extents[i]);
      const copies = loops.reduce(extent, 1);
      const where = term.where.filter((on) => !on.some((i) => extents[i]));
      return {
        term, loops, copies, turns: term.loops.reduce(extent, 1) / copies / (isLooped ? four : 1), side: isLooped || term.free[fours] ? four : 1,
        inside: term.where.length - where.length, where: where.map((on) => this.#bits(on)),
        reads: term.reads.map((reading) => ({
          reading, isLaned: reading.on[fours] ?? false, load: !reading.on[fours] ? this.#cost.load : reading.rows[fours] ? this.#cost.row : four * this.#cost.load,
          views: reading.views.map((view) => ({ near: view.filter((i) => i < this.#kernel), taps: loops.filter((i) => view.includes(i)).reduce(extent, 1) })),
        })),
      };
    });
    return new Written(terms, extents, this.#cost, this.#mates);
  }
}

/** A sum with some of its loops written out. */
interface WrittenTerm {
  readonly term: Term;
  readonly loops: readonly number[];
  /** Copies of its body, turns of the loops that are left, and points side by side. */
  readonly copies: number;
  readonly turns: number;
  readonly side: number;
  readonly reads: readonly WrittenReading[];
  /** Tests that stand inside whatever the tile is, and the kernel's axes that each of the others depends on, as bits. */
  readonly inside: number;
  readonly where: readonly number[];
}

/** A read in such a sum: whether points side by side read elements of their own, and what that costs, or else the one load. */
interface WrittenReading {
  readonly reading: Reading;
  readonly isLaned: boolean;
  readonly load: number;
  /** For each index that may lie outside, the kernel's axes that it moves with, and how many taps are written out. */
  readonly views: readonly { readonly near: readonly number[]; readonly taps: number }[];
}

/** The sums of a launch, some of their loops written out. */
export class Written {
  readonly #terms: readonly WrittenTerm[];
  readonly #extents: readonly number[];
  readonly #cost: Costs;
  readonly #mates: number;

  /** `extents` has, by axis, the turns that are written out, or 0. */
  constructor(terms: readonly WrittenTerm[], extents: readonly number[], cost: Costs, mates: number) {
    [this.#terms, this.#extents, this.#cost, this.#mates] = [terms, extents, cost, mates];
  }

  /**
   * The cost of all sums per point of the kernel, of which those where tiles overlap count once, for each way in which a subgroup may lie;
   * undefined where a tile has too much text.
   */
  of(shape: Shape): readonly number[] | undefined {
    const widths = this.#extents.slice();
    for (let i = 0; i < shape.widths.length; i++) widths[i] = shape.widths[i] as number;
    const totals = new Array<number>(shape.ways.length).fill(0);
    for (let t = 0; t < this.#terms.length; t++) if (!this.#add(this.#terms[t] as WrittenTerm, shape, widths, totals)) return undefined;
    return totals;
  }

  /** Adds what a sum costs to the totals; tells whether its text is short enough. `widths` has the loops written out as well. */
  #add({ term, loops, copies: written, turns, side, reads, inside, where }: WrittenTerm, { order, ways, points }: Shape, widths: readonly number[], totals: number[]): boolean {
    const cost = this.#cost;
    // Points of the tile that differ only along other axes share them.
    let [own, tile] = [1, 0];
    for (let k = 0; k < order.length; k++) {
      const i = order[k] as number;
      if (!term.free[i]) continue;
      own *= widths[i] as number;
      tile |= 1 << i;
    }
    const copies = written * own;
    if (copies * side > cost.longest && copies > 1) return false;
    const spread = order.concat(loops);
    const loads = new Array<number>(ways.length).fill(0);
    for (let n = 0; n < reads.length; n++) {
      const { reading, isLaned, load, views } = reads[n] as WrittenReading;
      const count = distinct(reading, spread, widths);
      const share = tested(views, widths);
      let apart = load;
      for (let k = 0; k < order.length && !isLaned; k++) {
        const i = order[k] as number;
        if ((widths[i] as number) % four === 0 && reading.rows[i]) apart = cost.row / four;
      }
      const shared = count * (isLaned ? four : 1);
      for (let k = 0; k < ways.length; k++) {
        const way = ways[k] as number;
        const isApart = (reading.bits & way) !== 0;
        const tests = (reading.viewed & way) !== 0 ? 1 : share;
        const more = k > 0 && !isApart && shared > 1 ? Math.ceil(shared / this.#mates) * cost.load + shared * handed + count * tests * cost.view : count * (apart + tests * cost.view);
        loads[k] = (loads[k] as number) + more;
      }
    }
    const text = 1 + lengthy * Math.max(0, (copies * side) / comfortable - 1);
    const turning = turns > 1 ? cost.turn + cost.keep * own * side * term.sum.together : 0;
    for (let k = 0; k < ways.length; k++) {
      // A test that differs between the points of a tile, or of a subgroup, cannot stand outside the loop.
      let tests = inside;
      for (let n = 0; n < where.length; n++) if ((where[n] as number) & (tile | (ways[k] as number))) tests++;
      totals[k] = (totals[k] as number) + (text * turns * ((loads[k] as number) + tests * copies + copies * side * term.sum.work + turning)) / points;
    }
    return true;
  }
}

/**
 * The share of a read's loads that need a test of their own. One that all points of a tile have in common stands outside; where
 * neighbouring points meet neighbouring taps, only the outermost can lie outside.
 */
function tested(views: WrittenReading["views"], widths: readonly number[]): number {
  let outside = 1;
  for (let k = 0; k < views.length; k++) {
    const { near, taps } = views[k] as WrittenReading["views"][number];
    let points = 1;
    for (let n = 0; n < near.length; n++) points *= widths[near[n] as number] || 1;
    if (taps > 1) outside *= points > 1 ? points / (points + taps - 1) : 0;
    else if (points > 1) outside = 0;
  }
  return 1 - outside;
}

/**
 * How many different elements a read touches over the points of a tile and the turns written out, `spread` so many wide. Axes that
 * move one index by the same step overlap (`t + k`); all others multiply.
 */
function distinct({ on, beside }: Reading, spread: readonly number[], widths: readonly number[]): number {
  let count = 1;
  if (!beside) {
    for (let k = 0; k < spread.length; k++) if (on[spread[k] as number]) count *= widths[spread[k] as number] as number;
    return count;
  }
  const met: number[] = [];
  for (const a of spread) {
    if (!on[a] || met.includes(a)) continue;
    let reach = widths[a] as number;
    for (const b of beside[a] as readonly number[]) {
      if (!widths[b] || met.includes(b)) continue;
      met.push(b);
      reach += (widths[b] as number) - 1;
    }
    count *= reach;
  }
  return count;
}
