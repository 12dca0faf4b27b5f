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
  return [...tile].some(([a, w]) => w % four === 0 && a !== vector && isRow(t, a));
}

/** The cost of what a read needs for four points along an axis. */
export function priceOfLoad(t: Touch, a: Axis, cost: Costs): number {
  return !t.axes.includes(a) ? cost.load : isRow(t, a) ? cost.row : four * cost.load;
}

/** The cost of sums per point of the kernel, of which those where tiles overlap count once. */
export function priceOf(sum: Sum, { tile, unrolled, vector, subgroup }: Tile, isOut: boolean, cost: Costs): number {
  // Points of the tile that differ only along other axes share them.
  const own = new Map([...tile].filter(([a]) => sum.free.has(a)));
  const loops = [...sum.around, ...sum.over];
  const isFours = vector !== undefined && (loops.includes(vector) || sum.free.has(vector));
  const side = isFours ? four : 1;
  const written = loops.filter((a) => unrolled.has(a));
  const turns = loops.reduce((n, a) => (unrolled.has(a) ? n : n * a.extent), 1) / (vector !== undefined && loops.includes(vector) ? four : 1);
  const copies = written.reduce((n, a) => n * a.extent, widthOf(own));
  if (copies * side > cost.longest && copies > 1) return Infinity;
  let loads = 0;
  const spread = new Map<Axis, number>([...own, ...written.map((a): [Axis, number] => [a, a.extent])]);
  const isAlong = (a: Axis): boolean => subgroup?.along.includes(a) ?? false;
  for (const r of sum.reads) {
    const count = distinct(r, spread);
    const isApart = subgroup !== undefined && r.axes.some(isAlong);
    const views = isApart && r.dimensions.some((moves, k) => r.viewed[k] && [...moves.keys()].some(isAlong)) ? 1 : tested(r, own, written);
    const shared = count * (vector && r.axes.includes(vector) ? four : 1);
    if (subgroup && !isApart && shared > 1) loads += Math.ceil(shared / subgroup.size) * cost.load + shared * handed + count * views * cost.view;
    else {
      const one = side === 1 || !vector ? cost.load : priceOfLoad(r, vector, cost);
      const apart = inRows(r, own, vector) ? cost.row / four : one;
      loads += count * (apart + views * cost.view);
    }
  }
  // A test that differs between the points of a tile, or of a subgroup, cannot stand outside the loop.
  const tests = sum.where.filter((w) => w.free.some((a) => spread.has(a) || isAlong(a))).length * copies;
  const points = [...tile].reduce((n, [a, w]) => (a === vector ? n * w : (n * a.extent) / tilesAlong(a, w)), isOut ? four : 1);
  const text = 1 + lengthy * Math.max(0, (copies * side) / comfortable - 1);
  return (text * turns * (loads + tests + copies * side * sum.work + (turns > 1 ? cost.turn + cost.keep * widthOf(own) * side * sum.together : 0))) / points;
}

/**
 * The share of a read's loads that need a test of their own. One that all points of a tile have in common stands outside; where
 * neighbouring points meet neighbouring taps, only the outermost can lie outside.
 */
function tested(r: Touch, tile: ReadonlyMap<Axis, number>, written: readonly Axis[]): number {
  let free = 1;
  r.dimensions.forEach((moves, k) => {
    if (!r.viewed[k]) return;
    const points = [...moves.keys()].reduce((n, a) => n * (tile.get(a) ?? 1), 1);
    const taps = written.reduce((n, a) => (moves.has(a) ? n * a.extent : n), 1);
    if (taps > 1) free *= points > 1 ? points / (points + taps - 1) : 0;
    else if (points > 1) free = 0;
  });
  return 1 - free;
}

/**
 * How many different elements a read touches over the points of a tile and the turns written out. Axes that move one index
 * by the same step overlap (`t + k`); all others multiply.
 */
function distinct(r: Touch, spread: ReadonlyMap<Axis, number>): number {
  let count = 1;
  const met = new Set<Axis>();
  for (const [a, w] of spread) {
    if (met.has(a) || !r.axes.includes(a)) continue;
    let reach = w;
    for (const d of r.dimensions) {
      const step = d.get(a);
      if (step === undefined) continue;
      for (const [b, other] of d) {
        const v = b === a || met.has(b) ? undefined : spread.get(b);
        if (v === undefined || other === undefined || Math.abs(other) !== Math.abs(step)) continue;
        met.add(b);
        reach += v - 1;
      }
    }
    count *= reach;
  }
  return count;
}
