// Gradients against finite differences, before and after solving, in float64.

import { describe, expect, it } from "vitest";
import { apply, index, makeAxis, read, reduce, type Expr } from "../../compiler/ir/expr.ts";
import { define, shapeOf, sizeOf, source, type Tensor } from "../../compiler/ir/graph.ts";
import { rebuild } from "../../compiler/ir/order.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { printTensor } from "../../compiler/ir/print.ts";
import { walk } from "../../compiler/ir/rewrite.ts";
import { differentiate } from "../../compiler/passes/differentiate.ts";
import { separate } from "../../compiler/passes/separate.ts";
import { sharing } from "../../compiler/passes/share.ts";
import { solve } from "../../compiler/passes/solve.ts";
import { allCases, corners, reshape } from "./cases.ts";
import { noise } from "./noise.ts";

const origin = { span: undefined, path: "test" };

/** `Σ result · seed`, so that every output matters differently. */
function weighed(result: Tensor): { loss: Tensor; seed: Tensor } {
  const seed = source("seed", shapeOf(result), origin);
  const axes = result.axes.map((a) => makeAxis(a.name, a.extent));
  const at = axes.map(index);
  return { loss: define("loss", [], reduce("sum", axes, [], apply("mul", read(result, at), read(seed, at))), origin), seed };
}

describe("differentiate", () => {
  for (const c of allCases()) {
    it(`agrees with finite differences: ${c.name}`, () => {
      const { loss, seed } = weighed(c.result);
      const given = new Map<Tensor, Float64Array>([...c.inputs, seed].map((t, i) => [t, noise(sizeOf(t), 7 + i)]));
      const separated = separate([loss]).get(loss) as Tensor;
      const gradients = differentiate(separated, c.inputs);
      const raw = c.inputs.map((t) => gradients.get(t) as Tensor);
      let roots: readonly Tensor[] = [separated, ...raw];
      for (const pass of [solve, separate, (all: readonly Tensor[]) => rebuild(all, sharing())]) {
        const made = pass(roots);
        roots = roots.map((r) => made.get(r) as Tensor);
      }
      const at = (values: Map<Tensor, Float64Array>): number => interpret(loss, { values: new Map(values) })[0] as number;
      expect(interpret(roots[0] as Tensor, { values: new Map(given) })[0]).toBeCloseTo(at(given), 10);
      c.inputs.forEach((t, i) => {
        const solved = interpret(roots[i + 1] as Tensor, { values: new Map(given) });
        const unsolved = interpret(raw[i] as Tensor, { values: new Map(given) });
        const x = given.get(t) as Float64Array;
        for (let e = 0; e < x.length; e++) {
          const keep = x[e] as number;
          const h = 1e-5;
          x[e] = keep + h;
          const up = at(given);
          x[e] = keep - h;
          const down = at(given);
          x[e] = keep;
          expect(unsolved[e], `${t.name}[${e}] unsolved`).toBeCloseTo((up - down) / (2 * h), 5);
          expect(solved[e], `${t.name}[${e}] solved`).toBeCloseTo(unsolved[e] as number, 9);
        }
      });
    });
  }
});

describe("solve", () => {
  it("leaves a sum over the few points that interpolate from a point, whatever the ratio of the grids", () => {
    const { result, inputs } = corners(48, 96);
    const { loss } = weighed(result);
    const gradient = differentiate(separate([loss]).get(loss) as Tensor, inputs).get(inputs[0] as Tensor) as Tensor;
    const solved = solve([gradient]).get(gradient) as Tensor;
    walk(solved.body as Expr, (e) => {
      if (e.kind === "reduce") expect(e.over.reduce((n, a) => n * a.extent, 1)).toBeLessThanOrEqual(6);
    });
  });

  it("leaves no sum longer than its search, and none at all where a number is read in aligned digits", () => {
    const { result, inputs } = reshape([4, 8, 16], [128, 4]);
    const { loss } = weighed(result);
    const gradient = differentiate(separate([loss]).get(loss) as Tensor, inputs).get(inputs[0] as Tensor) as Tensor;
    const solved = solve([gradient]).get(gradient) as Tensor;
    expect(solved.body?.kind).not.toBe("reduce");
    expect(printTensor(solved)).not.toContain("sum");
  });
});
