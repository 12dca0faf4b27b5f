// What the sums of a launch touch: which elements they read, how these move with each axis, and what lies side by side.

import { affine, coefficient, combine, fixed, type Affine } from "../ir/affine.ts";
import { index, read, type Axis, type Expr, type Read, type Reduce } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { interval } from "../ir/interval.ts";
import { Notes } from "../ir/notes.ts";
import { partsOf, readsOf } from "../ir/rewrite.ts";
import { invariant } from "../report/diagnostic.ts";
import { pointsOf, type Group } from "./kernel.ts";
import { four, hasFours } from "./vector.ts";

/** Reductions that run over the same axes, and what matters of what they read and do together, sums inside them left out. */
export interface Sum {
  readonly over: readonly Axis[];
  /** How many run together. */
  readonly together: number;
  /** The axes that they depend on, of the kernel and of the sums around them. */
  readonly free: ReadonlySet<Axis>;
  /** Those of the sums around them: they are taken once for every point of these. */
  readonly around: readonly Axis[];
  readonly where: readonly Expr[];
  readonly reads: readonly Touch[];
  readonly work: number;
}

/** What matters of a read. */
export interface Touch {
  /** Which of its indices may lie outside. */
  readonly viewed: readonly boolean[];
  readonly dimensions: readonly Dimension[];
  readonly axes: readonly Axis[];
  /** The place in row-major storage; undefined where it is clamped. */
  readonly flat: Affine | undefined;
  /** Whether its storage can be seen as vectors. */
  readonly fours: boolean;
}

/** How one index of a read moves with each axis; undefined for an axis it depends on in another way. */
type Dimension = ReadonlyMap<Axis, number | undefined>;

/** Terms that the sums of a launch have in all, which is about how long it takes. */
export const termsOf = (group: Group): number => pointsOf(group) * together(group.results.map((r) => r.body)).reduce((n, { over }) => n + pointsOf({ axes: over }), 0);

/** Reductions over the same axes, and the axes of those around the first. */
interface Together {
  readonly over: readonly Axis[];
  readonly list: Reduce[];
  readonly around: ReadonlySet<Axis>;
}

function together(bodies: readonly Expr[]): readonly Together[] {
  const found = new Map<string, Together>();
  const seen = new Set<Expr>();
  const visit = (e: Expr, around: ReadonlySet<Axis>): void => {
    if (!e.reduces || seen.has(e)) return;
    seen.add(e);
    if (e.kind === "reduce") {
      const key = e.over.map((a) => a.id).join();
      const known = found.get(key);
      if (known) known.list.push(e);
      else found.set(key, { over: e.over, list: [e], around });
      const inner = new Set([...around, ...e.over]);
      for (const part of partsOf(e)) visit(part, inner);
    } else for (const part of partsOf(e)) visit(part, around);
  };
  for (const body of bodies) visit(body, new Set());
  return [...found.values()];
}

export function sumsOf(bodies: readonly Expr[]): readonly Sum[] {
  return together(bodies).map(({ over, list, around }) => {
    const free = new Set(list.flatMap((e) => e.free));
    const own = ownParts(list.map((e) => e.body));
    const reads = own.flatMap((e) => (e.kind === "read" ? [touch(e)] : []));
    const work = own.reduce((n, e) => n + Number(e.kind === "apply" && e.type === "real"), 0);
    return {
      over, together: list.length, free, around: [...around].filter((a) => free.has(a)),
      where: [...new Set(list.flatMap((e) => e.where))], reads, work: Math.max(1, work),
    };
  });
}

/** All parts of some expressions but what stands in a sum inside them. */
function ownParts(all: readonly Expr[]): readonly Expr[] {
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.kind !== "reduce") partsOf(e).forEach(visit);
  };
  all.forEach(visit);
  return [...seen];
}

/** The distinct reads of several expressions. */
export function distinctReads(all: readonly Expr[]): readonly Read[] {
  return [...new Set(all.flatMap(readsOf))];
}

/** What matters of storing a tensor's elements at a place. */
export function touchOf(root: Tensor, place: readonly Expr[]): Touch {
  const whole = read(root, place);
  invariant(whole.kind === "read", () => `${root.name} is not read`);
  return touch(whole);
}

const touches = new Notes<Touch>();

export function touch(r: Read): Touch {
  let known = touches.get(r);
  if (!known) touches.set(r, known = derive(r));
  return known;
}

function derive(r: Read): Touch {
  let flat = fixed(0);
  r.at.forEach((e, k) => {
    flat = combine(affine(e), flat, (r.tensor.axes[k] as Axis).extent);
  });
  const viewed = r.at.map((e, k) => {
    const range = interval(e);
    return r.outside !== "never" && (range.low < 0 || range.high >= (r.tensor.axes[k] as Axis).extent);
  });
  return { viewed, dimensions: dimensionsOf(r), axes: r.free, flat: r.outside === "edge" ? undefined : flat, fours: hasFours(r.tensor) };
}

/** Whether four points along an axis that begin at a multiple of four are four elements side by side. */
export function isRow(t: Touch, a: Axis): boolean {
  if (!t.flat || !t.fours || coefficient(t.flat, a) !== 1 || t.flat.constant % four !== 0) return false;
  const { atoms, factors } = t.flat;
  return factors.every((c, i) => c % four === 0 || atoms[i] === index(a));
}

/** Whether four neighbours along an axis are read in one go. */
export const inRow = (r: Read, a: Axis): boolean => isRow(touch(r), a);

function dimensionsOf(r: Read): readonly Dimension[] {
  return r.at.map((e) => {
    const sum = affine(e);
    const moves = new Map<Axis, number | undefined>();
    sum.atoms.forEach((atom, i) => atom.free.forEach((a) => moves.set(a, atom === index(a) && !moves.has(a) ? sum.factors[i] : undefined)));
    return moves;
  });
}
