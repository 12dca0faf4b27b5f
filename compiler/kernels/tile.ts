// Chooses what one invocation computes: a tile of points, and which short loops are written out, by the loads it saves.

import type { Axis, Expr } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { placeOf, pointsOf, type Group, type Lanes } from "./kernel.ts";
import { costsOf, inRows, longSum, priceOfLoad, Prices, tilesAlong, widthOf, type Tile } from "./price.ts";
import { distinctReads, isRow, sumsOf, touch, touchOf, type Sum, type Touch } from "./touch.ts";
import { four } from "./vector.ts";

/** Most accumulators that one invocation keeps where a tile must cover an axis. */
const mostCovered = 64;
/** Results of which one invocation computes several points each, at most. */
const mostBroad = 8;
/** Tiles that are offered, at most. */
const offered = 10;

/**
 * Tiles that may be fast, the one that should be fastest first. Where a tile does not divide its axis, the last one begins earlier and
 * takes some points again, so no point needs a test to be computed. They span all that the group says must be covered.
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
  const room = sums.every((s) => pointsOf({ axes: s.over }) >= longSum) ? cost.longRegisters : cost.registers;
  const dependences = lanes.mates === undefined ? [] : dependencesOf(axes, sums);
  const prices = new Prices(axes, sums, cost);
  const limit = Math.max(1, Math.floor(room / accumulators));
  const plain = tilesOf(group, undefined, limit, lanes);
  const written = lanes.brief ? [new Set<Axis>()] : unrollings(sums);
  const all: (Tile & { readonly price: number })[] = [];
  for (const vector of vectors) {
    const isOut = vector !== undefined && axes.includes(vector);
    if (isOut && !group.covered.includes(vector) && pointsOf(group) / pointsOf({ axes: group.covered }) / four < lanes.wanted) continue;
    const fitting = (isOut ? tilesOf(group, vector, limit, lanes) : plain).filter((tile) => !lanes.brief || widthOf(tile) === 1 || group.covered.length > 0)
      .map((tile) => prices.laid(tile, vector, isOut, [undefined, ...subgroups(axes, (a) => tilesAlong(a, (tile.get(a) ?? 1) * (a === vector ? four : 1)), dependences, lanes.mates)]));
    const storing = stores.reduce((n, t) => n + (vector === undefined || !isOut ? cost.load : priceOfLoad(t, vector, cost) / four), 0);
    for (const unrolled of written) {
      if (vector && unrolled.has(vector)) continue;
      for (const laid of fitting) {
        prices.of(laid, unrolled)?.forEach((price, k) => all.push({ tile: laid.tile, unrolled, vector, subgroup: laid.ways[k], price: storing + price }));
      }
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
  // Neighbours in memory first: of tiles that load as much, the one that lies closest together is taken.
  const wide = [...group.axes].reverse().filter((a) => !covered.has(a) && extent(a) > 1).flatMap((a) => widths(extent(a), a !== vector).map((w): [Axis, number] => [a, w]));
  const tiles: ReadonlyMap<Axis, number>[] = [covered];
  for (const [a, w] of wide) {
    tiles.push(new Map([...covered, [a, w]]));
    if (covered.size > 0) continue;
    for (const [b, v] of wide) if (b.id < a.id && v * w * each <= limit) tiles.push(new Map([[a, w], [b, v]]));
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
  // Many results are text enough.
  return group.results.length > mostBroad ? tiles.slice(-1) : [...vectors, ...tiles];
}

/** Points of an axis that one invocation may take. */
function widths(extent: number, mayOverlap: boolean): number[] {
  const all = [2, 4, 8].filter((w) => extent % w === 0);
  if (all.length > 0) return all;
  return [...[3, 5, 7].filter((w) => extent % w === 0), ...[4, 8].filter((w) => mayOverlap && extent > w)];
}

function unrollings(sums: readonly Sum[]): readonly ReadonlySet<Axis>[] {
  const all = new Map<string, ReadonlySet<Axis>>();
  const put = (axes: readonly Axis[]): unknown => all.set(axes.map((a) => a.id).join(), new Set(axes));
  put([]);
  for (const { over } of sums) {
    for (let from = over.length - 1, product = 1; from >= 0; from--) {
      const a = over[from] as Axis;
      product *= a.extent;
      if (a.extent > 8 || product > 27) break;
      put(over.slice(from));
    }
    const small = over.find((a) => a.extent <= 8);
    if (small) put([small]);
  }
  return [...all.values()];
}

/** The tensors whose elements a tile wants one by one, but lying side by side. */
export function rowsOf(bodies: readonly Expr[], { tile, vector }: Pick<Tile, "tile" | "vector">): ReadonlySet<Tensor> {
  return new Set(distinctReads(bodies).filter((r) => inRows(touch(r), tile, vector)).map((r) => r.tensor));
}
