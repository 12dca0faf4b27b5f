// Counts the arithmetic of a definition: scalar operations on reals, each in the outermost loop that knows its axes.

import { conjuncts, evaluate, type Axis, type Expr, type Reduce } from "./expr.ts";
import type { Tensor } from "./graph.ts";
import { landings } from "./landing.ts";
import { walk } from "./rewrite.ts";

/** Points of a test's axes that are looked at to count those that pass; of larger tests all points count. */
const most = 1 << 16;

/** Scalar operations on reals that computing every point of `root` takes. Where terms look for their points, nothing runs over these. */
export function flopsOf(root: Tensor, body: Expr, covered: readonly Axis[] = []): number {
  const landed = root.type === "wide" && body.kind === "reduce" ? landings(body.where, body.over, true).at : new Map<Axis, Expr>();
  return flopsAt(root.axes, root.axes.filter((a) => !landed.has(a)), [body], covered);
}

/**
 * Scalar operations on reals that computing values over `axes` takes, at the points of those of them that are `dealt` out; one function of a number, `exp` say, is one. The
 * points of a sum that its tests leave out do not count, those that fall outside of what is read (taps in the padding) do.
 */
export function flopsAt(axes: readonly Axis[], dealt: readonly Axis[], values: readonly Expr[], covered: readonly Axis[] = []): number {
  const own = new Set(axes);
  const points = dealt.reduce((n, a) => (covered.includes(a) ? n : n * a.extent), 1);
  const shares: { readonly over: ReadonlySet<Axis>; readonly share: number }[] = [];
  const all: Expr[] = [];
  const seen = new Set<Expr>();
  for (const v of values) walk(v, (e) => all.push(e), seen);
  for (const e of all) if (e.kind === "reduce" && e.where.length > 0) shares.push({ over: new Set(e.over), share: shareOf(e) });
  let total = 0;
  for (const e of all) {
    if ((e.type !== "real" && e.type !== "wide") || (e.kind !== "apply" && e.kind !== "reduce")) continue;
    const inner = e.kind === "reduce" ? [...e.free, ...e.over] : e.free;
    let times = points;
    for (const a of covered) if (e.free.includes(a)) times *= a.extent;
    for (const a of inner) if (!own.has(a)) times *= a.extent;
    for (const { over, share } of shares) if (inner.some((a) => over.has(a))) times *= share;
    total += times;
  }
  return Math.round(total);
}

/** The share of a reduction's points that pass its tests, as far as they depend on no data. */
function shareOf({ where }: Reduce): number {
  const groups: { axes: ReadonlySet<Axis>; tests: readonly Expr[] }[] = [];
  for (const test of where.flatMap(conjuncts)) {
    const touching = groups.filter((g) => test.free.some((a) => g.axes.has(a)));
    const rest = groups.filter((g) => !touching.includes(g));
    rest.push({ axes: new Set([...touching.flatMap((g) => [...g.axes]), ...test.free]), tests: [...touching.flatMap((g) => g.tests), test] });
    groups.splice(0, groups.length, ...rest);
  }
  return groups.reduce((n, { axes, tests }) => n * passing([...axes], tests), 1);
}

function passing(axes: readonly Axis[], tests: readonly Expr[]): number {
  const points = axes.reduce((n, a) => n * a.extent, 1);
  if (points > most) return 1;
  const at = new Map<Axis, number>(axes.map((a) => [a, 0]));
  if (tests.some((t) => valueAt(t, at) === undefined)) return 1;
  let passed = 0;
  for (let i = 0; i < points; i++) {
    let rest = i;
    for (const a of axes) {
      at.set(a, rest % a.extent);
      rest = Math.floor(rest / a.extent);
    }
    if (tests.every((t) => valueAt(t, at) !== 0)) passed++;
  }
  return passed / points;
}

/** The value of an index expression; undefined where it depends on data. */
function valueAt(e: Expr, at: ReadonlyMap<Axis, number>): number | undefined {
  if (e.kind === "number") return e.value;
  if (e.kind === "axis") return at.get(e.axis);
  if (e.kind !== "apply") return undefined;
  const args = new Array<number>(e.parts.length);
  for (let i = 0; i < args.length; i++) {
    const value = valueAt(e.parts[i] as Expr, at);
    if (value === undefined) return undefined;
    args[i] = value;
  }
  return evaluate(e.fn, args);
}
