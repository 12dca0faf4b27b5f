// Values that the invocations of a subgroup load for each other, against the interpreter: all ways to lie abreast that are offered, forwards and backwards.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apply, index, int, makeAxis, read, real, reduce, type Expr } from "../../compiler/ir/expr.ts";
import { define, source } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { printLoops } from "../../compiler/kernels/loops.ts";
import { solve } from "../../compiler/passes/solve.ts";
import { compileDefinitions, type Compiled } from "../../compiler/pipeline.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { execute } from "./execute.ts";
import { distance, valuesOf, withGradients, type Subject } from "./subjects.ts";

const origin = { span: undefined, path: "mates" };

/**
 * A convolution whose sum has tests of its own, among them one that differs between the invocations of a subgroup, with borders that are
 * repeated along one axis and zero along the other, and a factor that is looked up.
 */
function convolution([n, c, o, h, w]: readonly [number, number, number, number, number], stride: number): Subject {
  const x = source("x", [n, c, h * stride, w * stride], origin);
  const weight = source("weight", [o, c, 3, 3], origin);
  const gain = source("gain", [5], origin);
  const axes = [makeAxis("n", n), makeAxis("h", h), makeAxis("w", w), makeAxis("o", o)];
  const over = [makeAxis("c", c), makeAxis("k", 3), makeAxis("m", 3)];
  const [b, i, j, f, ch, k, m] = [...axes, ...over].map(index) as [Expr, Expr, Expr, Expr, Expr, Expr, Expr];
  const place = (e: Expr, t: Expr): Expr => apply("sub", apply("add", apply("mul", e, int(stride)), t), int(1));
  const pixel = apply("mul", read(x, [b, ch, place(i, k), place(j, m)], "zero"), read(x, [b, ch, place(i, k), place(j, m)], "edge"));
  const tests = [apply("ne", apply("imod", apply("add", j, m), int(4)), int(2)), apply("le", ch, apply("add", f, int(2)))];
  const factor = apply("mul", read(weight, [f, ch, k, m]), read(gain, [apply("imod", apply("add", f, k), int(5))]));
  const sum = reduce("sum", over, tests, apply("mul", pixel, factor));
  const y = define("y", axes, apply("tanh", apply("mul", sum, real(0.2))), origin);
  return withGradients("mates", [x, weight, gain], [{ name: "y", tensor: y }]);
}

/** Compiled with the `place`-th of the ways that have a subgroup, wherever there is one. */
function abreast({ inputs, outputs }: Subject, subgroup: number, place: number): Compiled & { readonly ways: number } {
  let ways = 0;
  const choose = (_: string, offered: readonly string[]): string | undefined => {
    const all = offered.filter((o) => o.includes("subgroup"));
    ways = Math.max(ways, all.length);
    return all[place % Math.max(1, all.length)];
  };
  return { ...compileDefinitions("mates", inputs, outputs, { ...leastProfile, lanes: 4, subgroup, choose }), ways };
}

function expected(subject: Subject): ReadonlyMap<string, Float64Array> {
  const by = solve(subject.outputs.map((o) => o.tensor));
  const values = valuesOf(subject);
  return new Map(subject.outputs.map(({ name, tensor }) => [name, interpret(by.get(tensor) ?? tensor, { values: new Map(values) })]));
}

/** Axes that fit subgroups alone, together only, and not at all along some. */
const shapes = [[1, 5, 16, 3, 8], [2, 8, 6, 5, 12], [2, 3, 4, 7, 16]] as const;

describe("what a subgroup loads for all of it", () => {
  it.each([...shapes.flatMap((s) => [2, 4, 8].map((size) => ({ s, stride: 1, size }))), { s: shapes[2], stride: 2, size: 4 }])("is what each would have loaded: $s, stride $stride, subgroups of $size", ({ s, stride, size }) => {
    const subject = convolution(s, stride);
    const want = expected(subject);
    const inputs = new Map([...valuesOf(subject)].map(([t, v]) => [t.name, v]));
    let shared = 0;
    for (let place = 0, ways = 1; place < ways; place++) {
      const made = abreast(subject, size, place);
      ways = made.ways;
      shared += made.loops.filter((l) => printLoops(l).includes(" of mate ")).length;
      const got = execute(made, inputs);
      for (const [name, v] of want) expect(distance(v, got.get(name)), `${name}, way ${place}`).toBeLessThan(1e-9);
    }
    expect(shared).toBeGreaterThan(0);
  });

  it("costs a load for as many elements as there are invocations", () => {
    const loads = (subgroup: number | undefined): number => {
      const { inputs, outputs } = convolution([1, 8, 8, 6, 16], 1);
      const { loops } = compileDefinitions("mates", inputs, outputs.slice(0, 1), { ...leastProfile, lanes: 4, subgroup });
      return loops.map((l) => [...printLoops(l).matchAll(/weight\[/g)].length).reduce((a, b) => a + b);
    };
    expect(loads(8) * 3).toBeLessThan(loads(undefined));
  });

  it("is known of each tensor, also where two are read at the same place", () => {
    const [x, v, w] = [source("x", [8, 64], origin), source("v", [16, 8], origin), source("w", [16, 8], origin)];
    const axes = [makeAxis("o", 16), makeAxis("t", 64)];
    const over = [makeAxis("c", 8)];
    const [o, t, c] = [...axes, ...over].map(index) as [Expr, Expr, Expr];
    const y = define("y", axes, reduce("sum", over, [], apply("mul", read(x, [c, t]), apply("mul", read(v, [o, c]), read(w, [o, c])))), origin);
    let most = 0;
    for (let place = 0, ways = 1; place < ways; place++) {
      const made = abreast({ name: "two", inputs: [x, v, w], outputs: [{ name: "y", tensor: y }] }, 8, place);
      ways = made.ways;
      const shared = (name: string): number => made.loops.flatMap((l) => printLoops(l).split("\n")).filter((line) => line.includes(`${name}[`) && line.includes("mate of")).length;
      expect(shared("w"), `way ${place}`).toBe(shared("v"));
      most = Math.max(most, shared("v"));
    }
    expect(most).toBeGreaterThan(0);
  });
});

describe("subgroups of the device", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device?.close());

  it("hand on what they load", async ({ skip }) => {
    const { subgroup } = device.profile;
    if (subgroup === undefined) return skip(`${device.name} has no subgroups that kernels could rely on`);
    // Only larger launches have tiles.
    for (const s of [shapes[1], [1, 16, 16, 16, 32]] as const) {
      const subject = convolution(s, 1);
      const want = expected(subject);
      for (const place of [0, 1]) {
        const { plan } = abreast(subject, subgroup, place);
        expect(plan.shaders.some((x) => x.wgsl.includes("subgroupBroadcast"))).toBe(true);
        const session = await Session.create(device, plan);
        try {
          for (const [t, v] of valuesOf(subject)) session.write(t.name, Float32Array.from(v));
          session.poison();
          await session.run();
          for (const [name, v] of want) expect(distance(v, await session.read(name)), name).toBeLessThan(1e-5);
        } finally {
          session.destroy();
        }
      }
    }
  });
});
