// The strategy that takes everything: one invocation per tile of output points, reductions run serially inside it.

import { apply, index, int, makeAxis, type Axis, type Expr } from "../../ir/expr.ts";
import { substitute } from "../../ir/rewrite.ts";
import { simplifyNode } from "../../ir/simplify.ts";
import { unravel } from "../invocation.ts";
import { pointsOf, type Group, type Kernel, type Lanes, type Schedule } from "../kernel.ts";
import type { Local, Loops, Statement } from "../loops.ts";
import { Lowering } from "../lower.ts";
import { rowsOf, tilesFor, widthOf } from "../tile.ts";
import { unroll } from "../unroll.ts";
import { foldFours, four } from "../vector.ts";

export function schedules(group: Group, lanes: Lanes): readonly Schedule[] {
  return tilesFor(group, lanes).map(({ tile, unrolled, vector }) => ({ strategy: "map", tile, unrolled, vector }));
}

export function lower(kernel: Kernel, { tile, unrolled, vector }: Extract<Schedule, { strategy: "map" }>): Loops {
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
  const coarse = axes.map((a) => makeAxis(a.name, a.extent / width(a)));
  const lowering = new Lowering(unravel(coarse, id, statements), statements, lane, rowsOf(results.map((r) => r.body), { tile, vector }));
  const copies = offsets(axes.map((a) => tile.get(a) ?? 1)).flatMap((offset) => {
    const by = new Map(axes.map((a, k) => {
      const start = apply("mul", index(coarse[k] as Axis), int(width(a)));
      const inside = a === vector && lane ? apply("add", int((offset[k] as number) * four), index(lane)) : int(offset[k] as number);
      return [a, simplifyNode(apply("add", simplifyNode(start), inside))];
    }));
    const flat = axes.reduce<Expr>((sum, a) =>
      simplifyNode(apply("add", simplifyNode(apply("mul", sum, int(a.extent))), by.get(a) as Expr)), int(0));
    return bodies.map((body, i) => ({ into: (results[i] as Kernel["results"][number]).root, value: substitute(body, by, true), flat }));
  });
  lowering.together(copies.map((c) => c.value));
  // All values first, then the stores: a kernel may overwrite what it reads at its own points.
  const values = copies.map((c) => lowering.value(c.value));
  copies.forEach((c, i) => {
    const value = values[i];
    if (value) lowering.store(c.into, c.flat, value);
  });
  const each = widthOf(tile) * (isOut ? four : 1);
  return {
    name: kernel.name, invocations: pointsOf(kernel) / each, id, body: statements,
    reads: [...lowering.reads], writes: results.map((r) => r.root), adds: false, dials: [...lowering.dials], draws: lowering.draws,
  };
}

/** All points of a box, the last axis fastest. */
function offsets(extents: readonly number[]): number[][] {
  return extents.reduce<number[][]>((all, e) => all.flatMap((p) => Array.from({ length: e }, (_, i) => [...p, i])), [[]]);
}
