// Functions of the library at places where their formula is no number, or has a corner that the function has not.

import { expect, test } from "vitest";
import { instantiate } from "../../compiler/front/front.ts";
import type { Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { differentiate } from "../../compiler/passes/differentiate.ts";
import { separate } from "../../compiler/passes/separate.ts";
import { written } from "./library.ts";

/** The values of a function and its slopes. */
function valuesAndSlopes(fn: string, at: readonly number[]): readonly [readonly number[], readonly number[]] {
  const text = `op each(x: [L]) -> (y: [L], total: []) {
  y[l] = ${fn}(x[l])
  total[] = sum[l](y[l])
}
block Case(x: [L]) {
  (y, total) = each(x)
  return (y, total)
}
`;
  const { graph, findings } = instantiate(written(text), "Case", { inputs: [[at.length]], training: true });
  const [x, [y, total]] = [graph?.inputs[0], graph?.outputs.map((o) => o.tensor) ?? []];
  if (!x || !y || !total) throw new Error(findings.map((f) => f.headline).join("; "));
  const apart = separate([total]);
  const slope = differentiate(apart.get(total) ?? total, [x]).get(x) as Tensor;
  const value = (t: Tensor): number[] => [...interpret(t, { values: new Map([[x, Float64Array.from(at)]]) })];
  return [value(y), value(slope)];
}

test("a sigmoid far out is 0 or 1, and flat", () => {
  const [values, slopes] = valuesAndSlopes("sigmoid", [-1000, 0, 1000]);
  expect(values).toEqual([0, 0.5, 1]);
  expect(slopes).toEqual([0, 0.25, 0]);
});

test("a softplus far out is 0 or its argument; at 0 its slope is a half", () => {
  const [values, slopes] = valuesAndSlopes("softplus", [-1000, 0, 1000]);
  expect(values).toEqual([0, Math.log(2), 1000]);
  expect(slopes).toEqual([0, 0.5, 1]);
});
