// Chooses what one invocation computes: a tile of points, and which short loops are written out, by the loads it saves.

import type { Axis, Expr } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { placeOf, pointsOf, type Group, type Lanes } from "./kernel.ts";
import { costsOf, inRows, longSum, priceOfLoad, Prices, tilesAlong, type Shape, type Tile } from "./price.ts";
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
 * takes some points again, so no point needs a test to be computed. They span all that the group says must be covered. No more than `most`.
 */
export function tilesFor(group: Group, lanes: Lanes, most = offered): readonly Tile[] {
  const { axes, results } = group;
  const sums = sumsOf(results.map((r) => r.body));
  const touched = distinctReads(results.map((r) => r.body)).map(touch);
  const stores = results.map((r) => touchOf(r.root, r.at ?? placeOf(r.root, axes)));
  if (sums.length === 0) return neighbours(group, [...stores, ...touched], lanes).slice(0, most);
  const vectors = [...vectorAxes([...axes, ...sums.flatMap((l) => l.over)], [...touched, ...stores]), undefined];
  const accumulators = Math.max(...sums.map((l) => l.together));
  const cost = costsOf(lanes);
  const room = sums.every((s) => pointsOf({ axes: s.over }) >= longSum) ? cost.longRegisters : cost.registers;
  const prices = new Prices(axes, sums, cost, lanes.mates ?? 0);
  const dependences = lanes.mates === undefined ? [] : prices.dependences();
  const limit = Math.max(1, Math.floor(room / accumulators));
  const plain = shapesOf(group, undefined, limit, lanes, dependences);
  const written = lanes.brief ? [new Set<Axis>()] : unrollings(sums);
  const all: Priced[] = [];
  // Of two that differ by little, the one that was thought of first.
  let [first, least] = [0, Infinity];
  for (const vector of vectors) {
    const isOut = vector !== undefined && axes.includes(vector);
    if (isOut && !group.covered.includes(vector) && pointsOf(group) / pointsOf({ axes: group.covered }) / four < lanes.wanted) continue;
    const shapes = isOut ? shapesOf(group, vector, limit, lanes, dependences) : plain;
    const storing = stores.reduce((n, t) => n + (vector === undefined || !isOut ? cost.load : priceOfLoad(t, vector, cost) / four), 0);
    for (const unrolled of written) {
      if (vector && unrolled.has(vector)) continue;
      const sum = prices.written(vector, unrolled);
      for (const shape of shapes) {
        const found = sum.of(shape) ?? [];
        for (let k = 0; k < found.length; k++) {
          const price = storing + (found[k] as number);
          const isFirst = price < least * 0.98;
          if (isFirst) [first, least] = [all.length, price];
          if (isFirst || most > 1) all.push({ shape, vector, unrolled, way: shape.ways[k] as number, price });
        }
      }
    }
  }
  const best = all[first];
  const others = most > 1 ? all.filter((t) => t !== best).sort((a, b) => a.price - b.price) : [];
  return best ? [best, ...others].slice(0, most).map((t) => tileOf(t, axes, lanes)) : [];
}

/** A tile with its price, not yet as others want it. */
interface Priced extends Pick<Tile, "vector" | "unrolled"> {
  readonly shape: Shape;
  readonly way: number;
  readonly price: number;
}

function tileOf({ shape: { order, widths }, vector, unrolled, way }: Priced, axes: readonly Axis[], { mates }: Lanes): Tile {
  const subgroup = mates === undefined || way === 0 ? undefined : { size: mates, along: axes.filter((_, i) => (way >> i) & 1) };
  return { tile: new Map(order.map((i) => [axes[i] as Axis, widths[i] as number])), unrolled, vector, subgroup };
}

/**
 * How a subgroup may lie so that some reads are the same for all of it: along the last axes that these do not depend on, or not at all.
 * There are `extents` tiles along the axes.
 */
function waysOf(extents: readonly number[], dependences: readonly number[], size: number): readonly number[] {
  const found = [0];
  for (const apart of dependences) {
    let [way, points] = [0, 1];
    for (let k = extents.length - 1; k >= 0 && points % size !== 0; k--) {
      const extent = extents[k] as number;
      if ((apart >> k) & 1 || extent === 1) continue;
      way |= 1 << k;
      points *= extent;
    }
    if (points % size === 0 && !found.includes(way)) found.push(way);
  }
  return found;
}

/** Axes along which fours can be loaded or stored in one go somewhere. */
function vectorAxes(axes: readonly Axis[], touched: readonly Touch[]): readonly Axis[] {
  return [...new Set(axes)].filter((a) => a.extent % four === 0 && touched.some((t) => isRow(t, a)));
}

/** A tile's width along an axis. */
interface Wide {
  readonly axis: number;
  readonly width: number;
}

function shapesOf(group: Group, vector: Axis | undefined, limit: number, lanes: Lanes, dependences: readonly number[]): readonly Shape[] {
  const { axes } = group;
  const each = vector ? four : 1;
  const extents = axes.map((a) => (a === vector ? a.extent / four : a.extent));
  const covered = group.covered.map((a) => ({ axis: axes.indexOf(a), width: a === vector ? a.extent / four : a.extent }));
  const least = covered.reduce((n, c) => n * c.width, 1);
  const most = covered.length > 0 ? Math.max(limit, mostCovered) : limit;
  const shapes: Shape[] = [];
  const put = (tile: readonly Wide[]): void => {
    const width = tile.reduce((n, t) => n * t.width, 1) * each;
    if (width !== least * each && (width > most || pointsOf(group) / width < lanes.wanted)) return;
    const widths = axes.map(() => 0);
    let points = each;
    for (const t of tile) {
      widths[t.axis] = t.width;
      const a = axes[t.axis] as Axis;
      points = a === vector ? points * t.width : (points * a.extent) / tilesAlong(a, t.width);
    }
    const ways = lanes.mates === undefined ? [0] : waysOf(extents.map((e, i) => Math.ceil(e / (widths[i] || 1))), dependences, lanes.mates);
    shapes.push({ order: tile.map((t) => t.axis), widths, points, ways });
  };
  put(covered);
  if (lanes.brief && covered.length === 0) return shapes;
  // Neighbours in memory first: of tiles that load as much, the one that lies closest together is taken.
  const wide = axes.flatMap((a, axis) => (group.covered.includes(a) || extents[axis] === 1 ? [] : [widthsAlong(extents[axis] as number, a !== vector).map((width): Wide => ({ axis, width }))])).reverse().flat();
  for (const a of wide) {
    put([...covered, a]);
    if (covered.length > 0) continue;
    for (const b of wide) if ((axes[b.axis] as Axis).id < (axes[a.axis] as Axis).id && b.width * a.width * each <= limit) put([a, b]);
  }
  return shapes;
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
function widthsAlong(extent: number, mayOverlap: boolean): number[] {
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
