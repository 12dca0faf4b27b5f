// The strategy for sums whose terms land where data say: every term is added to its place, in whole numbers of 64 bits.

import { apply, index, int, makeAxis, read, real, reduce, type Axis, type Expr, type Reduce } from "../../ir/expr.ts";
import { define, sizeOf, type Tensor } from "../../ir/graph.ts";
import type { Change } from "../../ir/order.ts";
import { substitute } from "../../ir/rewrite.ts";
import { simplifyNode, within } from "../../ir/simplify.ts";
import { landings } from "../../ir/landing.ts";
import { invariant } from "../../report/diagnostic.ts";
import { unravel } from "../invocation.ts";
import type { Kernel, Lanes, Schedule } from "../kernel.ts";
import type { Local, Loops, Statement } from "../loops.ts";
import { Lowering } from "../lower.ts";

/** The sum of all terms' sizes becomes between one and two times as many steps: well inside 64 bits, however roundings add up. */
const steps = 2 ** 60;
/** Sums smaller than this count as this much, so that the step's reciprocal stays finite. */
const smallest = 2 ** -60;

/**
 * Rewrites every sum whose terms land by data as a wide whole number times a step. Whole numbers add up to the same in any
 * order, so the result is the same in every run. The step follows the sum of the terms' sizes, so that nothing overflows and a
 * term that is no number makes the result none; it is a power of two, so that no term is rounded. A tensor of more than `limit` elements is left to be searched.
 */
export function scattering(limit: number): Change {
  return (t, body) => {
    if (body.kind !== "reduce" || body.by !== "sum" || body.type !== "real" || sizeOf(t) > limit) return body;
    const { parallel, tests, value } = terms(t, body);
    if (!parallel) return body;
    const size = define(`${t.name}_size`, [], reduce("sum", parallel, tests, apply("abs", value)), t.origin);
    const total = read(size, []);
    const whole = apply("select", apply("lt", total, real(smallest)), real(smallest), apply("binade", total));
    const own = t.axes.map((a) => makeAxis(a.name, a.extent));
    const by = new Map(t.axes.map((a, i) => [a, index(own[i] as Axis)]));
    const counted = apply("widen", apply("mul", body.body, apply("div", real(steps), whole)));
    const wide = define(`${t.name}_wide`, own, substitute(reduce("sum", body.over, body.where, counted), by), t.origin);
    const back = apply("real", read(wide, t.axes.map(index)));
    return apply("mul", back, apply("mul", whole, real(1 / steps)));
  };
}

/** A sum as seen from its terms: the axes they run over, the tests they must pass, what they are; `at` is where they land. */
function terms(t: Tensor, body: Reduce): { readonly parallel: readonly Axis[] | undefined; readonly tests: readonly Expr[]; readonly value: Expr; readonly at: readonly Expr[] } {
  const { at, rest } = landings(body.where, body.over, body.type === "wide");
  const landed = t.axes.filter((a) => at.has(a));
  if (landed.length === 0) return { parallel: undefined, tests: [], value: body.body, at: [] };
  const inside = landed.map((a) => within(at.get(a) as Expr, a.extent));
  return {
    parallel: [...t.axes.filter((a) => !at.has(a)), ...body.over],
    tests: [...rest.map((w) => substitute(w, at)), ...inside],
    value: substitute(body.body, at),
    at: t.axes.map((a) => at.get(a) ?? index(a)),
  };
}

/** How often a definition's body is evaluated outside its reductions: once a point, but once in all where terms look for their points. */
export function bodiesOf(t: Tensor): number {
  if (t.type !== "wide" || t.body?.kind !== "reduce") return sizeOf(t);
  const { at } = landings(t.body.where, t.body.over, true);
  return t.axes.reduce((n, a) => (at.has(a) ? n : n * a.extent), 1);
}

/** Large axes are dealt out, small ones run inside an invocation, where neighbouring terms share their arithmetic. */
export function schedule(root: Tensor, body: Expr, lanes: Lanes): Schedule {
  const all = termsOf(root, body).parallel;
  const bySize = [...all].sort((a, b) => b.extent - a.extent);
  const dealt = new Set<Axis>();
  let invocations = 1;
  for (const a of bySize) {
    if (invocations >= 4 * lanes.wanted) break;
    dealt.add(a);
    invocations *= a.extent;
  }
  return { strategy: "scatter", parallel: all.filter((a) => dealt.has(a)), serial: all.filter((a) => !dealt.has(a)) };
}

function termsOf(root: Tensor, body: Expr): { readonly parallel: readonly Axis[]; readonly tests: readonly Expr[]; readonly value: Expr; readonly at: readonly Expr[] } {
  invariant(body.kind === "reduce", () => `${root.name} is no sum to scatter`);
  const { parallel, ...rest } = terms(root, body);
  invariant(parallel, () => `the terms of ${root.name} land nowhere`);
  return { parallel, ...rest };
}

export function lower(kernel: Kernel, { parallel, serial }: Extract<Schedule, { strategy: "scatter" }>): Loops {
  const [only] = kernel.results;
  invariant(only && kernel.results.length === 1, () => `${kernel.name} scatters more than one sum`);
  const { root, body } = only;
  const { tests, value, at } = termsOf(root, body);
  invariant(value.kind === "apply" && value.fn === "widen", () => `${root.name} is no wide sum`);
  const statements: Statement[] = [];
  const id: Local = { name: "id", type: "int", vector: false };
  const lowering = new Lowering(unravel(parallel, id, statements), statements);
  const flat = at.reduce((sum, e, k) => simplifyNode(apply("add", simplifyNode(apply("mul", sum, int((root.axes[k] as Axis).extent))), e)), int(0));
  lowering.each(serial, tests, () => lowering.add(root, flat, value.args[0] as Expr));
  return {
    name: kernel.name, invocations: parallel.reduce((n, a) => n * a.extent, 1), id, body: statements,
    reads: [...lowering.reads], writes: [root], adds: true, dials: [...lowering.dials], draws: lowering.draws,
  };
}
