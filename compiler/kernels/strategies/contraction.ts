// Sums of products as matrix products: which of their axes are rows, which columns, and what the two factors are.

import { apply, conjuncts, real, type Axis, type Expr, type Reduce } from "../../ir/expr.ts";
import { outermost, readsOf } from "../../ir/rewrite.ts";
import { within } from "../../ir/simplify.ts";
import { pointsOf, type Group } from "../kernel.ts";
import { inRow } from "../touch.ts";
import { four } from "../vector.ts";

/** Terms of a sum that are staged at once, at most. */
export const deepest = 64;

/** A factor of sums as it is staged: what it is, and where it is not zero. */
export interface Operand {
  readonly value: Expr;
  readonly tests: readonly Expr[];
}

/**
 * Sums over the same axes, each of a product of something that is the same along all columns and something that is the same along all
 * rows. Both, and what is neither, are axes of the group, in its order.
 */
export interface Contraction {
  readonly rest: readonly Axis[];
  readonly rows: readonly Axis[];
  readonly columns: readonly Axis[];
  readonly over: readonly Axis[];
  readonly left: readonly Operand[];
  readonly right: readonly Operand[];
  /** Each sum with the places of its factors in `left` and `right`. */
  readonly sums: readonly { readonly sum: Reduce; readonly left: number; readonly right: number }[];
  /** Whether four neighbours along the last of `over` lie side by side in all that is read on the left. */
  readonly along: boolean;
}
export const points = (axes: readonly Axis[]): number => pointsOf({ axes });

/** What a launch's sums are as products, with as many rows and columns as can be; undefined where they are none. */
export function contractionOf({ axes, results, covered }: Group): Contraction | undefined {
  const sums = [...new Set(results.flatMap((r) => outermost(r.body)))];
  const [first] = sums;
  if (!first || covered.length > 0 || results.some((r) => r.at) || points(first.over) + deepest >= 2 ** 31) return undefined;
  const fits = (s: Reduce): boolean => s.by === "sum" && s.type === "real" && !s.body.reduces && !s.where.some((w) => w.reduces)
    && s.over.length === first.over.length && s.over.every((a) => first.over.includes(a));
  if (!sums.every(fits)) return undefined;
  let best: Contraction | undefined;
  const shared = ({ rows, columns }: Contraction): number => Math.min(points(rows), points(columns));
  for (const j of [...axes].reverse()) {
    for (const i of axes) {
      const made = i === j ? undefined : contraction(axes, sums, first.over, i, j);
      if (made && (!best || shared(made) > shared(best))) best = made;
    }
  }
  return best;
}

/** As a contraction with a row axis and a column axis that are given. */
function contraction(axes: readonly Axis[], sums: readonly Reduce[], along: readonly Axis[], row: Axis, column: Axis): Contraction | undefined {
  const apart = sums.map((sum) => {
    const factors = factorsOf(sum.body);
    return { sum, left: factors.filter((f) => !f.free.includes(column)), right: factors.filter((f) => f.free.includes(column)) };
  });
  const rows = axes.filter((a) => !apart.some((s) => s.right.some((f) => f.free.includes(a))));
  const columns = axes.filter((a) => !rows.includes(a) && !apart.some((s) => s.left.some((f) => f.free.includes(a))));
  if (!rows.includes(row) || !columns.includes(column)) return undefined;
  if (apart.some((s) => !s.left.some((f) => f.free.includes(row) && f.reads) || !s.right.some((f) => f.reads))) return undefined;
  const [left, right]: [Operand[], Operand[]] = [[], []];
  const isFree = (e: Expr, of: readonly Axis[]): boolean => !of.some((a) => e.free.includes(a));
  const places: { sum: Reduce; left: number; right: number }[] = [];
  for (const s of apart) {
    const tests = s.sum.where;
    if (!tests.every((t) => isFree(t, columns) || isFree(t, rows))) return undefined;
    places.push({
      sum: s.sum,
      left: placeIn(left, operand(s.left, tests.filter((t) => isFree(t, columns)))),
      right: placeIn(right, operand(s.right, tests.filter((t) => isFree(t, rows)))),
    });
  }
  const isRow = (a: Axis): boolean => a.extent % four === 0 && left.every((o) => readsOf(o.value).some((r) => inRow(r, a)));
  const inner = along.find(isRow);
  return {
    rows, columns, rest: axes.filter((a) => !rows.includes(a) && !columns.includes(a)), left, right, sums: places, along: inner !== undefined,
    over: inner ? [...along.filter((a) => a !== inner), inner] : along,
  };
}

function factorsOf(e: Expr): readonly Expr[] {
  if (e.kind !== "apply") return [e];
  if (e.fn === "mul") return e.args.flatMap(factorsOf);
  return e.fn === "neg" ? [real(-1), ...e.args.flatMap(factorsOf)] : [e];
}

/** A product of factors. A read that is inside only where the sum's tests say so is tested, since factors are staged apart. */
function operand(factors: readonly Expr[], where: readonly Expr[]): Operand {
  const value = factors.reduce((a, b) => apply("mul", a, b));
  const inside = readsOf(value).filter((r) => r.outside === "never").flatMap((r) => r.at.map((e, k) => within(e, r.tensor.axes[k]?.extent ?? 1)));
  return { value, tests: [...new Set([...where, ...inside.flatMap(conjuncts)])] };
}

function placeIn(all: Operand[], one: Operand): number {
  const known = all.findIndex((o) => o.value === one.value && o.tests.length === one.tests.length && o.tests.every((t, i) => t === one.tests[i]));
  return known >= 0 ? known : all.push(one) - 1;
}
