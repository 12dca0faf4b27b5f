// Chooses what one invocation computes: a tile of points, and which short loops are written out, by the loads it saves.

import { affine, coefficient, combine, type Affine } from "../ir/affine.ts";
import { index, read, type Axis, type Expr, type Read, type Reduce } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { interval } from "../ir/interval.ts";
import { partsOf, readsOf } from "../ir/rewrite.ts";
import { invariant } from "../report/diagnostic.ts";
import { placeOf, pointsOf, type Group, type Lanes, type Schedule } from "./kernel.ts";
import { four, hasFours } from "./vector.ts";

/** Most accumulators an invocation keeps. */
const registers = 32;
/** Most that one keeps where a tile must cover an axis. */
const mostCovered = 64;
/** Most products written out in the body of the innermost loop: more only cost compile time. */
const longest = 96;
/** Costs in multiplications: a load of one element and of four side by side, the test of a view, one turn of a loop. */
interface Costs {
  readonly load: number;
  readonly row: number;
  readonly view: number;
  readonly turn: number;
}
const card: Costs = { load: 3, row: 7, view: 3, turn: 5 };
/** On a processor every invocation of a subgroup loads by itself, with a test of its own. */
const processor: Costs = { load: 8, row: 24, view: 3, turn: 5 };
/** To take from another invocation of the subgroup what it has loaded. */
const handed = 1;
const costsOf = ({ mates }: Lanes): Costs => (mates === undefined ? card : processor);

export interface Tile {
  readonly tile: ReadonlyMap<Axis, number>;
  readonly unrolled: ReadonlySet<Axis>;
  readonly vector: Axis | undefined;
  readonly subgroup: Extract<Schedule, { strategy: "map" }>["subgroup"];
}

/** Points of a tile, a vector counted as one. */
export const widthOf = (tile: ReadonlyMap<Axis, number>): number => [...tile.values()].reduce((n, w) => n * w, 1);

/** Tiles that are offered, at most. */
const offered = 10;

/** The tile that should be fastest. */
export function chooseTile(group: Group, lanes: Lanes): Tile {
  const [best] = tilesFor(group, lanes);
  invariant(best, () => `${group.results[0]?.root.name ?? "a launch"} has no tile`);
  return best;
}

/**
 * Tiles that may be fast, the one that should be fastest first. Tiles divide their extents, so no point needs a test of its own. They
 * span all that the group says must be covered.
 */
export function tilesFor(group: Group, lanes: Lanes): readonly Tile[] {
  const { axes, results } = group;
  const sums = sumsOf(results.map((r) => r.body));
  const touched = distinctReads(results.map((r) => r.body)).map(touch);
  const stores = results.map((r) => touchOf(r.root, r.at ?? placeOf(r.root, axes)));
  if (sums.length === 0) return neighbours(group, [...stores, ...touched], lanes);
  const vectors = [...vectorAxes([...axes, ...sums.flatMap((l) => l.over)], [...touched, ...stores]), undefined];
  const accumulators = Math.max(...sums.map((l) => l.together));
  const cost = costsOf(lanes);
  const dependences = lanes.mates === undefined ? [] : dependencesOf(axes, sums);
  const all: (Tile & { readonly price: number })[] = [];
  for (const vector of vectors) {
    const isOut = vector !== undefined && axes.includes(vector);
    if (isOut && !group.covered.includes(vector) && pointsOf(group) / pointsOf({ axes: group.covered }) / four < lanes.wanted) continue;
    const fitting = tilesOf(group, isOut ? vector : undefined, Math.max(1, Math.floor(registers / accumulators)), lanes);
    const storing = stores.reduce((n, t) => n + (vector === undefined || !isOut ? cost.load : priceOfLoad(t, vector, cost) / four), 0);
    const ways = fitting.map((tile) => [undefined, ...subgroups(axes, (a) => a.extent / ((tile.get(a) ?? 1) * (a === vector ? four : 1)), dependences, lanes.mates)]);
    for (const unrolled of unrollings(sums)) {
      if (vector && unrolled.has(vector)) continue;
      fitting.forEach((tile, i) => {
        for (const subgroup of ways[i] ?? []) {
          const price = storing + sums.reduce((n, sum) => n + priceOf(sum, { tile, unrolled, vector, subgroup }, isOut, cost), 0);
          if (price < Infinity) all.push({ tile, unrolled, vector, subgroup, price });
        }
      });
    }
  }
  // Of two that differ by little, the one that was thought of first.
  let first: (typeof all)[number] | undefined;
  for (const t of all) if (!first || t.price < first.price * 0.98) first = t;
  return first ? [first, ...all.filter((t) => t !== first).sort((a, b) => a.price - b.price)].slice(0, offered) : [];
}

/** The sets of the launch's axes that what its sums read depends on. */
function dependencesOf(axes: readonly Axis[], sums: readonly Sum[]): readonly ReadonlySet<Axis>[] {
  const found = new Map<string, ReadonlySet<Axis>>();
  for (const r of sums.flatMap((s) => s.reads)) {
    const own = axes.filter((a) => r.axes.includes(a));
    found.set(own.map((a) => a.id).join(), new Set(own));
  }
  return [...found.values()];
}

/** How a subgroup may lie so that some reads are the same for all of it: along the last axes that these do not depend on. */
function subgroups(axes: readonly Axis[], extent: (a: Axis) => number, dependences: readonly ReadonlySet<Axis>[], size: number | undefined): readonly Tile["subgroup"][] {
  if (size === undefined) return [];
  const found = new Map<string, Tile["subgroup"]>();
  for (const apart of dependences) {
    const along: Axis[] = [];
    let points = 1;
    for (let k = axes.length - 1; k >= 0 && points % size !== 0; k--) {
      const a = axes[k] as Axis;
      if (apart.has(a) || extent(a) === 1) continue;
      along.unshift(a);
      points *= extent(a);
    }
    if (points % size === 0) found.set(along.map((a) => a.id).join(), { size, along });
  }
  return [...found.values()];
}

/** Axes along which fours can be loaded or stored in one go somewhere. */
function vectorAxes(axes: readonly Axis[], touched: readonly Touch[]): readonly Axis[] {
  return [...new Set(axes)].filter((a) => a.extent % four === 0 && touched.some((t) => isRow(t, a)));
}

function tilesOf(group: Group, vector: Axis | undefined, limit: number, lanes: Lanes): readonly ReadonlyMap<Axis, number>[] {
  const each = vector ? four : 1;
  const extent = (a: Axis): number => (a === vector ? a.extent / four : a.extent);
  const covered = new Map(group.covered.map((a) => [a, extent(a)]));
  const least = widthOf(covered);
  const wide = group.axes.filter((a) => !covered.has(a) && extent(a) > 1).flatMap((a) => widths(extent(a)).map((w): [Axis, number] => [a, w]));
  const tiles: ReadonlyMap<Axis, number>[] = [covered];
  for (const [a, w] of wide) {
    tiles.push(new Map([...covered, [a, w]]));
    if (covered.size > 0) continue;
    for (const [b, v] of wide) if (b.id > a.id && v * w * each <= limit) tiles.push(new Map([[a, w], [b, v]]));
  }
  const most = covered.size > 0 ? Math.max(limit, mostCovered) : limit;
  return tiles.filter((t) => widthOf(t) === least || (widthOf(t) * each <= most && pointsOf(group) / (widthOf(t) * each) >= lanes.wanted));
}

/** Without reductions, a few neighbours an invocation: as a vector, else as a tile, whose indices share most of their arithmetic. */
function neighbours(group: Group, touched: readonly Touch[], lanes: Lanes): readonly Tile[] {
  const points = pointsOf(group);
  const cost = costsOf(lanes);
  const price = (a: Axis): number => touched.reduce((sum, t) => sum + priceOfLoad(t, a, cost), 0);
  const fours = points / four < lanes.wanted ? [] : [...vectorAxes(group.axes, touched)].sort((a, b) => price(a) - price(b));
  const vectors = fours.filter((a) => price(a) < four * cost.load * touched.length).map((vector): Tile => ({ tile: new Map(), unrolled: new Set(), vector, subgroup: undefined }));
  const axis = [...group.axes].reverse().find((a) => a.extent > 1);
  const fitting = axis ? [4, 3, 2].filter((w) => axis.extent % w === 0 && points / w >= 16 * lanes.wanted) : [];
  const tiles = [...fitting, 1].map((w): Tile => ({ tile: axis && w > 1 ? new Map([[axis, w]]) : new Map(), unrolled: new Set(), vector: undefined, subgroup: undefined }));
  return [...vectors, ...tiles];
}

/** Reductions that run over the same axes, and what matters of what they read and do together, sums inside them left out. */
interface Sum {
  readonly over: readonly Axis[];
  /** How many run together. */
  readonly together: number;
  /** The axes that they depend on, of the kernel and of the sums around them. */
  readonly free: ReadonlySet<Axis>;
  /** Those of the sums around them: they are taken once for every point of these. */
  readonly around: readonly Axis[];
  readonly where: readonly Expr[];
  readonly reads: readonly Touch[];
  readonly work: number;
}

/** What matters of a read. */
interface Touch {
  /** Which of its indices may lie outside. */
  readonly viewed: readonly boolean[];
  readonly dimensions: readonly Dimension[];
  readonly axes: readonly Axis[];
  /** The place in row-major storage; undefined where it is clamped. */
  readonly flat: Affine | undefined;
  /** Whether its storage can be seen as vectors. */
  readonly fours: boolean;
}

/** How one index of a read moves with each axis; undefined for an axis it depends on in another way. */
type Dimension = ReadonlyMap<Axis, number | undefined>;

function sumsOf(bodies: readonly Expr[]): readonly Sum[] {
  const found = new Map<string, { readonly list: Reduce[]; readonly around: ReadonlySet<Axis> }>();
  const seen = new Set<Expr>();
  const visit = (e: Expr, around: ReadonlySet<Axis>): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.kind === "reduce") {
      const key = e.over.map((a) => a.id).join();
      const known = found.get(key);
      if (known) known.list.push(e);
      else found.set(key, { list: [e], around });
      const inner = new Set([...around, ...e.over]);
      for (const part of partsOf(e)) visit(part, inner);
    } else for (const part of partsOf(e)) visit(part, around);
  };
  for (const body of bodies) visit(body, new Set());
  return [...found.values()].map(({ list, around }) => {
    const over = (list[0] as Reduce).over;
    const free = new Set(list.flatMap((e) => e.free));
    const own = ownParts(list.map((e) => e.body));
    const reads = own.flatMap((e) => (e.kind === "read" ? [touch(e)] : []));
    const work = own.reduce((n, e) => n + Number(e.kind === "apply" && e.type === "real"), 0);
    return {
      over, together: list.length, free, around: [...around].filter((a) => free.has(a)),
      where: [...new Set(list.flatMap((e) => e.where))], reads, work: Math.max(1, work),
    };
  });
}

/** All parts of some expressions but what stands in a sum inside them. */
function ownParts(all: readonly Expr[]): readonly Expr[] {
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.kind !== "reduce") partsOf(e).forEach(visit);
  };
  all.forEach(visit);
  return [...seen];
}

/** The distinct reads of several expressions. */
function distinctReads(all: readonly Expr[]): readonly Read[] {
  return [...new Set(all.flatMap(readsOf))];
}

/** What matters of storing a tensor's elements at a place. */
function touchOf(root: Tensor, place: readonly Expr[]): Touch {
  const whole = read(root, place);
  invariant(whole.kind === "read", () => `${root.name} is not read`);
  return touch(whole);
}

function touch(r: Read): Touch {
  let flat: Affine = { constant: 0, terms: new Map() };
  r.at.forEach((e, k) => {
    flat = combine(affine(e), flat, (r.tensor.axes[k] as Axis).extent);
  });
  const viewed = r.at.map((e, k) => {
    const range = interval(e);
    return r.outside !== "never" && (range.low < 0 || range.high >= (r.tensor.axes[k] as Axis).extent);
  });
  return { viewed, dimensions: dimensionsOf(r), axes: r.free, flat: r.outside === "edge" ? undefined : flat, fours: hasFours(r.tensor) };
}

/** Whether four points along an axis that begin at a multiple of four are four elements side by side. */
function isRow(t: Touch, a: Axis): boolean {
  if (!t.flat || !t.fours || coefficient(t.flat, a) !== 1 || t.flat.constant % four !== 0) return false;
  return [...t.flat.terms].every(([atom, c]) => atom === index(a) || c % four === 0);
}

/** Whether four neighbours along an axis are read in one go. */
export const inRow = (r: Read, a: Axis): boolean => isRow(touch(r), a);

/** Whether neighbours along an axis of the tile, which are wanted one by one, can be loaded four at a time. */
function inRows(t: Touch, tile: ReadonlyMap<Axis, number>, vector: Axis | undefined): boolean {
  if (vector && t.axes.includes(vector)) return false;
  return [...tile].some(([a, w]) => w % four === 0 && a !== vector && isRow(t, a));
}

/** The tensors whose elements a tile wants one by one, but lying side by side. */
export function rowsOf(bodies: readonly Expr[], { tile, vector }: Pick<Tile, "tile" | "vector">): ReadonlySet<Tensor> {
  return new Set(distinctReads(bodies).filter((r) => inRows(touch(r), tile, vector)).map((r) => r.tensor));
}

/** The cost of what a read needs for four points along an axis. */
function priceOfLoad(t: Touch, a: Axis, cost: Costs): number {
  return !t.axes.includes(a) ? cost.load : isRow(t, a) ? cost.row : four * cost.load;
}

function dimensionsOf(r: Read): readonly Dimension[] {
  return r.at.map((e) => {
    const sum = affine(e);
    const moves = new Map<Axis, number | undefined>();
    for (const [atom, c] of sum.terms) for (const a of atom.free) moves.set(a, atom === index(a) && !moves.has(a) ? c : undefined);
    return moves;
  });
}

function widths(extent: number): number[] {
  const all = [2, 4, 8].filter((w) => extent % w === 0);
  return all.length > 0 ? all : [3, 5, 7].filter((w) => extent % w === 0);
}

function unrollings(sums: readonly Sum[]): readonly ReadonlySet<Axis>[] {
  const all: ReadonlySet<Axis>[] = [new Set()];
  for (const { over } of sums) {
    for (let from = over.length - 1, product = 1; from >= 0; from--) {
      const a = over[from] as Axis;
      product *= a.extent;
      if (a.extent > 8 || product > 27) break;
      all.push(new Set(over.slice(from)));
    }
    const small = over.find((a) => a.extent <= 8);
    if (small) all.push(new Set([small]));
  }
  return all;
}

/** The cost of sums per point of the kernel. */
function priceOf(sum: Sum, { tile, unrolled, vector, subgroup }: Tile, isOut: boolean, cost: Costs): number {
  // Points of the tile that differ only along other axes share them.
  const own = new Map([...tile].filter(([a]) => sum.free.has(a)));
  const loops = [...sum.around, ...sum.over];
  const isFours = vector !== undefined && (loops.includes(vector) || sum.free.has(vector));
  const side = isFours ? four : 1;
  const written = loops.filter((a) => unrolled.has(a));
  const turns = loops.reduce((n, a) => (unrolled.has(a) ? n : n * a.extent), 1) / (vector !== undefined && loops.includes(vector) ? four : 1);
  const copies = written.reduce((n, a) => n * a.extent, widthOf(own));
  if (copies * side > longest && copies > 1) return Infinity;
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
  return (turns * (loads + tests + copies * side * sum.work + (turns > 1 ? cost.turn : 0))) / (widthOf(tile) * (isOut ? four : 1));
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
