// Every reference case of an operator, written in the language and evaluated by the interpreter.

import { describe, expect, test } from "vitest";
import { instantiate } from "../../compiler/front/front.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { shapeOf, sizeOf } from "../../compiler/ir/graph.ts";
import { written } from "./library.ts";
import { cases, data, sourceOf, there } from "./op-cases.ts";

describe.skipIf(!there)("reference operators", () => {
  for (const [name, c] of Object.entries(cases)) {
    if (c.op === "batch_norm") continue; // it owns its weights: below
    test(name, () => {
      const { graph, findings } = instantiate(written(sourceOf(c)), "Case", { inputs: Object.values(c.inputs), training: true });
      expect(findings.map((f) => `${f.code} ${f.headline}`)).toEqual([]);
      const tensor = graph?.outputs[0]?.tensor;
      if (!graph || !tensor) throw new Error("no graph");
      const values = new Map(graph.inputs.map((t) => [t, data.get(`${name}/in/${t.name}`)?.values ?? new Float64Array(sizeOf(t))]));
      const got = interpret(tensor, { values });
      const want = data.get(`${name}/out/y`);
      if (!want) throw new Error("no reference");
      if (shapeOf(tensor).length > 0) expect(shapeOf(tensor)).toEqual(want.shape);
      expect(worst(got, want.values)).toBeLessThan(2e-6);
    });
  }

  for (const [name, c] of Object.entries(cases)) {
    if (c.op !== "batch_norm") continue;
    test(name, () => {
      const { training, momentum, eps } = c.attrs;
      const made = instantiate(written(`block Case(x: [N, C, *S]) = BatchNorm(x, eps = ${eps}, momentum = ${momentum})\n`), "Case", {
        inputs: [c.inputs["x"] ?? []], training: training === true,
      });
      expect(made.findings).toEqual([]);
      const { graph } = made;
      if (!graph) throw new Error("no graph");
      const names: Record<string, string> = { x: "x", gain: "w", bias: "b", seen_mu: "running_mean", seen_var: "running_var" };
      const sources = [...graph.inputs, ...graph.weights.map((w) => w.tensor), ...graph.states.map((s) => s.tensor)];
      const values = new Map(sources.map((t) => [t, data.get(`${name}/in/${names[t.name]}`)?.values ?? new Float64Array(sizeOf(t))]));
      for (const [what, tensor] of [
        ["y", graph.outputs[0]?.tensor],
        ...graph.states.map((s) => [names[s.tensor.name], s.next ?? s.tensor] as const),
      ] as const) {
        if (!tensor) throw new Error("nothing to compare");
        expect(worst(interpret(tensor, { values }), data.get(`${name}/out/${what}`)?.values ?? new Float64Array())).toBeLessThan(2e-6);
      }
      if (training === true) expect(graph.states.every((s) => s.next !== undefined)).toBe(true);
    });
  }
});

/** The largest difference, against the largest value. */
function worst(got: Float64Array, want: Float64Array): number {
  if (got.length !== want.length) return Infinity;
  const size = want.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-3);
  return got.reduce((m, v, i) => Math.max(m, Math.abs(v - (want[i] ?? NaN))), 0) / size;
}
