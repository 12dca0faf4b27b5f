// MedNeXt and nnU-Net with the reference's weights: outputs and loss by the interpreter, weights through the tables of names.

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { instantiate, officialNames, parseNames } from "../../compiler/front/front.ts";
import { shapeOf, type Graph, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { separate } from "../../compiler/passes/separate.ts";
import { solve } from "../../compiler/passes/solve.ts";
import { program, written } from "./library.ts";
import { stored, type Stored } from "./stored.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const names = process.env["NAMES_DIR"] ?? `${golden}/../reference/names`;
const there = existsSync(`${golden}/mednext-k3.json`);
if (!there) console.warn(`skipped: no reference data in ${golden}`);
const listed = existsSync(`${names}/nnunet-iso.tsv`);
if (!listed) console.warn(`skipped: no lists of names in ${names}`);

interface Sidecar {
  readonly input_shape: readonly number[];
  readonly output_shapes: readonly (readonly number[])[];
  readonly loss: { readonly head_weights: readonly number[]; readonly total: number };
}

/** Weights, input and label of a golden, onto the sources of a graph. */
function sources(graph: Graph, data: ReadonlyMap<string, Stored>, table: string): Map<Tensor, Float64Array> {
  const official = officialNames(parseNames(readFileSync(table, "utf8"), table), graph.weights.map((w) => w.path));
  const value = (name: string): Float64Array => {
    const found = data.get(name);
    if (!found) throw new Error(`the reference has no ${name}`);
    return found.values;
  };
  const values = new Map<Tensor, Float64Array>();
  for (const w of graph.weights) values.set(w.tensor, value(`param/${official.get(w.path) ?? w.path}`));
  for (const t of graph.inputs) values.set(t, value("input"));
  return values;
}

/** Without the solver a transposed convolution would search all of space for every element. */
function solved(roots: readonly Tensor[]): (t: Tensor) => Tensor {
  const apart = separate(roots);
  const found = solve(roots.map((t) => apart.get(t) ?? t));
  return (t) => found.get(apart.get(t) ?? t) ?? t;
}

function error(got: Float64Array, want: Float64Array): number {
  let [above, below] = [0, 0];
  for (const [i, w] of want.entries()) {
    above += ((got[i] ?? NaN) - w) ** 2;
    below += w * w;
  }
  return Math.sqrt(above / below);
}

/** The weighted loss of all heads, from their values. */
function loss({ loss: { head_weights }, output_shapes }: Sidecar, outputs: readonly Float64Array[], label: Float64Array): number {
  const ports = head_weights.map((_, i) => `x${i}: [N, K, *S${i}]`).join(", ");
  const sum = head_weights.map((w, i) => `${w} * dice_ce(x${i}, label, batch = false)`).join(" + ");
  const full = output_shapes[0] ?? [];
  const { graph } = instantiate(written(`block Loss(${ports}, label: [N, 1, *S0]) = ${sum}\n`), "Loss", {
    inputs: [...output_shapes, [full[0] ?? 1, 1, ...full.slice(2)]], training: true,
  });
  const tensor = graph?.outputs[0]?.tensor;
  if (!graph || !tensor) throw new Error("no loss");
  return interpret(tensor, { values: new Map(graph.inputs.map((t, i) => [t, outputs[i] ?? label])) })[0] ?? NaN;
}

const nets = [
  { golden: "mednext-k3", file: "nets/mednext.net", target: "MedNeXt(width = 4, ratio = [2; 9], depth = [1; 9], classes = 3)", table: "nets/mednext.names" },
  { golden: "mednext-k5", file: "nets/mednext.net", target: "MedNeXt(width = 4, kernel = 5, ratio = [2, 3, 4, 4, 4, 4, 4, 3, 2], depth = [2, 1, 1, 1, 1, 1, 1, 1, 2], classes = 3)", table: "nets/mednext.names" },
  {
    golden: "nnunet", file: "nets/nnunet.net", table: "nets/nnunet.names",
    target: "NNUNet(width = 6, classes = 3, kernels = [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]], strides = [[1, 2, 2], [2, 2, 2], [2, 2, 2]])",
  },
];

describe.skipIf(!there)("networks with reference weights", () => {
  for (const net of nets) {
    test(net.golden, { timeout: 120_000 }, () => {
      const sidecar = JSON.parse(readFileSync(`${golden}/${net.golden}.json`, "utf8")) as Sidecar;
      const data = stored(`${golden}/${net.golden}.safetensors`);
      const { graph, findings } = instantiate(program(net.file), net.target, { inputs: [sidecar.input_shape], training: true });
      expect(findings).toEqual([]);
      if (!graph) throw new Error("no graph");
      const values = sources(graph, data, net.table);
      const ready = solved(graph.outputs.map((o) => o.tensor));
      const outputs = sidecar.output_shapes.map((shape, i) => {
        const output = graph.outputs.find((o) => o.name === `logits[${i}]`);
        if (!output) throw new Error(`no logits[${i}]`);
        expect(shapeOf(output.tensor)).toEqual(shape);
        const got = interpret(ready(output.tensor), { values });
        expect(error(got, data.get(`out.${i}`)?.values ?? new Float64Array())).toBeLessThan(1e-5);
        return got;
      });
      expect(Math.abs(loss(sidecar, outputs, data.get("target.0")?.values ?? new Float64Array()) - sidecar.loss.total)).toBeLessThan(1e-5);
    });
  }
});

describe.skipIf(!listed)("names of weights", () => {
  const cases = [
    ...["S", "B", "M", "L"].map((v) => ({ list: `mednext-${v}-k3.tsv`, file: "nets/mednext.net", target: `MedNeXt${v}`, table: "nets/mednext.names" })),
    { list: "nnunet-iso.tsv", file: "nets/nnunet.net", target: "NNUNet", table: "nets/nnunet.names" },
  ];
  test.each(cases)("$list maps one to one", ({ list, file, target, table }) => {
    const lines = readFileSync(`${names}/${list}`, "utf8").split("\n").filter((l) => l !== "" && !l.startsWith("#") && !l.startsWith("dummy_tensor"));
    const wanted = new Map(lines.map((l) => l.split("\t").slice(0, 2) as [string, string]));
    const { graph } = instantiate(program(file), target, { inputs: [[1, 1, 64, 64, 64]], set: { classes: "14" }, training: true });
    if (!graph) throw new Error("no graph");
    const official = officialNames(parseNames(readFileSync(table, "utf8")), graph.weights.map((w) => w.path));
    const got = new Map(graph.weights.map((w) => [official.get(w.path) ?? `none for ${w.path}`, shapeOf(w.tensor).join("x")]));
    expect(got.size).toBe(graph.weights.length);
    expect(got).toEqual(wanted);
  });
});
