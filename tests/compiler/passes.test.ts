// What the passes between differentiation and kernels make of small definitions.

import { describe, expect, it } from "vitest";
import { apply, index, int, makeAxis, read, real, reduce, reduceIdentity, type Axis, type Expr } from "../../compiler/ir/expr.ts";
import { define, shapeOf, source, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { ordered, rebuild, type Change } from "../../compiler/ir/order.ts";
import { splitting } from "../../compiler/kernels/strategies/reduce.ts";
import { arrange } from "../../compiler/passes/arrange.ts";
import { factoring } from "../../compiler/passes/factor.ts";
import { separate, separated } from "../../compiler/passes/separate.ts";
import { sharing } from "../../compiler/passes/share.ts";
import { simplifyExpression } from "../../compiler/ir/simplified.ts";
import { solve, solving } from "../../compiler/passes/solve.ts";
import { noise } from "./noise.ts";
import { withGradients, valuesOf } from "./subjects.ts";

const origin = { span: undefined, path: "test" };
const axes = (...extents: readonly number[]): readonly Axis[] => extents.map((n, i) => makeAxis(`a${i}`, n));

/** `y[c, s] = Σ[k, i] x[c', s + k] w[c, c', k]`, and `z[c, s] = y[c, s]²`. */
function convolved(): { x: Tensor; w: Tensor; y: Tensor; z: Tensor } {
  const source3 = source("x", [8, 12], origin);
  const [pc, ps] = axes(8, 12) as [Axis, Axis];
  const x = define("x2", [pc, ps], apply("mul", real(2), read(source3, [index(pc), index(ps)])), origin);
  const w = source("w", [16, 8, 3], origin);
  const [c, s, i, k] = axes(16, 10, 8, 3) as [Axis, Axis, Axis, Axis];
  const y = define("y", [c, s], reduce("sum", [i, k], [], apply("mul", read(x, [index(i), apply("add", index(s), index(k))]), read(w, [index(c), index(i), index(k)]))), origin);
  const [d, t] = axes(16, 10) as [Axis, Axis];
  return { x, w, y, z: define("z", [d, t], apply("mul", read(y, [index(d), index(t)]), read(y, [index(d), index(t)])), origin) };
}

describe("arrange", () => {
  it("lays channels innermost, which no read shifts, and leaves ports as they are", () => {
    const { x, w, y, z } = convolved();
    const { tensors, orders } = arrange([z], { fixed: new Set([z]), alike: [] });
    expect([x, y, z].map((t) => shapeOf(tensors.get(t) as Tensor))).toEqual([[12, 8], [10, 16], [16, 10]]);
    expect(orders.get(w)).toBeUndefined();
  });

  it("lays a weight and its gradient alike, and changes no value", () => {
    const { w, z } = convolved();
    const slope = define("d_w", axes(16, 8, 3), real(1), origin);
    const { tensors, orders } = arrange([z, slope], { fixed: new Set([z]), alike: [[w, slope]] });
    const order = orders.get(w);
    expect(order).toBeDefined();
    expect(orders.get(slope)).toEqual(order);
    const given = noise(16 * 8 * 3, 1);
    const image = noise(8 * 12, 2);
    const run = (t: Tensor, weights: Tensor, values: Float64Array): readonly number[] => {
      const sources = new Map<Tensor, Float64Array>([[weights, values]]);
      for (const s of [...tensors.keys()]) if (!s.body && s.name === "x") sources.set(s, image);
      return [...interpret(t, { values: sources })];
    };
    const moved = tensors.get(w) as Tensor;
    const there = new Float64Array(given.length);
    const [p, q, r] = shapeOf(moved) as [number, number, number];
    for (let a = 0; a < p; a++) for (let b = 0; b < q; b++) for (let c = 0; c < r; c++) {
      const at: number[] = [];
      order?.forEach((axis, place) => (at[axis] = [a, b, c][place] as number));
      there[(a * q + b) * r + c] = given[((at[0] as number) * 8 + (at[1] as number)) * 3 + (at[2] as number)] as number;
    }
    expect(run(tensors.get(z) as Tensor, moved, there)).toEqual(run(z, w, given));
  });
});

describe("several changes at once", () => {
  it("give what they give one after the other, also of what they define on the way", () => {
    const x = source("x", [8, 24], origin);
    const mean = (of: (a: Axis, b: Axis) => Expr): Expr => {
      const [a, b] = axes(8, 24) as [Axis, Axis];
      return apply("mul", reduce("sum", [a, b], [], of(a, b)), real(1 / 192));
    };
    const centre = mean((a, b) => read(x, [index(a), index(b)]));
    const off = (a: Axis, b: Axis): Expr => apply("sub", read(x, [index(a), index(b)]), centre);
    const [i, j] = axes(8, 24) as [Axis, Axis];
    const y = define("y", [i, j], apply("div", off(i, j), apply("sqrt", mean((a, b) => apply("mul", off(a, b), off(a, b))))), origin);
    const subject = withGradients("norm", [x], [{ name: "y", tensor: y }]);
    const roots = subject.outputs.map((o) => o.tensor);
    // What is split after the first merging has to be merged again: the mean's parts are the variance's.
    const changes = (): readonly Change[] => [separated, solving(), factoring(), sharing(), splitting({ wanted: 4, mates: undefined, team: undefined }, new Set()), sharing()];
    const inTurn = changes().reduce((now: readonly Tensor[], change) => {
      const made = rebuild(now, change);
      return now.map((t) => made.get(t) as Tensor);
    }, roots);
    const made = rebuild(roots, ...changes());
    const atOnce = roots.map((t) => made.get(t) as Tensor);
    expect(ordered(atOnce).length).toBe(ordered(inTurn).length);
    expect(ordered(atOnce).length).toBeGreaterThan(ordered(roots).length);
    const ending = (end: string): number => ordered(atOnce).filter((t) => t.name.endsWith(end)).length;
    expect(ending("_parts")).toBeGreaterThan(1);
    expect(ending("_of_part")).toBe(0);
    const numbers = (t: Tensor): readonly number[] => [...interpret(t, { values: new Map(valuesOf(subject)) })];
    const want = inTurn.map(numbers);
    atOnce.map(numbers).forEach((all, k) => all.forEach((v, n) => expect(v).toBeCloseTo(want[k]?.[n] ?? NaN, 12)));
  });
});

describe("merging", () => {
  it("gives two equal definitions the one that the changes after it made", () => {
    const x = source("x", [8, 24], origin);
    const [one, other] = [0, 1].map(() => {
      const [a, b] = axes(8, 24) as [Axis, Axis];
      return define("sum", [], reduce("sum", [a, b], [], read(x, [index(a), index(b)])), origin);
    }) as [Tensor, Tensor];
    const made = rebuild([one, other], sharing(), splitting({ wanted: 4, mates: undefined, team: undefined }, new Set()));
    expect(made.get(other)).toBe(made.get(one));
    expect(ordered([made.get(other) as Tensor]).map((t) => t.name)).toEqual(["x", "sum_parts", "sum"]);
  });
});

describe("sums of indices", () => {
  const [i, j] = axes(4, 6).map(index) as [Expr, Expr];

  it("forget what cancels", () => {
    expect(simplifyExpression(apply("sub", apply("add", i, j), i))).toBe(j);
    expect(simplifyExpression(apply("sub", apply("mul", i, int(3)), apply("add", i, apply("mul", int(2), i))))).toBe(int(0));
  });

  it("are one expression in whatever order they are written", () => {
    const sum = simplifyExpression(apply("sub", apply("add", apply("mul", j, int(4)), int(5)), i));
    expect(simplifyExpression(apply("add", apply("sub", int(5), i), apply("mul", int(4), j)))).toBe(sum);
    expect(simplifyExpression(apply("sub", apply("sub", apply("mul", int(4), j), i), int(-5)))).toBe(sum);
  });

  it("have a quotient and a remainder apart, and one place together", () => {
    const place = apply("add", apply("mul", i, int(6)), j);
    expect(simplifyExpression(apply("idiv", place, int(6)))).toBe(i);
    expect(simplifyExpression(apply("imod", place, int(6)))).toBe(j);
    const digits = apply("add", apply("mul", apply("idiv", place, int(5)), int(5)), apply("imod", place, int(5)));
    expect(simplifyExpression(digits)).toBe(simplifyExpression(place));
  });
});

describe("solve", () => {
  it("takes equations that name an axis, but not one that is longer, nor the second for one axis", () => {
    const x = source("x", [4, 6], origin);
    const [i, j] = axes(4, 4) as [Axis, Axis];
    const [p, q] = axes(4, 6) as [Axis, Axis];
    const where = [apply("eq", index(p), index(i)), apply("eq", index(q), index(i)), apply("eq", index(q), index(j))];
    const y = define("y", [i, j], reduce("sum", [p, q], where, read(x, [index(p), index(q)])), origin);
    const made = solve([y]).get(y) as Tensor;
    expect(made.body?.reduces).toBe(false);
    const values = new Map([[x, noise(24, 3)]]);
    expect([...interpret(made, { values })]).toEqual([...interpret(y, { values })]);
  });
});

describe("simplify", () => {
  it("leaves of a read beyond the edge what its view says", () => {
    const x = source("x", [4], origin);
    const [i] = axes(3) as [Axis];
    const beyond = apply("add", index(i), int(4));
    expect(simplifyExpression(read(x, [beyond], "zero"))).toBe(real(0));
    expect(simplifyExpression(read(x, [int(-1)], "lowest"))).toBe(real(reduceIdentity("max")));
    expect(simplifyExpression(read(x, [beyond], "edge"))).toBe(read(x, [beyond], "edge"));
    expect(simplifyExpression(read(x, [apply("add", index(i), int(3))], "zero")).kind).toBe("read");
  });
});

describe("factor", () => {
  it("makes one sum of two that differ by what is the same in all terms, through definitions", () => {
    const x = source("x", [4, 6], origin);
    const g = source("g", [4], origin);
    const [a, b] = axes(4, 6) as [Axis, Axis];
    const scaled = define("scaled", [a, b], apply("mul", read(x, [index(a), index(b)]), read(g, [index(a)])), origin);
    const sum = (t: Tensor, name: string): Tensor => {
      const [c, s] = axes(4, 6) as [Axis, Axis];
      return define(name, [c], reduce("sum", [s], [], apply("mul", real(3), read(t, [index(c), index(s)]))), origin);
    };
    const roots = [sum(x, "plain"), sum(scaled, "opened")];
    const made = rebuild(roots, factoring());
    const apart = separate(roots.map((t) => made.get(t) as Tensor));
    const one = rebuild(roots.map((t) => apart.get(made.get(t) as Tensor) as Tensor), sharing());
    const results = roots.map((t) => one.get(apart.get(made.get(t) as Tensor) as Tensor) as Tensor);
    const sums = new Set<Tensor>();
    const look = (t: Tensor): void => {
      if (t.body?.kind === "reduce") sums.add(t);
      for (const r of t.body ? readsIn(t) : []) look(r);
    };
    results.forEach(look);
    expect(sums.size).toBe(1);
    const values = (): Map<Tensor, Float64Array> => new Map([[x, noise(24, 1)], [g, noise(4, 2)]]);
    for (const [i, t] of results.entries()) {
      const got = interpret(t, { values: values() });
      interpret(roots[i] as Tensor, { values: values() }).forEach((want, k) => expect(got[k]).toBeCloseTo(want, 12));
    }
  });
});

function readsIn(t: Tensor): readonly Tensor[] {
  const found: Tensor[] = [];
  const visit = (e: NonNullable<Tensor["body"]>): void => {
    if (e.kind === "read") found.push(e.tensor);
    else if (e.kind === "apply") e.args.forEach(visit);
    else if (e.kind === "reduce") visit(e.body);
  };
  if (t.body) visit(t.body);
  return found;
}
