// The strategy that takes everything: one invocation per tile of output points, reductions run serially inside it.

import { apply, index, int, makeAxis, type Axis, type Expr } from "../../ir/expr.ts";
import { changed, outermost } from "../../ir/rewrite.ts";
import { flatIn, simplifyNode } from "../../ir/simplify.ts";
import { unravel } from "../invocation.ts";
import { pointsOf, type Group, type Kernel, type Lanes, type Schedule } from "../kernel.ts";
import type { Local, Loops, Statement } from "../loops.ts";
import { Lowering } from "../lower.ts";
import { Mates } from "../mates.ts";
import { tilesAlong } from "../price.ts";
import { rowsOf, tilesFor } from "../tile.ts";
import { unroll } from "../unroll.ts";
import { foldFours, four } from "../vector.ts";

export function schedules(group: Group, lanes: Lanes, most?: number): readonly Schedule[] {
  return tilesFor(group, lanes, most).map((tile) => ({ strategy: "map", ...tile }));
}

export function lower(kernel: Kernel, { tile, unrolled, vector, subgroup }: Extract<Schedule, { strategy: "map" }>): Loops {
  const { axes, results } = kernel;
  const lane = vector && makeAxis("lane", four);
  const isOut = vector !== undefined && axes.includes(vector);
  const [unrolling, folding] = [new Map<Expr, Expr>(), new Map<Expr, Expr>()];
  const coarsened = vector && makeAxis(vector.name, vector.extent / four);
  const bodies = results.map((r) => {
    const written = unroll(r.body, unrolled, unrolling);
    return coarsened && lane && !isOut ? foldFours(written, { axis: vector, coarse: coarsened, lane }, folding) : written;
  });
  const statements: Statement[] = [];
  const id: Local = { name: "id", type: "int", vector: false };
  const width = (a: Axis): number => (tile.get(a) ?? 1) * (a === vector ? four : 1);
  // One coarse index per axis.
  const coarse = axes.map((a) => makeAxis(a.name, tilesAlong(a, width(a))));
  const isAlong = (a: Axis): boolean => subgroup?.along.includes(a) ?? false;
  const along = (subgroup?.along ?? []).map((a) => coarse[axes.indexOf(a)] as Axis);
  const order = [...coarse.filter((_, k) => !isAlong(axes[k] as Axis)), ...along];
  const apart = axes.filter((a) => (tile.get(a) ?? 1) > 1);
  const same = new Map<Expr, Expr>();
  // Along each axis, the index of every point of a tile.
  const places = axes.map((a, k) => {
    const start = beginning(coarse[k] as Axis, width(a), a.extent);
    return Array.from({ length: tile.get(a) ?? 1 }, (_, i) => simplifyNode(apply("add", start, a === vector && lane ? apply("add", int(i * four), index(lane)) : int(i))));
  });
  const twice = axes.map((a, k) => (coarse[k] as Axis).extent * width(a) - a.extent);
  const copies = offsets(axes.map((a) => tile.get(a) ?? 1)).flatMap((offset) => {
    const at = offset.map((i, k) => places[k]?.[i] as Expr);
    const placed = placing(new Map(axes.map((a, k) => [a, at[k] as Expr])), apart, same);
    // What the tile before takes as well is stored by that one.
    const own = coarse.flatMap((c, k) => ((offset[k] as number) < (twice[k] as number) ? [apply("lt", index(c), int(c.extent - 1))] : []));
    const flat = flatIn(axes, at);
    return results.map(({ root, at: into }, i) => ({ into: root, value: placed(bodies[i] as Expr), flat: into ? flatIn(root.axes, into.map(placed)) : flat, own }));
  });
  const mates = subgroup && new Mates(subgroup.size, new Set(along), lane, copies.map((c) => c.value));
  const lowering = new Lowering(unravel(order, id, statements), statements, lane, rowsOf(results.map((r) => r.body), { tile, vector }), mates);
  lowering.together(copies.map((c) => c.value));
  // Sums first, so that nothing else waits in registers while they run.
  for (const sum of new Set(copies.flatMap((c) => outermost(c.value)))) lowering.value(sum);
  // All values first, then the stores: a kernel may overwrite what it reads at its own points.
  const values = copies.map((c) => lowering.value(c.value));
  copies.forEach((c, i) => {
    const value = values[i];
    if (value && c.own.length > 0) lowering.each([], c.own, () => lowering.store(c.into, c.flat, value));
    else if (value) lowering.store(c.into, c.flat, value);
  });
  return {
    name: kernel.name, invocations: pointsOf({ axes: coarse }), id, body: statements,
    reads: [...lowering.reads], writes: [...new Set(results.map((r) => r.root))], adds: false, dials: [...lowering.dials], draws: lowering.draws,
    ...(subgroup ? { subgroup: subgroup.size } : {}),
  };
}

/** Writes a point into expressions. What does not depend on the axes along which points are `apart` becomes the `same` for all of them. */
function placing(by: ReadonlyMap<Axis, Expr>, apart: readonly Axis[], same: Map<Expr, Expr>): (e: Expr) => Expr {
  const own = new Map<Expr, Expr>();
  const go = (e: Expr): Expr => {
    if (e.kind === "axis") return by.get(e.axis) ?? e;
    if (!e.free.some((a) => by.has(a))) return e;
    const known = e.free.some((a) => apart.includes(a)) ? own : same;
    let made = known.get(e);
    if (!made) known.set(e, made = changed(e, go));
    return made;
  };
  return go;
}

/** Where a tile begins; the last one so that it ends with the axis. */
function beginning(tiles: Axis, width: number, extent: number): Expr {
  const start = apply("mul", index(tiles), int(width));
  return simplifyNode(tiles.extent * width === extent ? start : apply("min", start, int(extent - width)));
}

/** All points of a box, the last axis fastest. */
function offsets(extents: readonly number[]): number[][] {
  return extents.reduce<number[][]>((all, e) => all.flatMap((p) => Array.from({ length: e }, (_, i) => [...p, i])), [[]]);
}
