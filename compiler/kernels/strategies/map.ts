// The strategy that takes everything: one invocation per tile of output points, reductions run serially inside it.

import { apply, index, int, makeAxis, type Axis, type Expr } from "../../ir/expr.ts";
import { sizeOf, type Tensor } from "../../ir/graph.ts";
import { readsOf, substitute, walk } from "../../ir/rewrite.ts";
import { simplifyNode } from "../../ir/simplify.ts";
import type { Kernel, Lanes, Schedule } from "../kernel.ts";
import type { Local, Loops, Statement, Value } from "../loops.ts";
import { Lowering } from "../lower.ts";

/** Most accumulators an invocation keeps. */
const registers = 16;

/**
 * Chooses the tile that loads least: points that differ in an axis which a read inside a reduction does not depend on
 * share that read. Tiles divide their extents, so no point needs a test.
 */
export function schedule(root: Tensor, body: Expr, lanes: Lanes): Schedule {
  const loads = heavyReads(body);
  let best: { tile: Map<Axis, number>; cost: number } = { tile: new Map(), cost: cost(loads, new Map()) };
  if (loads.length === 0) return { strategy: "map", tile: best.tile };
  const useful = root.axes.filter((a) => a.extent > 1 && loads.some((l) => !l.has(a)));
  const sizes = (a: Axis): number[] => [2, 3, 4, 5, 7, 8].filter((w) => a.extent % w === 0);
  const consider = (tile: Map<Axis, number>): void => {
    const count = points(tile);
    if (count > registers || sizeOf(root) / count < lanes.wanted) return;
    const c = cost(loads, tile);
    if (c < best.cost * 0.999) best = { tile, cost: c };
  };
  for (const a of useful) {
    for (const w of sizes(a)) {
      consider(new Map([[a, w]]));
      for (const b of useful) if (b !== a) for (const v of sizes(b)) consider(new Map([[a, w], [b, v]]));
    }
  }
  return { strategy: "map", tile: best.tile };
}

const points = (tile: ReadonlyMap<Axis, number>): number => [...tile.values()].reduce((n, w) => n * w, 1);

/** The axes that each read inside the innermost reductions depends on, one entry per read. */
function heavyReads(body: Expr): readonly ReadonlySet<Axis>[] {
  const found: ReadonlySet<Axis>[] = [];
  walk(body, (x) => {
    if (x.kind !== "reduce") return;
    for (const r of readsOf(x.body)) if (x.over.some((a) => r.free.has(a))) found.push(r.free);
  });
  return found;
}

/** Loads per output point, with one unit for the arithmetic. */
function cost(loads: readonly ReadonlySet<Axis>[], tile: ReadonlyMap<Axis, number>): number {
  return loads.reduce((sum, free) => sum + 1 / [...tile].reduce((n, [a, w]) => (free.has(a) ? n : n * w), 1), 1);
}

export function lower(kernel: Kernel): Loops {
  const { root, body } = kernel;
  const tile = kernel.schedule.tile;
  const statements: Statement[] = [];
  const id: Local = { name: "id", type: "int" };
  // The invocation's number, taken apart into one coarse index per axis, the last axis fastest.
  const coarse = root.axes.map((a) => makeAxis(a.name, a.extent / (tile.get(a) ?? 1)));
  const bound = new Map<Axis, Value>();
  let rest: Value = { kind: "local", local: id, type: "int" };
  [...coarse].reverse().forEach((a, i) => {
    if (a.extent === 1) return;
    const number: Value = { kind: "number", value: a.extent, type: "int" };
    const last = coarse.slice(0, coarse.length - 1 - i).every((b) => b.extent === 1);
    const local: Local = { name: `at${coarse.length - 1 - i}_${a.name.replace(/[^A-Za-z]/g, "")}`, type: "int" };
    statements.push({ kind: "let", local, value: last ? rest : { kind: "apply", fn: "imod", args: [rest, number], type: "int" } });
    bound.set(a, { kind: "local", local, type: "int" });
    if (!last) rest = { kind: "apply", fn: "idiv", args: [rest, number], type: "int" };
  });
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
    name: kernel.name, invocations: sizeOf(root) / points(tile), id, body: statements,
    reads: [...lowering.reads], writes: [root], dials: [...lowering.dials], draws: lowering.draws,
  };
}

/** All points of a box, the last axis fastest. */
function offsets(extents: readonly number[]): number[][] {
  return extents.reduce<number[][]>((all, e) => all.flatMap((p) => Array.from({ length: e }, (_, i) => [...p, i])), [[]]);
}
