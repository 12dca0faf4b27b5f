// The strategy that takes everything: one invocation per tile of output points, reductions run serially inside it.

import { apply, index, int, makeAxis, type Axis, type Expr } from "../../ir/expr.ts";
import { sizeOf, type Tensor } from "../../ir/graph.ts";
import { substitute } from "../../ir/rewrite.ts";
import { simplifyNode } from "../../ir/simplify.ts";
import { unravel } from "../invocation.ts";
import type { Kernel, Lanes, Schedule } from "../kernel.ts";
import type { Local, Loops, Statement } from "../loops.ts";
import { Lowering } from "../lower.ts";
import { chooseTile, pointsOf, rowsOf } from "../tile.ts";
import { unroll } from "../unroll.ts";
import { foldFours, four } from "../vector.ts";

export function schedule(root: Tensor, body: Expr, lanes: Lanes): Schedule {
  return { strategy: "map", ...chooseTile(root, body, lanes) };
}

export function lower(kernel: Kernel, { tile, unrolled, vector }: Extract<Schedule, { strategy: "map" }>): Loops {
  const { root } = kernel;
  const lane = vector && makeAxis("lane", four);
  const written = unroll(kernel.body, unrolled);
  const body = vector && lane && !root.axes.includes(vector) ? foldFours(written, vector, lane) : written;
  const statements: Statement[] = [];
  const id: Local = { name: "id", type: "int", vector: false };
  const width = (a: Axis): number => (tile.get(a) ?? 1) * (a === vector ? four : 1);
  // One coarse index per axis.
  const coarse = root.axes.map((a) => makeAxis(a.name, a.extent / width(a)));
  const lowering = new Lowering(unravel(coarse, id, statements), statements, lane, rowsOf(kernel.body, { tile, vector }));
  const copies = offsets(root.axes.map((a) => tile.get(a) ?? 1)).map((offset) => {
    const by = new Map(root.axes.map((a, k) => {
      const start = apply("mul", index(coarse[k] as Axis), int(width(a)));
      const inside = a === vector && lane ? apply("add", int((offset[k] as number) * four), index(lane)) : int(offset[k] as number);
      return [a, simplifyNode(apply("add", simplifyNode(start), inside))];
    }));
    const flat = root.axes.reduce<Expr>((sum, a) =>
      simplifyNode(apply("add", simplifyNode(apply("mul", sum, int(a.extent))), by.get(a) as Expr)), int(0));
    return { value: substitute(body, by, true), flat };
  });
  lowering.together(copies.map((c) => c.value));
  // All values first, then the stores: a kernel may overwrite what it reads at its own points.
  const values = copies.map((c) => lowering.value(c.value));
  copies.forEach((c, i) => {
    const value = values[i];
    if (value) lowering.store(root, c.flat, value);
  });
  const points = pointsOf(tile) * (vector && root.axes.includes(vector) ? four : 1);
  return {
    name: kernel.name, invocations: sizeOf(root) / points, id, body: statements,
    reads: [...lowering.reads], writes: [root], adds: false, dials: [...lowering.dials], draws: lowering.draws,
  };
}

/** All points of a box, the last axis fastest. */
function offsets(extents: readonly number[]): number[][] {
  return extents.reduce<number[][]>((all, e) => all.flatMap((p) => Array.from({ length: e }, (_, i) => [...p, i])), [[]]);
}
