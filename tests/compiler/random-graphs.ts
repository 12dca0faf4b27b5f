// Random definitions: chains and diamonds of everything that bodies may be made of, grown from lists of small numbers.

import { apply, dial, draw, index, int, makeAxis, read, real, reduce, type Axis, type Expr, type Outside } from "../../compiler/ir/expr.ts";
import { define, shapeOf, sizeOf, source, type Output, type Tensor } from "../../compiler/ir/graph.ts";
import { interval } from "../../compiler/ir/interval.ts";

/** What a graph grows from. Shorter lists and smaller numbers make simpler graphs, so failures shrink. */
export interface Recipe {
  readonly inputs: readonly (readonly number[])[];
  readonly steps: readonly (readonly number[])[];
}

export interface RandomGraph {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Output[];
}

/** Elements of a tensor, and terms of all sums of a definition, at most: the oracle of gradients searches. */
const largest = 128;
const terms = 4096;
const extents = [1, 2, 3, 4, 5, 8, 6, 7, 12, 16, 9, 13];
const origin = { span: undefined, path: "random" };
const add = (...e: Expr[]): Expr => e.reduce((a, b) => apply("add", a, b));
const mul = (...e: Expr[]): Expr => e.reduce((a, b) => apply("mul", a, b));

/** Choices, one after the other; when they are used up all are the first. */
class Choices {
  readonly #given: readonly number[];
  #at = 0;

  constructor(given: readonly number[]) {
    this.#given = given;
  }

  below(n: number): number {
    return (this.#given[this.#at++] ?? 0) % n;
  }

  of<T>(all: readonly T[]): T {
    return all[this.below(all.length)] as T;
  }
}

/** Grows the graph of a recipe; names end in `suffix`. Results are what nothing reads, and every third definition besides. */
export function grow({ inputs: shapes, steps }: Recipe, suffix = ""): RandomGraph {
  const inputs = (shapes.length > 0 ? shapes : [[]]).map((given, i) => source(`x${i}${suffix}`, shapeFrom(new Choices(given)), origin));
  const made: Tensor[] = [];
  for (const [i, given] of steps.entries()) made.push(...step(new Choices(given), [...inputs, ...made], inputs, `${i}${suffix}`));
  const isRead = new Set<Tensor>();
  const look = (e: Expr): void => {
    if (e.kind === "read") isRead.add(e.tensor);
    for (const p of e.kind === "read" ? e.at : e.kind === "apply" ? e.args : e.kind === "reduce" ? [...e.where, e.body] : e.kind === "draw" ? [e.at] : []) look(p);
  };
  for (const t of made) if (t.body) look(t.body);
  return { inputs, outputs: made.filter((t, i) => !isRead.has(t) || i % 3 === 2).map((tensor) => ({ name: tensor.name, tensor })) };
}

function shapeFrom(c: Choices): readonly number[] {
  const shape: number[] = [];
  for (let rank = [2, 1, 3, 0, 4][c.below(5)] as number; shape.length < rank; ) {
    const left = Math.floor(largest / shape.reduce((n, e) => n * e, 1));
    shape.push(Math.min(left, c.of(extents)));
  }
  return shape;
}

const axesOf = (shape: readonly number[]): readonly Axis[] => shape.map((e, i) => makeAxis(`a${i}`, e));

/** One or a few new definitions that read what is there. */
function step(c: Choices, pool: readonly Tensor[], inputs: readonly Tensor[], at: string): readonly Tensor[] {
  const recent = (): Tensor => pool[pool.length - 1 - (c.below(pool.length * 2) % pool.length)] as Tensor;
  const kinds = [pointwise, pointwise, reduction, window, joined, norm, gathered, reshaped, transposed, softmax] as const;
  return c.of(kinds)({ c, recent, inputs, name: (part) => `t${at}${part}` });
}

interface Context {
  readonly c: Choices;
  readonly recent: () => Tensor;
  readonly inputs: readonly Tensor[];
  readonly name: (part: string) => string;
}

/** Some index expression over `axes` for an axis of `extent` points. */
function place(c: Choices, axes: readonly Axis[], extent: number): Expr {
  const alike = axes.filter((a) => a.extent === extent);
  if (alike.length > 0 && c.below(3) < 2) return index(c.of(alike));
  if (axes.length === 0) return int(c.below(extent));
  const a = index(c.of(axes));
  const other = index(c.of(axes));
  const by = 1 + c.below(4);
  switch (c.below(10)) {
    case 0: return a;
    case 1: return add(a, int(by - 3));
    case 2: return add(mul(a, int(by)), int(c.below(3) - 1));
    case 3: return apply("sub", int(extent - 1), a);
    case 4: return apply("idiv", a, int(by));
    case 5: return apply("imod", a, int(by));
    case 6: return add(a, other, int(-by));
    case 7: return apply("idiv", add(mul(a, int(by)), int(c.below(5) - 2)), int(1 + c.below(4)));
    case 8: return apply("imod", add(mul(a, int(by)), other), int(extent));
    default: return int(c.below(extent));
  }
}

/** A read of any tensor, with a view where its place may lie outside. */
function look(c: Choices, t: Tensor, axes: readonly Axis[]): Expr {
  return viewed(c, t, t.axes.map((a) => place(c, axes, a.extent)));
}

function viewed(c: Choices, t: Tensor, at: readonly Expr[]): Expr {
  const isInside = at.every((e, k) => {
    const { low, high } = interval(e);
    return low >= 0 && high < (t.axes[k] as Axis).extent;
  });
  const outside: Outside = isInside && c.below(2) === 0 ? "never" : c.of(["zero", "edge"] as const);
  return read(t, at, outside);
}

/** A smooth or a kinked function of what was read; bounded, so that chains stay near 1. */
function mixed(c: Choices, values: readonly Expr[], axes: readonly Axis[]): Expr {
  const both = (a: Expr, b: Expr): Expr => {
    switch (c.below(7)) {
      case 0: return add(a, b);
      case 1: return mul(a, b);
      case 2: return apply("sub", a, b);
      case 3: return apply("max", a, b);
      case 4: return apply("min", a, mul(b, real(0.7)));
      case 5: return apply("select", apply("lt", a, real(0.3)), b, mul(a, b));
      default: return apply("div", a, add(mul(b, b), real(1)));
    }
  };
  const v = values.reduce(both);
  switch (c.below(12)) {
    case 0: return v;
    case 1: return apply("tanh", v);
    case 2: return apply("erf", v);
    case 3: return apply("max", v, mul(v, real(0.1)));
    case 4: return apply("exp", apply("neg", mul(v, v)));
    case 5: return apply("sqrt", add(mul(v, v), real(0.5)));
    case 6: return add(mul(v, apply("real", axes.length > 0 ? index(c.of(axes)) : int(1)), real(0.25)), real(0.1));
    case 7: return mul(v, dial({ name: "heat", value: 1.5 }));
    case 8: return apply("select", apply("lt", draw(c.below(3), flat(axes)), real(0.5)), v, mul(v, real(-0.5)));
    case 9: return add(apply("hold", v), mul(v, real(0.5)));
    case 10: return apply("abs", v);
    default: return apply("rsqrt", add(mul(v, v), real(1)));
  }
}

const flat = (axes: readonly Axis[]): Expr => axes.reduce<Expr>((sum, a) => add(mul(sum, int(a.extent)), index(a)), int(0));

function shapeLike({ c, recent }: Context): readonly number[] {
  return c.below(3) < 2 ? shapeOf(recent()) : shapeFrom(c);
}

function pointwise(k: Context): readonly Tensor[] {
  const axes = axesOf(shapeLike(k));
  const values = Array.from({ length: 1 + k.c.below(3) }, () => look(k.c, k.recent(), axes));
  return [define(k.name(""), axes, mixed(k.c, values, axes), origin)];
}

/** A sum or an extreme of a mixture over one or two axes, with tests now and then. */
function reduction(k: Context): readonly Tensor[] {
  const { c } = k;
  const axes = axesOf(shapeLike(k));
  const points = axes.reduce((n, a) => n * a.extent, 1);
  const over: Axis[] = [];
  let room = Math.floor(terms / points);
  for (let n = 1 + c.below(3); n > 0; n--) {
    const wanted = c.below(2) === 0 ? c.of([...shapeOf(k.recent()), 1]) : c.of([...extents, 64, 100]);
    over.push(makeAxis(`r${n}`, Math.min(wanted, room)));
    room = Math.floor(room / Math.min(wanted, room));
  }
  const all = [...over, ...axes];
  const values = Array.from({ length: 1 + c.below(2) }, () => look(c, k.recent(), all));
  const last = index(over[0] as Axis);
  const tests = [[], [], [apply("lt", last, int(3))], [apply("lt", add(last, index(c.of(all))), int(6))], [apply("eq", apply("imod", last, int(2)), int(0))],
    [apply("eq", add(mul(index(c.of(all)), int(2)), last, int(-1)), index(c.of(all)))]] as const;
  const by = c.of(["sum", "sum", "sum", "max", "min"] as const);
  const length = over.reduce((n, a) => n * a.extent, 1);
  const body = reduce(by, over, c.of(tests), mixed(c, values, all));
  // What is reduced over nothing is no number to go on with.
  return [define(k.name(""), axes, by === "sum" ? mul(body, real(1 / length)) : apply("max", apply("min", body, real(4)), real(-4)), origin)];
}

/** A convolution along the last axis of a tensor, mixing one other. */
function window(k: Context): readonly Tensor[] {
  const { c } = k;
  const x = k.recent();
  const w = k.recent();
  const shape = shapeOf(x);
  const [size, stride, spread, groups] = [1 + c.below(4), 1 + c.below(3), 1 + c.below(2), c.below(2)];
  const pad = c.below(size + 1);
  const from = shape[shape.length - 1] ?? 1;
  const to = Math.max(1, Math.floor((from + 2 * pad - spread * (size - 1) - 1) / stride) + 1);
  const axes = axesOf(shape.length === 0 ? [] : [...shape.slice(0, -1), to]);
  const tap = makeAxis("k", size);
  const channel = makeAxis("c", groups === 0 ? 1 : (shape[0] ?? 1));
  const own = axes.map(index);
  const along = axes.length === 0 ? [] : [...own.slice(0, -1), add(mul(own[own.length - 1] as Expr, int(stride)), mul(index(tap), int(spread)), int(-pad))];
  const at = along.map((e, i) => (i === 0 && along.length > 1 && channel.extent > 1 ? index(channel) : e));
  const body = reduce("sum", [channel, tap], [], mul(viewed(c, x, at), look(c, w, [channel, tap, ...axes])));
  return [define(k.name(""), axes, mul(body, real(1 / (size * channel.extent))), origin)];
}

/** Two tensors one behind the other along a new first axis, told apart by its index. */
function joined(k: Context): readonly Tensor[] {
  const [a, b] = [k.recent(), k.recent()];
  const [m, n] = [shapeOf(a)[0] ?? 1, shapeOf(b)[0] ?? 1];
  const rest = shapeOf(a).slice(1);
  const axes = axesOf([Math.min(m + n, Math.max(1, Math.floor(largest / rest.reduce((p, e) => p * e, 1)))), ...rest]);
  const at = axes.map(index);
  const whole = (t: Tensor, first: Expr): Expr =>
    read(t, t.axes.map((x, i) => (i === 0 ? first : i < at.length && axes[i]?.extent === x.extent ? (at[i] as Expr) : place(k.c, axes.slice(1), x.extent))), "zero");
  const first = at[0] as Expr;
  return [define(k.name(""), axes, apply("select", apply("lt", first, int(m)), whole(a, first), whole(b, add(first, int(-m)))), origin)];
}

/** Mean, variance and what is normalised by them, over the last axes. */
function norm(k: Context): readonly Tensor[] {
  const x = k.recent();
  const shape = shapeOf(x);
  const kept = shape.length === 0 ? 0 : k.c.below(shape.length);
  const count = shape.slice(kept).reduce((n, e) => n * e, 1);
  const moment = (name: string, of: (value: Expr, own: readonly Axis[]) => Expr): Tensor => {
    const axes = axesOf(shape);
    const [own, over] = [axes.slice(0, kept), axes.slice(kept)];
    return define(k.name(name), own, mul(reduce("sum", over, [], of(read(x, axes.map(index)), own)), real(1 / count)), origin);
  };
  const mean = moment("m", (v) => v);
  const variance = moment("v", (v, own) => {
    const off = apply("sub", v, read(mean, own.map(index)));
    return mul(off, off);
  });
  const axes = axesOf(shape);
  const own = axes.slice(0, kept).map(index);
  const body = mul(apply("sub", read(x, axes.map(index)), read(mean, own)), apply("rsqrt", add(read(variance, own), real(0.1))));
  return [mean, variance, define(k.name("n"), axes, body, origin)];
}

/** A read whose place is data; with an offset, so that no rounding decides where it falls. */
function gathered(k: Context): readonly Tensor[] {
  const { c } = k;
  const [x, far] = [k.recent(), c.of(k.inputs)];
  const axes = axesOf(shapeLike(k));
  const position = add(mul(look(c, far, axes), real(1 + c.below(6))), real(1.37));
  const low = apply("floor", position);
  const moved = c.below(Math.max(1, x.axes.length));
  const at = (i: Expr): readonly Expr[] => x.axes.map((a, n) => (n === moved ? i : place(c, axes, a.extent)));
  const outside = c.of(["zero", "edge"] as const);
  const places = at(low);
  const next = places.map((e, n) => (n === moved ? add(low, int(1)) : e));
  const rest = apply("sub", position, apply("real", low));
  const body = add(mul(read(x, places, outside), apply("sub", real(1), rest)), mul(read(x, next, outside), rest));
  return [define(k.name(""), axes, body, origin)];
}

/** The same elements in the same order under another shape. */
function reshaped(k: Context): readonly Tensor[] {
  const x = k.recent();
  const size = sizeOf(x);
  const first = k.c.of(extents.filter((e) => size % e === 0));
  const second = k.c.of(extents.filter((e) => (size / first) % e === 0));
  const axes = axesOf([first, size / first / second, second]);
  let rest = flat(axes);
  const at: Expr[] = [];
  for (const a of [...x.axes].reverse()) {
    at.unshift(apply("imod", rest, int(a.extent)));
    rest = apply("idiv", rest, int(a.extent));
  }
  return [define(k.name(""), axes, mixed(k.c, [read(x, at)], axes), origin)];
}

/** A transposed convolution along the last axis, by its equation. */
function transposed(k: Context): readonly Tensor[] {
  const { c } = k;
  const x = k.recent();
  const shape = shapeOf(x);
  const [size, stride] = [1 + c.below(3), 1 + c.below(3)];
  const from = shape[shape.length - 1] ?? 1;
  const other = shape.slice(0, -1);
  const left = Math.max(1, Math.floor(largest / other.reduce((n, e) => n * e, 1)));
  const axes = axesOf([...other, Math.min(left, (from - 1) * stride + size)]);
  const [s, tap] = [makeAxis("s", from), makeAxis("k", size)];
  const own = axes.map(index);
  const where = [apply("eq", add(mul(index(s), int(stride)), index(tap)), own[own.length - 1] as Expr)];
  const at = shape.length === 0 ? [] : [...own.slice(0, -1), index(s)];
  return [define(k.name(""), axes, reduce("sum", [s, tap], where, mul(read(x, at), look(c, k.recent(), [tap, ...axes.slice(0, -1)]))), origin)];
}

/** Softmax over the last axis through its largest value. */
function softmax(k: Context): readonly Tensor[] {
  const x = k.recent();
  if (x.axes.length === 0) return pointwise(k);
  const shape = shapeOf(x);
  const axes = (): readonly Axis[] => axesOf(shape);
  const [a, b, y] = [axes(), axes(), axes()];
  const top = define(k.name("x"), a.slice(0, -1), reduce("max", a.slice(-1), [], read(x, a.map(index))), origin);
  const e = define(k.name("e"), b, apply("exp", apply("sub", read(x, b.map(index)), read(top, b.slice(0, -1).map(index)))), origin);
  const r = makeAxis("r", shape[shape.length - 1] as number);
  const total = reduce("sum", [r], [], read(e, [...y.slice(0, -1).map(index), index(r)]));
  return [top, e, define(k.name("s"), y, apply("div", read(e, y.map(index)), total), origin)];
}
