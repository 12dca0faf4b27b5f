// Small definitions written straight in the IR: the shapes of index arithmetic that networks contain.

import { apply, dial, index, int, makeAxis, read, real, reduce, type Axis, type Expr, type Outside } from "../../compiler/ir/expr.ts";
import { define, source, type Tensor } from "../../compiler/ir/graph.ts";

export interface Case {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly result: Tensor;
}

const origin = { span: undefined, path: "test" };
const add = (...e: Expr[]): Expr => e.reduce((a, b) => apply("add", a, b));
const mul = (...e: Expr[]): Expr => e.reduce((a, b) => apply("mul", a, b));
const div = (a: Expr, b: number): Expr => apply("idiv", a, int(b));
const mod = (a: Expr, b: number): Expr => apply("imod", a, int(b));
const axes = (...of: [string, number][]): Axis[] => of.map(([n, e]) => makeAxis(n, e));

export function conv(spec: { n: number; c: number; o: number; s: [number, number]; k: [number, number]; stride: number; dilation: number; pad: number; groups: number }): Case {
  const { n, c, o, s, k, stride, dilation, pad, groups } = spec;
  const t = s.map((e, i) => Math.floor((e + 2 * pad - dilation * ((k[i] ?? 1) - 1) - 1) / stride) + 1);
  const x = source("x", [n, c, ...s], origin);
  const w = source("w", [o, c / groups, ...k], origin);
  const [an, ao, a0, a1] = axes(["n", n], ["o", o], ["t0", t[0] as number], ["t1", t[1] as number]) as [Axis, Axis, Axis, Axis];
  const [rc, k0, k1] = axes(["c", c / groups], ["k0", k[0]], ["k1", k[1]]) as [Axis, Axis, Axis];
  const place = (a: Axis, b: Axis): Expr => add(mul(index(a), int(stride)), mul(index(b), int(dilation)), int(-pad));
  const channel = add(mul(div(index(ao), o / groups), int(c / groups)), index(rc));
  const body = reduce("sum", [rc, k0, k1], [], mul(read(x, [index(an), channel, place(a0, k0), place(a1, k1)], "zero"), read(w, [ao, rc, k0, k1].map(index))));
  return { name: `conv ${JSON.stringify(spec)}`, inputs: [x, w], result: define("y", [an, ao, a0, a1], body, origin) };
}

export function transposed(stride: number, k: number, pad: number): Case {
  const [c, s, o] = [3, 4, 2];
  const x = source("x", [c, s], origin);
  const w = source("w", [c, o, k], origin);
  const [ao, at] = axes(["o", o], ["t", (s - 1) * stride - 2 * pad + k]) as [Axis, Axis];
  const [rc, rs, rk] = axes(["c", c], ["s", s], ["k", k]) as [Axis, Axis, Axis];
  const where = [apply("eq", add(mul(index(rs), int(stride)), index(rk), int(-pad)), index(at))];
  const body = reduce("sum", [rc, rs, rk], where, mul(read(x, [index(rc), index(rs)]), read(w, [rc, ao, rk].map(index))));
  return { name: `transposed stride ${stride} kernel ${k} pad ${pad}`, inputs: [x, w], result: define("y", [ao, at], body, origin) };
}

/** Linear interpolation with clamped ends, written in whole numbers as the front end writes it. */
export function resize(from: number, to: number): Case {
  const x = source("x", [2, from], origin);
  const [ac, at] = axes(["c", 2], ["t", to]) as [Axis, Axis];
  const position = add(mul(add(mul(index(at), int(2)), int(1)), int(from)), int(-to));
  const low = div(position, 2 * to);
  const rest = apply("div", apply("real", mod(position, 2 * to)), real(2 * to));
  const corner = (i: Expr): Expr => read(x, [index(ac), i], "edge");
  const body = add(mul(corner(low), apply("sub", real(1), rest)), mul(corner(add(low, int(1))), rest));
  return { name: `resize ${from} to ${to}`, inputs: [x], result: define("y", [ac, at], body, origin) };
}

/** Linear interpolation between corners that stay corners, forwards or read from the other end. */
export function corners(from: number, to: number, mirrored = false): Case {
  const x = source("x", [2, from], origin);
  const [ac, at] = axes(["c", 2], ["t", to]) as [Axis, Axis];
  const position = mul(mirrored ? apply("sub", int(to - 1), index(at)) : index(at), int(from - 1));
  const low = div(position, to - 1);
  const rest = apply("div", apply("real", mod(position, to - 1)), real(to - 1));
  const corner = (i: Expr): Expr => read(x, [index(ac), i], "edge");
  const body = add(mul(corner(low), apply("sub", real(1), rest)), mul(corner(add(low, int(1))), rest));
  return { name: `corners ${from} to ${to}${mirrored ? " mirrored" : ""}`, inputs: [x], result: define("y", [ac, at], body, origin) };
}

/** The square of a row-major reinterpretation: the number of each element is written once and read in other digits. */
export function reshape(from: readonly number[], to: readonly number[]): Case {
  const x = source("x", from, origin);
  const out = to.map((e, i) => makeAxis(`a${i}`, e));
  const flat = out.reduce<Expr>((sum, a) => add(mul(sum, int(a.extent)), index(a)), int(0));
  let below = 1;
  const at = [...from].reverse().map((extent, i) => {
    const digit = i === from.length - 1 ? div(flat, below) : mod(div(flat, below), extent);
    below *= extent;
    return digit;
  }).reverse();
  const body = read(x, at);
  return { name: `reshape ${from.join(" x ")} to ${to.join(" x ")}`, inputs: [x], result: define("y", out, mul(body, body), origin) };
}

/** Group statistics and their use, with the channel's group as a digit. */
export function groupNorm(): Case {
  const [n, c, g, s] = [2, 6, 3, 5];
  const x = source("x", [n, c, s], origin);
  const [an, ag] = axes(["n", n], ["g", g]) as [Axis, Axis];
  const [rc, rs] = axes(["c", c / g], ["s", s]) as [Axis, Axis];
  const element = read(x, [index(an), add(mul(index(ag), int(c / g)), index(rc)), index(rs)]);
  const mean = define("mu", [an, ag], mul(reduce("sum", [rc, rs], [], element), real(g / (c * s))), origin);
  const [vn, vg, vc, vs] = axes(["n", n], ["g", g], ["c", c / g], ["s", s]) as [Axis, Axis, Axis, Axis];
  const off = apply("sub", read(x, [index(vn), add(mul(index(vg), int(c / g)), index(vc)), index(vs)]), read(mean, [index(vn), index(vg)]));
  const variance = define("var", [vn, vg], mul(reduce("sum", [vc, vs], [], mul(off, off)), real(g / (c * s))), origin);
  const [yn, yc, ys] = axes(["n", n], ["c", c], ["s", s]) as [Axis, Axis, Axis];
  const group = [index(yn), div(index(yc), c / g)];
  const body = mul(apply("sub", read(x, [yn, yc, ys].map(index)), read(mean, group)), apply("rsqrt", add(read(variance, group), real(1e-3))));
  return { name: "group norm", inputs: [x], result: define("y", [yn, yc, ys], body, origin) };
}

/** Softmax over the last axis through its largest value. */
export function softmax(): Case {
  const x = source("x", [3, 7], origin);
  const [ta, tb] = axes(["a", 3], ["b", 7]) as [Axis, Axis];
  const top = define("top", [ta], reduce("max", [tb], [], read(x, [index(ta), index(tb)])), origin);
  const [ea, eb] = axes(["a", 3], ["b", 7]) as [Axis, Axis];
  const e = define("e", [ea, eb], apply("exp", apply("sub", read(x, [index(ea), index(eb)]), read(top, [index(ea)]))), origin);
  const [ya, yb, r] = axes(["a", 3], ["b", 7], ["r", 7]) as [Axis, Axis, Axis];
  const total = reduce("sum", [r], [], read(e, [index(ya), index(r)]));
  return { name: "softmax", inputs: [x], result: define("y", [ya, yb], apply("div", read(e, [index(ya), index(yb)]), total), origin) };
}

/** Every scalar function with a derivative, in one expression. */
export function scalars(): Case {
  const x = source("x", [4, 3], origin);
  const [a, b] = axes(["a", 4], ["b", 3]) as [Axis, Axis];
  const v = read(x, [index(a), index(b)]);
  const positive = add(mul(v, v), real(0.5));
  const body = add(
    apply("exp", v), apply("log", positive), apply("sqrt", positive), apply("rsqrt", positive), apply("erf", v), apply("tanh", v),
    apply("sin", v), apply("cos", v), apply("pow", positive, real(1.7)), apply("abs", v), apply("max", v, mul(v, real(0.2))),
    apply("min", v, real(0.3)), apply("div", v, positive), apply("select", apply("lt", real(0.1), v), mul(v, v), apply("neg", v)),
    mul(dial({ name: "heat", value: 1.5 }), v), mul(apply("hold", v), real(0)),
  );
  return { name: "scalar functions", inputs: [x], result: define("y", [a, b], body, origin) };
}

/** A read whose place is data: position `i + shift[i]`, with linear interpolation. */
export function deform(): Case {
  const [s] = [6];
  const x = source("x", [2, s], origin);
  const shift = source("shift", [s], origin);
  const [ac, at] = axes(["c", 2], ["t", s]) as [Axis, Axis];
  const position = add(apply("real", index(at)), read(shift, [index(at)]));
  const low = apply("floor", position);
  const rest = apply("sub", position, apply("real", low));
  const corner = (i: Expr): Expr => read(x, [index(ac), i], "zero");
  const body = add(mul(corner(low), apply("sub", real(1), rest)), mul(corner(add(low, int(1))), rest));
  return { name: "deformed read", inputs: [x, shift], result: define("y", [ac, at], body, origin) };
}

/** The largest of each window of two, and the product over a short axis. */
export function extremes(): Case {
  const x = source("x", [3, 8], origin);
  const [a, t, k] = axes(["a", 3], ["t", 4], ["k", 2]) as [Axis, Axis, Axis];
  const pooled = define("pooled", [a, t], reduce("max", [k], [], read(x, [index(a), add(mul(index(t), int(2)), index(k))])), origin);
  const [b, r] = axes(["b", 3], ["r", 4]) as [Axis, Axis];
  return { name: "max and product", inputs: [x], result: define("y", [b], reduce("prod", [r], [], read(pooled, [index(b), index(r)])), origin) };
}

/** Zeros after the end: vectors of the longer result reach beyond what divides into fours. */
export function padded(extent: number, longer: number): Case {
  const x = source("x", [extent], origin);
  const [t] = axes(["t", longer]) as [Axis];
  const v = read(x, [index(t)], "zero");
  return { name: `padded ${extent} to ${longer}`, inputs: [x], result: define("y", [t], mul(v, v), origin) };
}

/** A view: two channels stacked on two others. */
export function stacked(): Case {
  const x = source("x", [2, 5], origin);
  const z = source("z", [3, 5], origin);
  const [c, s] = axes(["c", 5], ["s", 5]) as [Axis, Axis];
  const below = read(z, [add(index(c), int(-2)), index(s)], "zero");
  const view = (o: Outside): Expr => read(x, [index(c), index(s)], o);
  const body = apply("select", apply("lt", index(c), int(2)), view("zero"), mul(below, below));
  return { name: "stacked channels", inputs: [x, z], result: define("y", [c, s], body, origin) };
}

/** One axis at both places of a matrix. */
export function diagonal(): Case {
  const x = source("x", [4, 4], origin);
  const [i] = axes(["i", 4]) as [Axis];
  const v = read(x, [index(i), index(i)]);
  return { name: "diagonal", inputs: [x], result: define("y", [i], mul(v, v), origin) };
}

/** The first elements of a vector. */
export function leading(extent: number, shorter: number): Case {
  const x = source("x", [extent], origin);
  const [i] = axes(["i", shorter]) as [Axis];
  const v = read(x, [index(i)]);
  return { name: `the first ${shorter} of ${extent}`, inputs: [x], result: define("y", [i], mul(v, v), origin) };
}

export function allCases(): readonly Case[] {
  const base = { n: 2, c: 4, o: 6, s: [7, 5] as [number, number], k: [3, 2] as [number, number], stride: 1, dilation: 1, pad: 1, groups: 1 };
  return [
    conv(base), conv({ ...base, stride: 2 }), conv({ ...base, groups: 2 }), conv({ ...base, o: 4, groups: 4, k: [3, 3] }),
    conv({ ...base, dilation: 2, pad: 2 }), conv({ ...base, k: [2, 2], stride: 2, pad: 0, s: [6, 8] }), conv({ ...base, stride: 3, k: [5, 4], groups: 2 }),
    transposed(2, 3, 1), transposed(2, 2, 0), transposed(1, 3, 1), transposed(2, 1, 0), transposed(3, 2, 0), transposed(2, 5, 2),
    resize(3, 6), resize(5, 7), resize(6, 3), resize(4, 3), corners(4, 8), corners(7, 5), corners(5, 8, true), reshape([3, 4, 5], [10, 6]), reshape([4, 8, 6], [48, 4]), reshape([2, 3, 4], [8, 3]), reshape([6, 4], [2, 2, 6]), groupNorm(), softmax(), scalars(), deform(), extremes(), stacked(), padded(3, 4), padded(6, 8), diagonal(), leading(7, 4),
  ];
}
