// The strategy that takes everything: one invocation per tile of output points, reductions run serially inside it.

import { apply, index, int, makeAxis, type Axis, type Expr } from "../../ir/expr.ts";
import { sizeOf, type Tensor } from "../../ir/graph.ts";
import { substitute } from "../../ir/rewrite.ts";
import { simplifyNode } from "../../ir/simplify.ts";
import { unravel } from "../invocation.ts";
import type { Kernel, Lanes, Schedule } from "../kernel.ts";
import type { Local, Loops, Statement, Value } from "../loops.ts";
import { Lowering } from "../lower.ts";
import { chooseTile, pointsOf } from "../tile.ts";
import { unroll } from "../unroll.ts";

export function schedule(root: Tensor, body: Expr, lanes: Lanes): Schedule {
  return { strategy: "map", ...chooseTile(root, body, lanes) };
}

export function lower(kernel: Kernel, schedule: Extract<Schedule, { strategy: "map" }>): Loops {
  const { root } = kernel;
  const body = unroll(kernel.body, schedule.unrolled);
  const tile = schedule.tile;
  const statements: Statement[] = [];
  const id: Local = { name: "id", type: "int" };
  // One coarse index per axis.
  const coarse = root.axes.map((a) => makeAxis(a.name, a.extent / (tile.get(a) ?? 1)));
  const bound = unravel(coarse, id, statements);
  const lowering = new Lowering(bound, statements);
  const copies = offsets(root.axes.map((a) => tile.get(a) ?? 1)).map((offset) => {
    const by = new Map(root.axes.map((a, k) => {
      const start = simplifyNode(apply("mul", index(coarse[k] as Axis), int(tile.get(a) ?? 1)));
      return [a, simplifyNode(apply("add", start, int(offset[k] as number)))];
    }));
    const flat = root.axes.reduce<Expr>((sum, a) =>
      simplifyNode(apply("add", simplifyNode(apply("mul", sum, int(a.extent))), by.get(a) as Expr)), int(0));
    return { value: substitute(body, by, true), flat };
  });
  lowering.together(copies.map((c) => c.value));
  // All values first, then the stores: a kernel may overwrite what it reads at its own points.
  const values = copies.map((c) => lowering.value(c.value));
  copies.forEach((c, i) => {
    statements.push({ kind: "store", into: root, at: lowering.value(c.flat), value: values[i] as Value });
  });
  return {
    name: kernel.name, invocations: sizeOf(root) / pointsOf(tile), id, body: statements,
    reads: [...lowering.reads], writes: [root], adds: false, dials: [...lowering.dials], draws: lowering.draws,
  };
}

/** All points of a box, the last axis fastest. */
function offsets(extents: readonly number[]): number[][] {
  return extents.reduce<number[][]>((all, e) => all.flatMap((p) => Array.from({ length: e }, (_, i) => [...p, i])), [[]]);
}
