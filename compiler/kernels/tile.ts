// Chooses what one invocation computes: a tile of points, and which short loops are written out, by the loads it saves.

import { affine } from "../ir/affine.ts";
import { index, type Axis, type Expr, type Read, type Reduce } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { readsOf, walk } from "../ir/rewrite.ts";
import type { Lanes } from "./kernel.ts";

/** Most accumulators an invocation keeps. */
const registers = 16;
/** Most products written out in the body of the innermost loop: more only cost compile time. */
const longest = 96;
/** Costs in multiplications: a load, the test of a view, one turn of a loop. */
const cost = { load: 3, view: 3, turn: 5 };

export interface Tile {
  readonly tile: ReadonlyMap<Axis, number>;
  readonly unrolled: ReadonlySet<Axis>;
}

export const pointsOf = (tile: ReadonlyMap<Axis, number>): number => [...tile.values()].reduce((n, w) => n * w, 1);

/** Tiles divide their extents, so no point needs a test of its own. */
export function chooseTile(root: Tensor, body: Expr, lanes: Lanes): Tile {
  const leaves = leafReductions(body);
  const none: Tile = { tile: new Map(), unrolled: new Set() };
  if (leaves.length === 0) return { ...none, tile: neighbours(root, lanes) };
  const wide = root.axes.filter((a) => a.extent > 1).flatMap((a) => widths(a).map((w): [Axis, number] => [a, w]));
  const tiles: ReadonlyMap<Axis, number>[] = [new Map()];
  for (const [a, w] of wide) {
    tiles.push(new Map([[a, w]]));
    for (const [b, v] of wide) if (b.id > a.id && v * w <= registers) tiles.push(new Map([[a, w], [b, v]]));
  }
  const fitting = tiles.filter((t) => pointsOf(t) === 1 || (pointsOf(t) <= registers && sizeOf(root) / pointsOf(t) >= lanes.wanted));
  let best = { ...none, price: Infinity };
  for (const unrolled of unrollings(leaves)) {
    for (const tile of fitting) {
      const price = leaves.reduce((sum, leaf) => sum + priceOf(leaf, tile, unrolled), 0);
      if (price < best.price * 0.98) best = { tile, unrolled, price };
    }
  }
  return { tile: best.tile, unrolled: best.unrolled };
}

/** Without reductions, a few neighbours an invocation: their indices share most of their arithmetic. */
function neighbours(root: Tensor, lanes: Lanes): ReadonlyMap<Axis, number> {
  const axis = [...root.axes].reverse().find((a) => a.extent > 1);
  const width = axis && [4, 3, 2].find((w) => axis.extent % w === 0 && sizeOf(root) / w >= 16 * lanes.wanted);
  return axis && width ? new Map([[axis, width]]) : new Map();
}

/** A reduction without another inside, and what matters of its reads. */
interface Leaf {
  readonly reduce: Reduce;
  readonly reads: readonly { readonly viewed: boolean; readonly dimensions: readonly Dimension[]; readonly axes: ReadonlySet<Axis> }[];
  readonly work: number;
}

/** How one index of a read moves with each axis; undefined for an axis it depends on in another way. */
type Dimension = ReadonlyMap<Axis, number | undefined>;

function leafReductions(body: Expr): readonly Leaf[] {
  const found: Leaf[] = [];
  walk(body, (x) => {
    if (x.kind !== "reduce") return;
    let nested = false;
    let work = 0;
    walk(x.body, (y) => {
      nested ||= y.kind === "reduce";
      if (y.kind === "apply" && y.type === "real") work++;
    });
    if (nested) return;
    const reads = readsOf(x.body).map((r) => ({ viewed: r.outside !== "never", dimensions: dimensionsOf(r), axes: r.free }));
    found.push({ reduce: x, reads, work: Math.max(1, work) });
  });
  return found;
}

function dimensionsOf(r: Read): readonly Dimension[] {
  return r.at.map((e) => {
    const sum = affine(e);
    const moves = new Map<Axis, number | undefined>();
    for (const [atom, c] of sum.terms) for (const a of atom.free) moves.set(a, atom === index(a) && !moves.has(a) ? c : undefined);
    return moves;
  });
}

function widths(a: Axis): number[] {
  const all = [2, 4, 8].filter((w) => a.extent % w === 0);
  return all.length > 0 ? all : [3, 5, 7].filter((w) => a.extent % w === 0);
}

function unrollings(leaves: readonly Leaf[]): readonly ReadonlySet<Axis>[] {
  const all: ReadonlySet<Axis>[] = [new Set()];
  for (const { reduce } of leaves) {
    const over = reduce.over;
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

/** The cost of a leaf per point of the root. */
function priceOf(leaf: Leaf, tile: ReadonlyMap<Axis, number>, unrolled: ReadonlySet<Axis>): number {
  const written = leaf.reduce.over.filter((a) => unrolled.has(a));
  const turns = leaf.reduce.over.reduce((n, a) => (unrolled.has(a) ? n : n * a.extent), 1);
  const points = pointsOf(tile);
  const copies = written.reduce((n, a) => n * a.extent, points);
  if (copies > longest && copies > 1) return Infinity;
  let loads = 0;
  const spread = new Map<Axis, number>([...tile, ...written.map((a): [Axis, number] => [a, a.extent])]);
  for (const r of leaf.reads) loads += distinct(r, spread) * (cost.load + (r.viewed ? cost.view : 0));
  // A test that differs between the points of a tile cannot stand outside the loop.
  const tests = leaf.reduce.where.filter((w) => [...w.free].some((a) => spread.has(a))).length * copies;
  return (turns * (loads + tests + copies * leaf.work + (turns > 1 ? cost.turn : 0))) / points;
}

/**
 * How many different elements a read touches over the points of a tile and the turns written out. Axes that move one index
 * by the same step overlap (`t + k`); all others multiply.
 */
function distinct(r: Leaf["reads"][number], spread: ReadonlyMap<Axis, number>): number {
  let count = 1;
  const met = new Set<Axis>();
  for (const [a, w] of spread) {
    if (met.has(a) || !r.axes.has(a)) continue;
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
