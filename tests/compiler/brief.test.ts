// Launches that are written shortly where a driver keeps only so much compiled code.

import { describe, expect, it } from "vitest";
import { apply, index, makeAxis, read, reduce } from "../../compiler/ir/expr.ts";
import { define, source } from "../../compiler/ir/graph.ts";
import { Brief } from "../../compiler/kernels/brief.ts";
import type { Group } from "../../compiler/kernels/kernel.ts";
import { accessesOf } from "../../compiler/kernels/loops.ts";
import type { Made } from "../../compiler/kernels/twins.ts";

const origin = { span: undefined, path: "brief" };

/** `y[i, j] = sum[k](a[i, k] * b[k, j])` of square matrices. */
function product(size: number): Group {
  const [a, b] = [source("a", [size, size], origin), source("b", [size, size], origin)];
  const [i, j, k] = [makeAxis("i", size), makeAxis("j", size), makeAxis("k", size)];
  const body = reduce("sum", [k], [], apply("mul", read(a, [index(i), index(k)]), read(b, [index(k), index(j)])));
  const root = define("y", [i, j], body, origin);
  return { axes: [i, j], results: [{ root, body, inlined: [], why: "", covered: [] }], covered: [], joined: [] };
}

const lengths = (made: readonly Made[]): readonly number[] => made.map(({ loops }) => accessesOf(loops).reduce((n, a) => n + a.elements, 0));
const sum = (all: readonly number[]): number => all.reduce((n, x) => n + x, 0);

describe("a step's texts", () => {
  const lanes = { wanted: 4, mates: 8 };
  const sizes = [32, 48, 64];
  const long = lengths(new Brief(lanes, undefined, 1e6).of(sizes.map(product)));

  it("are cut from the launches with least work, until a driver keeps them", () => {
    const brief = new Brief(lanes, undefined, sum(long) - 1);
    const made = brief.of(sizes.map(product));
    const short = lengths(made);
    expect(brief.isKept(made.map((m) => m.loops))).toBe(true);
    expect(short[0]).toBeLessThan(long[0] ?? 0);
    expect(short[2]).toBe(long[2]);
  });

  it("share no launches where alone they nearly fill what a driver keeps", () => {
    const programs = new Brief(lanes, undefined, 1e6).of(sizes.map(product)).map((m) => m.loops);
    expect(new Brief(lanes, undefined, sum(long)).isKept(programs)).toBe(true);
    expect(new Brief(lanes, undefined, sum(long)).isKept(programs, true)).toBe(false);
    expect(new Brief(lanes, undefined, 2 * sum(long)).isKept(programs, true)).toBe(true);
  });

  it("are as short as can be where that is not enough", () => {
    const brief = new Brief(lanes, undefined, 1);
    const made = brief.of(sizes.map(product));
    expect(brief.isKept(made.map((m) => m.loops))).toBe(false);
    lengths(made).forEach((n, i) => expect(n).toBeLessThan(long[i] ?? 0));
  });

  it("count once where launches are equal, and not at all where nothing is forgotten", () => {
    const alike = [product(64), product(64), product(64)];
    const limit = long[2] ?? 0;
    expect(sum(lengths(new Brief(lanes, undefined, limit).of(alike)))).toBe(3 * limit);
    expect(new Brief({ wanted: 4, mates: 4 }, undefined, 1).isKept(new Brief(lanes).of(alike).map((m) => m.loops))).toBe(true);
  });
});
