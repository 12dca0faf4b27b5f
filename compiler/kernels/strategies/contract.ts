// The strategy for sums of products for cards: a team of invocations computes a block of points and shares the factors in workgroup memory.

import { apply, conjuncts, index, int, makeAxis, read, real, type Axis, type Expr, type Reduce } from "../../ir/expr.ts";
import { source } from "../../ir/graph.ts";
import { outermost, partsOf, readsOf, substitute, withParts } from "../../ir/rewrite.ts";
import { simplifyNode, within } from "../../ir/simplify.ts";
import { invariant } from "../../report/diagnostic.ts";
import { unravel } from "../invocation.ts";
import { pointsOf, type Block, type Group, type Kernel, type Lanes, type Schedule } from "../kernel.ts";
import type { Local, Loops, Staged, Statement, Value } from "../loops.ts";
import { Lowering } from "../lower.ts";
import { inRow } from "../touch.ts";
import { four } from "../vector.ts";

/** Terms of a sum that are staged at once, at most. */
const deepest = 16;
/** Blocks that are offered, at most. */
const offered = 4;
/** Fours of sums that one invocation keeps, at most. */
const registers = 16;
/** Costs per product: a load from workgroup memory, and from memory. */
const cost = { staged: 0.5, load: 4 };

const blocks: readonly Block[] = [
  { rows: 64, columns: 64, height: 8, width: 8 }, { rows: 64, columns: 64, height: 4, width: 4 },
  { rows: 64, columns: 32, height: 8, width: 4 }, { rows: 32, columns: 64, height: 4, width: 8 },
  { rows: 32, columns: 32, height: 4, width: 4 }, { rows: 128, columns: 16, height: 8, width: 4 },
  { rows: 64, columns: 16, height: 4, width: 4 }, { rows: 16, columns: 64, height: 4, width: 4 }, { rows: 64, columns: 8, height: 4, width: 4 },
  { rows: 32, columns: 16, height: 4, width: 4 }, { rows: 16, columns: 16, height: 4, width: 4 },
];

/** A factor of sums as it is staged: what it is, and where it is not zero. */
interface Operand {
  readonly value: Expr;
  readonly tests: readonly Expr[];
}

/**
 * Sums over the same axes, each of a product of something that is the same along all columns and something that is the same along all
 * rows. Both, and what is neither, are axes of the group, in its order.
 */
interface Contraction {
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

/** Blocks for a launch whose sums are products that a block of points shares; none for others. */
export function schedules(group: Group, lanes: Lanes): readonly Schedule[] {
  const { wanted, team } = lanes;
  const found = team && contractionOf(group);
  if (!found) return [];
  const price = (b: Block): number => {
    const [down, across] = [Math.ceil(points(found.rows) / b.rows), Math.ceil(points(found.columns) / b.columns)];
    const padded = (down * b.rows * across * b.columns) / (points(found.rows) * points(found.columns));
    // An invocation that keeps many sums keeps a lane busier than one that keeps one.
    const busy = Math.min(1, (points(found.rest) * down * across * teamOf(b)) / wanted);
    return (padded / Math.sqrt(busy)) * (1 + cost.staged * (1 / b.height + 1 / b.width) + cost.load * (1 / b.rows + 1 / b.columns));
  };
  return blocks
    .filter((b) => teamOf(b) <= team.size && bytesOf(found, b) <= team.bytes && (b.height * b.width * found.sums.length) / four <= registers)
    .map((block) => ({ block, price: price(block) })).sort((a, b) => a.price - b.price).slice(0, offered)
    .map(({ block }) => ({ strategy: "contract", block }));
}

const points = (axes: readonly Axis[]): number => pointsOf({ axes });
/** Invocations that compute a block. */
const teamOf = (b: Block): number => (b.rows / b.height) * (b.columns / b.width);
const depthOf = ({ over }: Contraction): number => Math.min(deepest, Math.ceil(points(over) / four) * four);
const bytesOf = (c: Contraction, b: Block): number => 16 * (c.left.length * leftFours(c, b) + c.right.length * rightFours(c, b));
/** Rows of fours along the sum are one longer than they need be: so neighbouring rows lie in different banks. */
const leftFours = (c: Contraction, b: Block): number => (c.along ? b.rows * (depthOf(c) / four + 1) : (b.rows / four) * depthOf(c));
const rightFours = (c: Contraction, b: Block): number => (b.columns / four) * depthOf(c);

function contractionOf({ axes, results, covered }: Group): Contraction | undefined {
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

const sum = (a: Expr, b: Expr): Expr => simplifyNode(apply("add", a, b));
const times = (a: Expr, n: number): Expr => simplifyNode(apply("mul", a, int(n)));
const quotient = (a: Expr, n: number): Expr => simplifyNode(apply("idiv", a, int(n)));
const remainder = (a: Expr, n: number): Expr => simplifyNode(apply("imod", a, int(n)));
const less = (a: Expr, n: number): Expr => simplifyNode(apply("lt", a, int(n)));

/** What axes are at a place that is counted through all their points, the last fastest. */
function digits(axes: readonly Axis[], place: Expr): readonly (readonly [Axis, Expr])[] {
  const [first, ...others] = axes;
  if (!first) return [];
  let rest = place;
  const made: (readonly [Axis, Expr])[] = [];
  for (const a of others.reverse()) {
    made.push([a, remainder(rest, a.extent)]);
    rest = quotient(rest, a.extent);
  }
  return [...made, [first, rest]];
}

export function lower(kernel: Kernel, { block }: Extract<Schedule, { strategy: "contract" }>): Loops {
  const found = contractionOf(kernel);
  invariant(found, () => `${kernel.name} is no sum of products`);
  return new Contracting(kernel, found, block).loops();
}

const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i);
const localValue = (local: Local): Value => ({ kind: "local", local, type: local.type });

/** One launch on its way to loops. */
class Contracting {
  readonly #kernel: Kernel;
  readonly #found: Contraction;
  readonly #block: Block;
  readonly #statements: Statement[] = [];
  readonly #team: Local = { name: "id", type: "int", vector: false };
  readonly #member: Local = { name: "member", type: "int", vector: false };
  readonly #lane = makeAxis("lane", four);
  readonly #number: Axis;
  readonly #down: Axis;
  readonly #across: Axis;
  readonly #chunk: Axis;
  readonly #depth: number;
  readonly #lowering: Lowering;
  readonly #left: readonly Staged[];
  readonly #right: readonly Staged[];

  constructor(kernel: Kernel, found: Contraction, block: Block) {
    [this.#kernel, this.#found, this.#block, this.#depth] = [kernel, found, block, depthOf(found)];
    this.#number = makeAxis("member", teamOf(block));
    this.#down = makeAxis("down", Math.ceil(points(found.rows) / block.rows));
    this.#across = makeAxis("across", Math.ceil(points(found.columns) / block.columns));
    this.#chunk = makeAxis("chunk", Math.ceil(points(found.over) / this.#depth));
    const bound = unravel([...found.rest, this.#down, this.#across], this.#team, this.#statements);
    bound.set(this.#number, localValue(this.#member));
    this.#lowering = new Lowering(bound, this.#statements, this.#lane);
    this.#left = found.left.map((_, i) => ({ name: `left${i}`, fours: leftFours(found, block) }));
    this.#right = found.right.map((_, i) => ({ name: `right${i}`, fours: rightFours(found, block) }));
  }

  loops(): Loops {
    const [lowering, found, { height, width }] = [this.#lowering, this.#found, this.#block];
    const zero: Value = { kind: "number", value: 0, type: "real" };
    const kept = found.sums.map(() => range(height).map(() => range(width / four).map(() => {
      const local = lowering.local("sum", "real", true);
      lowering.put({ kind: "var", local, value: zero });
      return local;
    })));
    const isOne = this.#chunk.extent === 1;
    lowering.each(isOne ? [] : [this.#chunk], [], () => {
      found.left.forEach((o, i) => this.#stageLeft(o, this.#left[i] as Staged));
      found.right.forEach((o, i) => this.#stageRight(o, this.#right[i] as Staged));
      lowering.put({ kind: "barrier" });
      this.#multiply(kept);
      if (!isOne) lowering.put({ kind: "barrier" });
    });
    this.#finish(kept);
    const teams = points(found.rest) * this.#down.extent * this.#across.extent;
    return {
      name: this.#kernel.name, invocations: teams * this.#number.extent, id: this.#team, body: this.#statements,
      team: { size: this.#number.extent, member: this.#member, staged: [...this.#left, ...this.#right] },
      reads: [...lowering.reads], writes: this.#kernel.results.map((r) => r.root), adds: false, dials: [...lowering.dials], draws: lowering.draws,
    };
  }

  /** Where an invocation stands in its block: which of the column of invocations, and which of the row. */
  #stands(): readonly [Expr, Expr] {
    const across = this.#block.columns / this.#block.width;
    return [quotient(index(this.#number), across), remainder(index(this.#number), across)];
  }

  /** The row in the block that is an invocation's `i`-th. */
  #row(i: number): Expr {
    const { rows, height } = this.#block;
    const [down] = this.#stands();
    const steps = rows / height;
    return this.#found.along ? sum(down, int(i * steps)) : sum(times(sum(down, int(Math.floor(i / four) * steps)), four), int(i % four));
  }

  /** The four columns in the block that are an invocation's `j`-th, as their number among fours. */
  #fourColumns(j: number): Expr {
    const { columns, width } = this.#block;
    return sum(this.#stands()[1], int((j * columns) / width));
  }

  #stageLeft(o: Operand, into: Staged): void {
    const [{ along, rows }, deep] = [this.#found, this.#depth / four];
    if (!along) return this.#stageOwn(o, into, rows, this.#block.rows, this.#down);
    this.#stage(into, this.#block.rows * deep, (slot) => {
      const [row, q] = [quotient(slot, deep), remainder(slot, deep)];
      const place = sum(times(index(this.#down), this.#block.rows), row);
      return { at: sum(times(row, deep + 1), q), ...this.#placed(o, rows, place, sum(times(q, four), index(this.#lane))) };
    });
  }

  #stageRight(o: Operand, into: Staged): void {
    this.#stageOwn(o, into, this.#found.columns, this.#block.columns, this.#across);
  }

  /** Stages a factor by fours along its own axes. Neighbouring invocations take what lies side by side. */
  #stageOwn(o: Operand, into: Staged, axes: readonly Axis[], width: number, block: Axis): void {
    const fours = width / four;
    const last = axes[axes.length - 1] as Axis;
    const isRow = readsOf(o.value).some((r) => inRow(r, last));
    this.#stage(into, fours * this.#depth, (slot) => {
      const [q, k] = isRow ? [remainder(slot, fours), quotient(slot, fours)] : [quotient(slot, this.#depth), remainder(slot, this.#depth)];
      const place = sum(times(index(block), width), sum(times(q, four), index(this.#lane)));
      return { at: sum(times(k, fours), q), ...this.#placed(o, axes, place, k) };
    });
  }

  /** A factor at a place of its own axes and at the `k`-th term of the chunk, and the tests that it must pass there. */
  #placed(o: Operand, axes: readonly Axis[], place: Expr, k: Expr): { readonly value: Expr; readonly tests: readonly Expr[] } {
    const { over } = this.#found;
    const term = sum(times(index(this.#chunk), this.#depth), k);
    const by = new Map([...digits(axes, place), ...digits(over, term)]);
    const tests = [less(place, points(axes)), less(term, points(over)), ...o.tests.map((t) => substitute(t, by, true))];
    return { value: substitute(o.value, by, true), tests: tests.flatMap(conjuncts) };
  }

  /** All invocations together fill what they share, `count` fours, each what the number of a four says. */
  #stage(into: Staged, count: number, four: (slot: Expr) => { readonly at: Expr; readonly value: Expr; readonly tests: readonly Expr[] }): void {
    const lowering = this.#lowering;
    for (const turn of range(Math.ceil(count / this.#number.extent))) {
      const slot = sum(index(this.#number), int(turn * this.#number.extent));
      const { at, value, tests } = four(slot);
      const masks = tests.filter((t) => t.free.includes(this.#lane));
      const guards = tests.filter((t) => !masks.includes(t));
      const masked = masks.length === 0 ? value : apply("select", masks.reduce((a, b) => apply("and", a, b)), value, real(0));
      const stage = (what: Value): void => {
        const place = lowering.value(at);
        lowering.put({ kind: "stage", into, at: place, value: what });
      };
      lowering.each([], [less(slot, count)], () => {
        if (guards.length === 0) return stage(lowering.value(masked));
        const local = lowering.local("four", "real", true);
        lowering.put({ kind: "var", local, value: { kind: "number", value: 0, type: "real" } });
        lowering.each([], guards, () => {
          const made = lowering.value(masked);
          lowering.put({ kind: "set", local, value: made });
        });
        stage(localValue(local));
      });
    }
  }

  /** Adds the products of what is staged. */
  #multiply(kept: readonly (readonly (readonly Local[])[])[]): void {
    const [lowering, { along, sums }, { rows, columns, height, width }] = [this.#lowering, this.#found, this.#block];
    const deep = this.#depth / four;
    const turn = makeAxis("turn", deep);
    const load = (from: Staged, at: Expr): Value => {
      const local = lowering.local("of", "real", true);
      lowering.put({ kind: "let", local, value: { kind: "staged", from, at: lowering.value(at), type: "real" } });
      return localValue(local);
    };
    const part = (of: Value, lane: number): Value => ({ kind: "part", of, lane, type: "real" });
    lowering.each(deep === 1 ? [] : [turn], [], () => {
      const long = along ? this.#left.map((s) => range(height).map((i) => load(s, sum(times(this.#row(i), deep + 1), index(turn))))) : [];
      for (const z of range(four)) {
        const k = sum(times(index(turn), four), int(z));
        const left = along ? long.map((of) => of.map((v) => part(v, z))) : this.#left.map((s) => {
          const fours = range(height / four).map((g) => load(s, sum(times(k, rows / four), quotient(this.#row(g * four), four))));
          return range(height).map((i) => part(fours[Math.floor(i / four)] as Value, i % four));
        });
        const right = this.#right.map((s) => range(width / four).map((j) => load(s, sum(times(k, columns / four), this.#fourColumns(j)))));
        sums.forEach((s, n) => kept[n]?.forEach((locals, i) => locals.forEach((local, j) => {
          const product: Value = { kind: "apply", fn: "mul", args: [left[s.left]?.[i] as Value, right[s.right]?.[j] as Value], type: "real" };
          lowering.put({ kind: "set", local, value: { kind: "apply", fn: "add", args: [localValue(local), product], type: "real" } });
        })));
      }
    });
  }

  /** The results at an invocation's points, from its sums, which their definitions read as if they were stored. */
  #finish(kept: readonly (readonly (readonly Local[])[])[]): void {
    const [lowering, { rows, columns, sums }, { axes, results }] = [this.#lowering, this.#found, this.#kernel];
    const totals = sums.map((_, n) => read(source(`sum${n}`, axes.map((a) => a.extent), { span: undefined, path: "" }), axes.map(index)));
    const by = new Map<Expr, Expr>(sums.map((s, n) => [s.sum, totals[n] as Expr]));
    const bodies = results.map((r) => replaced(r.body, by));
    const isWhole = points(columns) % four === 0;
    const at = (i: number, j: number, lane: Expr, valueOf: (local: Local) => Value): void => {
      const row = sum(times(index(this.#down), this.#block.rows), this.#row(i));
      const column = sum(times(index(this.#across), this.#block.columns), sum(times(this.#fourColumns(j), four), lane));
      const place = new Map([...digits(rows, row), ...digits(columns, column)]);
      const flat = axes.reduce<Expr>((n, a) => sum(times(n, a.extent), place.get(a) ?? index(a)), int(0));
      totals.forEach((t, n) => lowering.know(substitute(t, place, true), valueOf(kept[n]?.[i]?.[j] as Local)));
      lowering.each([], [less(row, points(rows)), less(column, points(columns))], () => {
        // All values first, then the stores: a launch may overwrite what it reads at its own points.
        const values = bodies.map((b) => lowering.value(substitute(b, place, true)));
        results.forEach((r, n) => lowering.store(r.root, flat, values[n] as Value));
      });
    };
    for (const i of range(this.#block.height)) {
      for (const j of range(this.#block.width / four)) {
        if (isWhole) at(i, j, index(this.#lane), localValue);
        else for (const lane of range(four)) at(i, j, int(lane), (local) => ({ kind: "part", of: localValue(local), lane, type: "real" }));
      }
    }
  }
}

/** An expression with some of its parts replaced. */
function replaced(e: Expr, by: ReadonlyMap<Expr, Expr>): Expr {
  const known = by.get(e);
  if (known || !e.reduces) return known ?? e;
  return withParts(e, partsOf(e).map((p) => replaced(p, by)));
}
