// Networks against the reference: outputs and loss by the interpreter, and every tensor through the tables of names.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { instantiate, officialNames, officialTensors, parseNames } from "../../compiler/front/front.ts";
import { shapeOf, type Graph, type Tensor, type Weight } from "../../compiler/ir/graph.ts";
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
  const cases: readonly { readonly list: string; readonly net: string; readonly target: string; readonly channels?: number }[] = [
    ...["S", "B", "M", "L"].map((v) => ({ list: `mednext-${v}-k3`, net: "mednext", target: `MedNeXt${v}(classes = 14)` })),
    { list: "dnet", net: "dnet", target: "DNet(classes = 14)" },
    { list: "nnunet-iso", net: "nnunet", target: "NNUNet(classes = 14)" },
    { list: "sedy-nnunet", net: "sedy_nnunet", target: "SEDyNNUNet(classes = 14)" },
    { list: "unetr", net: "unetr", target: "UNETR(classes = 14)" },
    { list: "sedy-unetr", net: "sedy_unetr", target: "SEDyUNETR(classes = 14)" },
    { list: "deform-uxnet", net: "deform_uxnet", target: "DeformUXNet(classes = 16)" },
    { list: "espnet3d", net: "espnet3d", target: "ESPNet3D(classes = 4)", channels: 4 },
    { list: "div-unetr", net: "div_unetr", target: "DivUNETR(classes = 1)" },
    { list: "div-espnet", net: "div_espnet", target: "DivESPNet(classes = 1)" },
  ];
  test("every list is compared", () => {
    expect(readdirSync(names).sort()).toEqual(cases.map((c) => `${c.list}.tsv`).sort());
  });
  test.each(cases)("$list maps one to one", ({ list, net, target, channels }) => {
    const file = `nets/${net}.names`;
    const entries = readFileSync(`${names}/${list}.tsv`, "utf8").split("\n").filter((l) => l !== "" && !l.startsWith("#")).map((l) => l.split("\t"));
    // A count of batches is kept by batch norms whose momentum is none: no network here has one, and no value depends on it.
    const counted = entries.filter(([name]) => !name?.endsWith(".num_batches_tracked"));
    const wanted = counted.map(([name, shape, kind]) => `${name} ${shape} ${kind}`);
    const { graph, findings } = instantiate(program(`nets/${net}.net`), target, { inputs: [[1, channels ?? 1, 96, 96, 96]], training: true });
    expect(findings).toEqual([]);
    const table = parseNames(readFileSync(file, "utf8"), file);
    const listing = (parts: readonly Weight[], kind: string): string[] => {
      const official = officialTensors(table, parts.map((w) => ({ name: w.path, shape: shapeOf(w.tensor) })));
      expect(official.map((t) => t.ours.name)).toEqual(parts.map((w) => w.path));
      return official.flatMap(({ name, shape, also }) => [`${name} ${shape.join("x")} ${kind}`, ...also.map((n) => `${n} ${shape.join("x")} alias`)]);
    };
    expect([...listing(graph?.weights ?? [], "param"), ...listing(graph?.states ?? [], "buffer")].sort()).toEqual(wanted.sort());
  });
});
