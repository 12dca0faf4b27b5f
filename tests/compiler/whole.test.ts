// Indices of 32 bits: huge shapes compile to right places or are told; nothing is allocated.

import { describe, expect, it } from "vitest";
import { apply, index, int, makeAxis, read, type Axis, type Expr } from "../../compiler/ir/expr.ts";
import { define, sizeOf, source, type Tensor } from "../../compiler/ir/graph.ts";
import { compileDefinitions, type Compiled } from "../../compiler/pipeline.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { trace } from "./execute.ts";

const origin = { span: undefined, path: "test" };
const roomy = { ...leastProfile, maxBinding: 2 ** 35 };
const add = (...e: Expr[]): Expr => e.reduce((a, b) => apply("add", a, b));
const mul = (a: Expr, b: number): Expr => apply("mul", a, int(b));

const compiled = (x: Tensor, y: Tensor, profile = roomy): Compiled => compileDefinitions("huge", [x], [{ name: "y", tensor: y }], profile);

/** The codes of the findings that a compilation ends with. */
function codesOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (cause) {
    if (cause instanceof Fault) return cause.findings.map(({ code }) => code);
    throw cause;
  }
  return [];
}

/** Compares some invocations, the first and the last among them, with `from`: the place in `x` of the place in `y`, or undefined outside. */
function expectPlaces(x: Tensor, y: Tensor, from: (at: number) => number | undefined): void {
  const { loops: [loops], plan } = compiled(x, y);
  if (!loops) throw new Error("nothing was made");
  const { invocations } = loops;
  const [step] = plan.steps;
  if (step?.kind !== "dispatch") throw new Error("nothing is run");
  for (const n of step.groups) expect(n).toBeLessThanOrEqual(65535);
  let seen = 0;
  for (const id of [0, 1, Math.floor(invocations * 0.31), Math.floor(invocations / 2), Math.floor(invocations * 0.77), invocations - 2, invocations - 1]) {
    for (const { at, value } of trace(loops, id, (_, place) => place + 1)) {
      expect(value, `element ${at}`).toBe((from(at) ?? -1) + 1);
      seen++;
    }
  }
  expect(seen).toBeGreaterThanOrEqual(7);
}

describe("whole numbers of 32 bits", () => {
  const plane = (a: number, b: number): { x: Tensor; axes: readonly [Axis, Axis] } => ({ x: source("x", [a, b], origin), axes: [makeAxis("a", a), makeAxis("b", b)] });

  it("place what is shifted in a tensor of nearly 2³¹ elements", () => {
    const { x, axes: [a, b] } = plane(46_341, 46_340);
    const v = read(x, [add(index(a), int(1)), add(index(b), int(-3))], "zero");
    expect(sizeOf(x)).toBeGreaterThan(2 ** 31 - 1e5);
    expectPlaces(x, define("y", [a, b], v, origin), (at) => {
      const [p, q] = [Math.floor(at / 46_340) + 1, (at % 46_340) - 3];
      return p < 46_341 && q >= 0 ? p * 46_340 + q : undefined;
    });
  });

  it("place the same elements under another shape", () => {
    const x = source("x", [2000, 1_000_003], origin);
    const [a, b] = [makeAxis("a", 1_000_003), makeAxis("b", 2000)];
    const flat = add(mul(index(a), 2000), index(b));
    const v = read(x, [apply("idiv", flat, int(1_000_003)), apply("imod", flat, int(1_000_003))]);
    expectPlaces(x, define("y", [a, b], v, origin), (at) => at);
  });

  it("are told of a tensor with more elements, however much a device binds", () => {
    const { x, axes: [a, b] } = plane(65_536, 32_768);
    const twice = define("y", [a, b], apply("mul", read(x, [index(a), index(b)]), apply("real", int(2))), origin);
    expect(codesOf(() => compiled(x, twice))).toEqual(["N0901"]);
    // A result that is no larger may come from it.
    const few = makeAxis("few", 8);
    expect(codesOf(() => compiled(x, define("y", [few], read(x, [index(few), int(0)]), origin)))).toEqual(["N0901"]);
  });

  it("are told where an index would wrap before it is divided, and may wrap where nothing sees it", () => {
    const x = source("x", [1 << 20], origin);
    const a = makeAxis("a", 1 << 20);
    const at = (by: number): Expr => apply("idiv", add(mul(index(a), by), int(1)), int(by + 1));
    expect(codesOf(() => compiled(x, define("y", [a], read(x, [at(5000)]), origin)))).toEqual(["N0902"]);
    expectPlaces(x, define("y", [a], read(x, [at(2000)]), origin), (i) => Math.floor((i * 2000 + 1) / 2001));
    const there = apply("sub", mul(index(a), 5001), mul(index(a), 5000));
    expectPlaces(x, define("y", [a], read(x, [there]), origin), (i) => i);
  });
});
