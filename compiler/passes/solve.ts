// Solves the equations in a reduction's `where` for its axes, so that constrained sums become gathers.

import { affine, build, combine, coefficient, picked, scaled, without, type Affine } from "../ir/affine.ts";
import { apply, conjuncts, index, int, makeAxis, reduce, type Axis, type Expr, type Reduce } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { interval } from "../ir/interval.ts";
import { rebuild, type Change } from "../ir/order.ts";
import { changed, substitute } from "../ir/rewrite.ts";
import { simplifyNode, within } from "../ir/simplify.ts";
import { landing } from "../ir/landing.ts";
import { simplifyExpression } from "../ir/simplified.ts";

/** Solves every reduction of the definitions, and simplifies them. What depends on data stays a test on every point of the sum. */
export const solve = (roots: readonly Tensor[]): Map<Tensor, Tensor> => rebuild(roots, solving());

/** `solve` as a change of each definition. */
export function solving(): Change {
  const memo = new Map<Expr, Expr>();
  const go = (e: Expr): Expr => {
    if (!e.reduces) return e;
    const known = memo.get(e);
    if (known) return known;
    let made = changed(e, go);
    if (made.kind === "reduce" && made.where.length > 0) made = solved(made);
    memo.set(e, made);
    return made;
  };
  return (_, body) => simplifyExpression(go(body));
}

/** What a sum runs over, in the making: equations and tests are in `where`; axes that are gone have their values in `values`. */
interface Domain {
  readonly over: readonly Axis[];
  readonly where: readonly Expr[];
  readonly values: ReadonlyMap<Axis, Expr>;
}

/** One way on: an axis with its value, or new axes with equations in place of one. */
interface Move {
  /** Lower is better. */
  readonly rank: number;
  readonly apply: () => Domain;
}

function solved(e: Reduce): Expr {
  let domain = tidy({ over: e.over, where: e.where, values: new Map() });
  let best = domain;
  for (let round = 0; round < 64; round++) {
    const move = bestMove(domain);
    if (!move) break;
    domain = tidy(move.apply());
    // Equations that only ever turn into others are better searched.
    if (pointsOf(domain) <= pointsOf(best)) best = domain;
  }
  return reduce(e.by, best.over, best.where, simplifyExpression(substitute(simplifyExpression(e.body), best.values)));
}

const pointsOf = (d: Domain): number => d.over.reduce((n, a) => n * a.extent, 1);

function tidy(d: Domain): Domain {
  return { ...d, where: [...new Set(d.where.flatMap(conjuncts).map(simplifyExpression).flatMap(conjuncts))] };
}

/** The domain with a value in place of an axis; `where` says what else then holds. */
function replaced(d: Domain, axis: Axis, value: Expr, over: readonly Axis[], where: (now: (e: Expr) => Expr) => readonly Expr[]): Domain {
  const by = new Map([[axis, value]]);
  const now = (e: Expr): Expr => substitute(e, by);
  return { over, where: where(now), values: new Map([...[...d.values].map(([a, v]): [Axis, Expr] => [a, now(v)]), [axis, value]]) };
}

function bestMove(d: Domain): Move | undefined {
  const bound = new Set(d.over);
  const isBound = (e: Expr): boolean => e.free.some((a) => bound.has(a));
  let best: Move | undefined;
  for (const equation of d.where) {
    if (equation.kind !== "apply" || equation.fn !== "eq" || equation.args[0]?.type !== "int" || !isBound(equation)) continue;
    // Terms that land where data say are scattered, not gathered.
    if (landing(equation, bound)) continue;
    const [l, r] = equation.args as [Expr, Expr];
    const sum = combine(affine(l), affine(r), -1);
    for (const move of moves(d, equation, sum, isBound)) if (!best || move.rank < best.rank) best = move;
  }
  return best;
}

/** Axes that opening a function brought in; they stay in the sum, the ones they stand for go. */
const made = new WeakSet<Axis>();

function bring(name: string, extent: number): Axis {
  const axis = makeAxis(name, extent);
  made.add(axis);
  return axis;
}

function* moves(d: Domain, equation: Expr, sum: Affine, isBound: (e: Expr) => boolean): Generator<Move> {
  const atoms = sum.atoms.flatMap((atom, i): [Expr, number][] => (isBound(atom) ? [[atom, sum.factors[i] as number]] : []));
  const solvable = d.over
    .map((axis) => ({ axis, c: coefficient(sum, axis) }))
    .filter((x): x is { axis: Axis; c: number } => x.c !== undefined);
  const settled = (e: Expr): boolean => e.free.every((a) => made.has(a) || !d.over.includes(a));
  const originals = solvable.filter((x) => !made.has(x.axis));

  // One axis with nothing else to choose: a substitution.
  const only = atoms.length === 1 ? solvable[0] : originals.length === 1 ? originals[0]
    : originals.length === 0 ? solvable.filter((x) => Math.abs(x.c) === 1).sort((a, b) => b.axis.extent - a.axis.extent)[0] : undefined;
  if (only && atoms.every(([atom]) => atom === index(only.axis) || settled(atom))) {
    yield { rank: Math.abs(only.c) === 1 ? 0 : 1, apply: () => eliminate(d, equation, sum, only.axis, only.c) };
    return;
  }
  const digit = digits(d, equation, sum, atoms, settled);
  if (digit) yield digit;
  const opaque = atoms.filter(([atom]) => atom.kind !== "axis");
  const [closed] = opaque;
  if (opaque.length === 1 && closed && Math.abs(closed[1]) === 1) {
    const opened = open(d, equation, closed[0], build(scaled(without(sum, closed[0]), -closed[1])));
    if (opened) yield opened;
  }
  // Several axes: the largest goes, so that the sum runs over the small ones.
  const [largest] = (originals.length > 0 ? originals : solvable).sort((a, b) => b.axis.extent - a.axis.extent || Math.abs(a.c) - Math.abs(b.c));
  if (largest) yield { rank: 6, apply: () => eliminate(d, equation, sum, largest.axis, largest.c) };
}

/** `c · axis + rest = 0` gives the axis its value, where the rest divides and the value lies inside. */
function eliminate(d: Domain, equation: Expr, sum: Affine, axis: Axis, c: number): Domain {
  const rest = scaled(without(sum, index(axis)), c > 0 ? -1 : 1);
  const step = Math.abs(c);
  const dividend = build(rest);
  const value = simplifyNode(apply("idiv", dividend, int(step)));
  const tests = [within(value, axis.extent)];
  if (step !== 1) tests.push(simplifyNode(apply("eq", simplifyNode(apply("imod", dividend, int(step))), int(0))));
  return replaced(d, axis, value, d.over.filter((a) => a !== axis), (now) => [...d.where.filter((w) => w !== equation).map(now), ...tests]);
}

/** `c · high + low = J` with `0 ≤ low < c` is `high = J / c` and `low = J % c`. */
function digits(d: Domain, equation: Expr, sum: Affine, atoms: readonly [Expr, number][], settled: (e: Expr) => boolean): Move | undefined {
  const [leading] = [...atoms].sort(([, a], [, b]) => Math.abs(b) - Math.abs(a));
  if (!leading || Math.abs(leading[1]) <= 1) return undefined;
  const [high, c] = leading;
  const sign = Math.sign(c);
  const size = Math.abs(c);
  // The low digits are taken greedily, the finest first, as long as together they stay below the leading one.
  const low = new Set<Expr>();
  let reach = 0;
  for (const [atom, k] of [...atoms].sort(([, a], [, b]) => Math.abs(a) - Math.abs(b))) {
    const r = interval(atom);
    if (atom === high || k * sign <= 0 || r.low !== 0 || reach + Math.abs(k) * r.high >= size) continue;
    reach += Math.abs(k) * r.high;
    low.add(atom);
  }
  if (low.size === 0) return undefined;
  const others = picked(sum, sum.constant, (atom) => atom !== high && !low.has(atom));
  if (!others.atoms.every(settled)) return undefined;
  const target = build(scaled(others, -sign));
  return {
    rank: 2,
    apply: () => ({
      ...d,
      where: [
        ...d.where.filter((w) => w !== equation),
        apply("eq", high, simplifyNode(apply("idiv", target, int(size)))),
        apply("eq", build(scaled(picked(sum, 0, (atom) => low.has(atom)), sign)), simplifyNode(apply("imod", target, int(size)))),
      ],
    }),
  };
}

/** Opens `N / m = J`, `N % m = J` or a clamped `N = J` by a new axis for what the function forgets. */
function open(d: Domain, equation: Expr, atom: Expr, target: Expr): Move | undefined {
  if (atom.kind !== "apply") return undefined;
  const [n, m] = atom.args as [Expr, Expr];
  const rest = d.where.filter((w) => w !== equation);
  if (atom.fn === "idiv" && m.kind === "number" && m.value > 0) {
    const few = openSteep(d, rest, n, m.value, target);
    if (few) return few;
    return {
      rank: 3,
      apply: () => {
        const low = bring("r", m.value);
        const sum = apply("add", apply("mul", target, m), index(low));
        return { ...d, over: [...d.over, low], where: [...rest, apply("eq", n, sum)] };
      },
    };
  }
  // `N % m = 0` is a test of divisibility, left by an elimination: it stays a test.
  if (atom.fn === "imod" && m.kind === "number" && m.value > 0 && target.kind !== "number") {
    const range = interval(n);
    if (!Number.isFinite(range.low) || !Number.isFinite(range.high)) return undefined;
    const first = Math.floor(range.low / m.value);
    return {
      rank: 4,
      apply: () => {
        const high = bring("q", Math.floor(range.high / m.value) - first + 1);
        const sum = apply("add", apply("mul", apply("add", index(high), int(first)), m), target);
        return { ...d, over: [...d.over, high], where: [...rest, within(target, m.value), apply("eq", n, sum)] };
      },
    };
  }
  if (atom.fn === "min" && m.kind === "number" && n.kind === "apply" && n.fn === "max") {
    return openClamp(d, rest, n.args[0] as Expr, n.args[1] as Expr, m.value, target);
  }
  if (atom.fn === "max" && m.kind === "number") return openClamp(d, rest, n, m, Infinity, target);
  if (atom.fn === "min" && m.kind === "number") return openClamp(d, rest, n, int(-Infinity), m.value, target);
  return undefined;
}

/** `(c · axis + k) / m = J` with a steep c leaves at most m / c values of the axis, from the first whose quotient is J. */
function openSteep(d: Domain, rest: readonly Expr[], n: Expr, m: number, target: Expr): Move | undefined {
  const sum = affine(n);
  const steep = d.over.flatMap((axis) => {
    const c = made.has(axis) || target.free.includes(axis) ? undefined : coefficient(sum, axis);
    return c !== undefined && Math.abs(c) > 1 ? [{ axis, c }] : [];
  });
  const [only] = steep;
  if (!only || steep.length > 1) return undefined;
  const { axis, c } = only;
  const size = Math.abs(c);
  const others = build(without(sum, index(axis)));
  const bottom = apply("mul", target, int(m));
  return {
    rank: 3,
    apply: () => {
      const turn = bring("u", Math.ceil(m / size));
      const value = simplifyNode(c > 0
        ? apply("add", simplifyNode(apply("idiv", simplifyNode(apply("add", apply("sub", bottom, others), int(c - 1))), int(c))), index(turn))
        : apply("sub", simplifyNode(apply("idiv", simplifyNode(apply("sub", others, bottom)), int(size))), index(turn)));
      const below = (now: (e: Expr) => Expr): Expr => apply("lt", now(n), apply("add", bottom, int(m)));
      return replaced(d, axis, value, [...d.over.filter((a) => a !== axis), turn], (now) => [...rest.map(now), within(value, axis.extent), below(now)]);
    },
  };
}

/** `clamp(n, floor, ceiling) = J`: either n is J, or J is an end and n lies beyond it. */
function openClamp(d: Domain, rest: readonly Expr[], n: Expr, floor: Expr, ceiling: number, target: Expr): Move | undefined {
  const range = interval(n);
  if (floor.kind !== "number" || !Number.isFinite(range.low) || !Number.isFinite(range.high)) return undefined;
  const below = Math.max(0, floor.value - range.low);
  const above = Math.max(0, range.high - ceiling);
  return {
    rank: 5,
    apply: () => {
      const beyond = bring("b", below + above + 1);
      const shift = apply("sub", index(beyond), int(below));
      const middle = simplifyNode(apply("eq", shift, int(0)));
      const atFloor = apply("and", simplifyNode(apply("lt", shift, int(0))), simplifyNode(apply("eq", target, int(floor.value))));
      const atCeiling = apply("and", simplifyNode(apply("lt", int(0), shift)), simplifyNode(apply("eq", target, int(ceiling))));
      let test = middle;
      if (below > 0) test = apply("or", test, atFloor);
      if (above > 0) test = apply("or", test, atCeiling);
      const inside = [Number.isFinite(floor.value) ? apply("le", floor, target) : undefined,
        Number.isFinite(ceiling) ? apply("le", target, int(ceiling)) : undefined].filter((x) => x !== undefined);
      return {
        ...d,
        over: [...d.over, beyond],
        where: [...rest, test, ...inside, apply("eq", n, simplifyNode(apply("add", target, shift)))],
      };
    },
  };
}
