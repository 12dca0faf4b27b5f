// A team of invocations on its way through a sum of products: stages both factors chunk by chunk, multiplies, and finishes its block of points.

import { apply, conjuncts, index, int, makeAxis, read, real, type Axis, type Expr } from "../../ir/expr.ts";
import { source } from "../../ir/graph.ts";
import { partsOf, readsOf, substitute, withParts } from "../../ir/rewrite.ts";
import { simplifyNode } from "../../ir/simplify.ts";
import { unravel } from "../invocation.ts";
import type { Block, Kernel } from "../kernel.ts";
import type { Local, Loops, Staged, Statement, Team, Value } from "../loops.ts";
import { Lowering } from "../lower.ts";
import { inRow } from "../touch.ts";
import { four } from "../vector.ts";
import { points, type Contraction, type Operand } from "./contraction.ts";

/** How the factors of a chunk lie in workgroup memory, in lines of fours. */
export interface Layout {
  /** Terms of the sum in a chunk. */
  readonly depth: number;
  readonly left: Lines;
  readonly right: Lines;
  /** Whether the elements lie one by one, as reals of this type. */
  readonly single?: NonNullable<Staged["single"]>;
}

/** Lines, and how many fours after each other they begin. */
export interface Lines {
  readonly count: number;
  readonly stride: number;
}

export const sum = (a: Expr, b: Expr): Expr => simplifyNode(apply("add", a, b));
export const times = (a: Expr, n: number): Expr => simplifyNode(apply("mul", a, int(n)));
export const quotient = (a: Expr, n: number): Expr => simplifyNode(apply("idiv", a, int(n)));
export const remainder = (a: Expr, n: number): Expr => simplifyNode(apply("imod", a, int(n)));
export const less = (a: Expr, n: number): Expr => simplifyNode(apply("lt", a, int(n)));

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
export const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i);
export const localValue = (local: Local): Value => ({ kind: "local", local, type: local.type });

/** One launch on its way to loops; a way to multiply says how a team's sums are kept, added to and handed to `four`. */
export abstract class Contracting {
  protected readonly found: Contraction;
  protected readonly block: Block;
  protected readonly layout: Layout;
  protected readonly lowering: Lowering;
  protected readonly number: Axis;
  protected readonly left: readonly Staged[];
  protected readonly right: readonly Staged[];
  readonly #kernel: Kernel;
  readonly #statements: Statement[] = [];
  readonly #team: Local = { name: "id", type: "int", vector: false };
  readonly #member: Local = { name: "member", type: "int", vector: false };
  readonly #lane = makeAxis("lane", four);
  readonly #down: Axis;
  readonly #across: Axis;
  readonly #chunk: Axis;
  /** The sums as they are read by the results, if they were stored. */
  readonly #totals: readonly Expr[];
  readonly #bodies: readonly Expr[];

  /** `size` invocations are a team. */
  constructor(kernel: Kernel, found: Contraction, block: Block, layout: Layout, size: number) {
    [this.#kernel, this.found, this.block, this.layout] = [kernel, found, block, layout];
    this.number = makeAxis("member", size);
    this.#down = makeAxis("down", Math.ceil(points(found.rows) / block.rows));
    this.#across = makeAxis("across", Math.ceil(points(found.columns) / block.columns));
    this.#chunk = makeAxis("chunk", Math.ceil(points(found.over) / layout.depth));
    const bound = unravel([...found.rest, this.#down, this.#across], this.#team, this.#statements);
    bound.set(this.number, localValue(this.#member));
    this.lowering = new Lowering(bound, this.#statements, this.#lane);
    const staged = (name: string, { count, stride }: Lines): Staged => ({ name, fours: count * stride, ...(layout.single ? { single: layout.single } : {}) });
    this.left = found.left.map((_, i) => staged(`left${i}`, layout.left));
    this.right = found.right.map((_, i) => staged(`right${i}`, layout.right));
    this.#totals = found.sums.map((_, n) => read(source(`sum${n}`, kernel.axes.map((a) => a.extent), { span: undefined, path: "" }), kernel.axes.map(index)));
    const by = new Map<Expr, Expr>(found.sums.map((s, n) => [s.sum, this.#totals[n] as Expr]));
    this.#bodies = kernel.results.map((r) => replaced(r.body, by));
  }

  loops(): Loops {
    const { lowering, found } = this;
    this.begin();
    const isOne = this.#chunk.extent === 1;
    lowering.each(isOne ? [] : [this.#chunk], [], () => {
      found.left.forEach((o, i) => this.#stageLeft(o, this.left[i] as Staged));
      found.right.forEach((o, i) => this.#stageOwn(o, this.right[i] as Staged, found.columns, this.block.columns, this.#across));
      lowering.put({ kind: "barrier" });
      this.multiply();
      if (!isOne) lowering.put({ kind: "barrier" });
    });
    this.finish();
    const teams = points(found.rest) * this.#down.extent * this.#across.extent;
    return {
      name: this.#kernel.name, invocations: teams * this.number.extent, id: this.#team, body: this.#statements,
      team: { size: this.number.extent, member: this.#member, staged: [...this.left, ...this.right], ...this.more() },
      reads: [...lowering.reads], writes: this.#kernel.results.map((r) => r.root), adds: false, dials: [...lowering.dials], draws: lowering.draws,
    };
  }

  /** What else the team has. */
  protected more(): Partial<Team> {
    return {};
  }

  /** Makes the sums, which are zeros. */
  protected abstract begin(): void;
  /** Adds the products of what is staged. */
  protected abstract multiply(): void;
  /** Gives all sums to `four`. */
  protected abstract finish(): void;

  /** The results at a row of the block and the four columns from `column` on, where the sums are these, one by one. */
  protected four(row: Expr, column: Expr, sums: readonly Value[]): void {
    const [lowering, { rows, columns }, { axes, results }] = [this.lowering, this.found, this.#kernel];
    const down = sum(times(index(this.#down), this.block.rows), row);
    const at = (lane: Expr, valueOf: (of: Value) => Value): void => {
      const across = sum(times(index(this.#across), this.block.columns), sum(column, lane));
      const place = new Map([...digits(rows, down), ...digits(columns, across)]);
      const flat = axes.reduce<Expr>((n, a) => sum(times(n, a.extent), place.get(a) ?? index(a)), int(0));
      this.#totals.forEach((t, n) => lowering.know(substitute(t, place, true), valueOf(sums[n] as Value)));
      lowering.each([], [less(down, points(rows)), less(across, points(columns))], () => {
        // All values first, then the stores: a launch may overwrite what it reads at its own points.
        const values = this.#bodies.map((b) => lowering.value(substitute(b, place, true)));
        results.forEach((r, n) => lowering.store(r.root, flat, values[n] as Value));
      });
    };
    if (points(columns) % four === 0) at(index(this.#lane), (of) => of);
    else for (const lane of range(four)) at(int(lane), (of) => ({ kind: "part", of, lane, type: "real" }));
  }

  #stageLeft(o: Operand, into: Staged): void {
    const [{ along, rows }, { left }, deep] = [this.found, this.layout, this.layout.depth / four];
    if (!along) return this.#stageOwn(o, into, rows, this.block.rows, this.#down);
    this.#stage(into, this.block.rows * deep, (slot) => {
      const [row, q] = [quotient(slot, deep), remainder(slot, deep)];
      const place = sum(times(index(this.#down), this.block.rows), row);
      return { at: sum(times(row, left.stride), q), ...this.#placed(o, rows, place, sum(times(q, four), index(this.#lane))) };
    });
  }

  /** Stages a factor by fours along its own axes. Neighbouring invocations take what lies side by side. */
  #stageOwn(o: Operand, into: Staged, axes: readonly Axis[], width: number, block: Axis): void {
    const [fours, { depth, left, right }] = [width / four, this.layout];
    const { stride } = block === this.#down ? left : right;
    const last = axes[axes.length - 1] as Axis;
    const isRow = readsOf(o.value).some((r) => inRow(r, last));
    this.#stage(into, fours * depth, (slot) => {
      const [q, k] = isRow ? [remainder(slot, fours), quotient(slot, fours)] : [quotient(slot, depth), remainder(slot, depth)];
      const place = sum(times(index(block), width), sum(times(q, four), index(this.#lane)));
      return { at: sum(times(k, stride), q), ...this.#placed(o, axes, place, k) };
    });
  }

  /** A factor at a place of its own axes and at the `k`-th term of the chunk, and the tests that it must pass there. */
  #placed(o: Operand, axes: readonly Axis[], place: Expr, k: Expr): { readonly value: Expr; readonly tests: readonly Expr[] } {
    const { over } = this.found;
    const term = sum(times(index(this.#chunk), this.layout.depth), k);
    const by = new Map([...digits(axes, place), ...digits(over, term)]);
    const tests = [less(place, points(axes)), less(term, points(over)), ...o.tests.map((t) => substitute(t, by, true))];
    return { value: substitute(o.value, by, true), tests: tests.flatMap(conjuncts) };
  }

  /** All invocations together fill what they share, `count` fours, each what the number of a four says. */
  #stage(into: Staged, count: number, four: (slot: Expr) => { readonly at: Expr; readonly value: Expr; readonly tests: readonly Expr[] }): void {
    const { lowering } = this;
    for (const turn of range(Math.ceil(count / this.number.extent))) {
      const slot = sum(index(this.number), int(turn * this.number.extent));
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
}

/** An expression with some of its parts replaced. */
function replaced(e: Expr, by: ReadonlyMap<Expr, Expr>): Expr {
  const known = by.get(e);
  if (known || !e.reduces) return known ?? e;
  return withParts(e, partsOf(e).map((p) => replaced(p, by)));
}
