// Lets one invocation take all points of a short axis, so that a value without that axis joins the launch of one with it.

import { int, type Axis, type Expr } from "../ir/expr.ts";
import { outermost, readsOf, substitute } from "../ir/rewrite.ts";
import { longAxes, placeOf, pointsOf, type Definition, type Result } from "./kernel.ts";
import { unroll } from "./unroll.ts";

/** A launch and a definition that reads it, both over the same axes, at as many places as each needs. */
export interface Spread {
  readonly axes: readonly Axis[];
  /** The launch's results, and how many stand for each of those before. */
  readonly first: () => readonly Result[];
  readonly times: number;
  /** The definition, which reads results of the launch, at so many places; its axes have other names. */
  readonly second: () => readonly Result[];
  readonly places: number;
  /** Whether sums are left in it. */
  readonly isLeft: boolean;
  readonly renames: ReadonlyMap<Axis, Axis>;
}

/** Finds the axes to take all points of; undefined where there are none, or where they have more than `few` points. */
export function spread(axes: readonly Axis[], results: readonly Result[], d: Definition, few: number): Spread | undefined {
  const own = longAxes(d.root);
  const alike = new Map<Axis, Axis>();
  /** Axes of the launch and of the definition to take all points of, and axes of sums over them. */
  const [swept, apart, summed] = [new Set<Axis>(), new Set<Axis>(), new Set<Axis>()];
  let isFound = false;
  for (const r of readsOf(d.body)) {
    const of = results.find((x) => x.root === r.tensor);
    if (!of) continue;
    isFound = true;
    if (r.outside !== "never") return undefined;
    const place = of.at ?? placeOf(of.root, axes);
    for (const [k, e] of r.at.entries()) {
      const [axis, at] = [r.tensor.axes[k] as Axis, place[k] as Expr];
      if (axis.extent === 1) continue;
      if (e.kind !== "axis" || e.axis.extent !== axis.extent) return undefined;
      const isOwn = own.includes(e.axis);
      if (!isOwn) summed.add(e.axis);
      if (at.kind !== "axis") {
        if (isOwn) apart.add(e.axis);
      } else if (!isOwn) swept.add(at.axis);
      else if ((alike.get(at.axis) ?? e.axis) !== e.axis) return undefined;
      else alike.set(at.axis, e.axis);
    }
  }
  if (!isFound) return undefined;
  for (const a of swept) {
    const other = alike.get(a);
    if (other) apart.add(other);
  }
  const rest = axes.filter((a) => !swept.has(a));
  const met = new Set(alike.values());
  const left = own.filter((a) => !apart.has(a));
  for (const a of left.length > rest.length ? left : []) if (!met.has(a)) apart.add(a);
  const mine = own.filter((a) => !apart.has(a));
  if (swept.size + apart.size + summed.size === 0 || mine.length !== rest.length) return undefined;
  if (!rest.every((a, k) => a.extent === mine[k]?.extent && (alike.get(a) ?? mine[k]) === mine[k])) return undefined;
  if (pointsOf({ axes: [...swept] }) > few || pointsOf({ axes: [...apart] }) > few) return undefined;
  const points = pointsIn([...swept]);
  return {
    axes: rest, times: points.length, places: pointsOf({ axes: [...apart] }), isLeft: outermost(d.body).some((s) => s.over.some((a) => !summed.has(a))), renames: new Map(mine.map((a, k) => [a, rest[k] as Axis])),
    first: () => results.flatMap((r) => points.map((by) => at(r, r.at ?? placeOf(r.root, axes), by))),
    second: () => pointsIn([...apart]).map((by) => at({ ...d, body: unroll(d.body, summed) }, placeOf(d.root, own), by)),
  };
}

const at = <T extends Definition>(r: T, place: readonly Expr[], by: ReadonlyMap<Axis, Expr>): Result =>
  (by.size === 0 ? r : { ...r, body: substitute(r.body, by, true), at: place.map((e) => substitute(e, by, true)) });

/** All points of some axes, each as what stands for the axes. */
function pointsIn(axes: readonly Axis[]): readonly ReadonlyMap<Axis, Expr>[] {
  return axes.reduce<readonly ReadonlyMap<Axis, Expr>[]>((all, a) => all.flatMap((p) => Array.from({ length: a.extent }, (_, i) => new Map([...p, [a, int(i)]]))), [new Map()]);
}
