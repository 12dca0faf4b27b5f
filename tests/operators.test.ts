// Every reference case of an operator on the device, forwards and backwards.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { instantiate } from "../compiler/front/front.ts";
import { apply, index, makeAxis, read, reduce } from "../compiler/ir/expr.ts";
import { define, shapeOf, source, type Graph, type Tensor } from "../compiler/ir/graph.ts";
import { differentiate } from "../compiler/passes/differentiate.ts";
import { separate } from "../compiler/passes/separate.ts";
import { compileDefinitions } from "../compiler/pipeline.ts";
import { openDevice, type Device } from "../runtime/device.ts";
import { Session } from "../runtime/session.ts";
import { written } from "./front/library.ts";
import { cases, data, sourceOf, there, type Case } from "./front/op-cases.ts";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

/** Our name of an input as the reference names it. */
const normNames: Readonly<Record<string, string>> = { x: "x", gain: "w", bias: "b", seen_mu: "running_mean", seen_var: "running_var" };

function graphOf(c: Case): { graph: Graph; named: (name: string) => string } {
  const norm = c.op === "batch_norm";
  const text = norm ? `block Case(x: [N, C, *S]) = BatchNorm(x, eps = ${c.attrs["eps"]}, momentum = ${c.attrs["momentum"]})\n` : sourceOf(c);
  const inputs = norm ? [c.inputs["x"] ?? []] : Object.values(c.inputs);
  const { graph, findings } = instantiate(written(text), "Case", { inputs, training: !norm || c.attrs["training"] === true });
  if (!graph) throw new Error(findings.map((f) => f.headline).join("; "));
  return { graph, named: (name) => (norm ? (normNames[name] ?? name) : name) };
}

/** The result and its gradients by every source that the reference gives one for. */
async function onDevice(name: string, c: Case): Promise<void> {
  const { graph, named } = graphOf(c);
  const y = graph.outputs[0]?.tensor as Tensor;
  const upstream = source("upstream", shapeOf(y), y.origin);
  const axes = y.axes.map((a) => makeAxis(a.name, a.extent));
  const at = axes.map(index);
  const loss = define("loss", [], reduce("sum", axes, [], apply("mul", read(y, at), read(upstream, at))), y.origin);
  const made = separate([loss, y]);
  const sources = [...graph.inputs, ...graph.weights.map((w) => w.tensor), ...graph.states.map((s) => s.tensor)];
  const wanted = sources.filter((t) => data.has(`${name}/gin/${named(t.name)}`));
  const slopes = differentiate(made.get(loss) as Tensor, wanted);
  const outputs = [{ name: "y", tensor: made.get(y) as Tensor }, ...wanted.map((t) => ({ name: `grad/${t.name}`, tensor: slopes.get(t) as Tensor }))];
  const { plan } = compileDefinitions(name, [...sources, upstream], outputs, device.profile);
  const session = await Session.create(device, plan);
  try {
    session.poison();
    for (const t of sources) session.write(t.name, Float32Array.from(data.get(`${name}/in/${named(t.name)}`)?.values ?? []));
    session.write("upstream", Float32Array.from(data.get(`${name}/gout/y`)?.values ?? [1]));
    await session.run();
    expect(distance(await session.read("y"), data.get(`${name}/out/y`)?.values), "y").toBeLessThan(1e-5);
    for (const t of wanted) {
      expect(distance(await session.read(`grad/${t.name}`), data.get(`${name}/gin/${named(t.name)}`)?.values), `grad/${t.name}`).toBeLessThan(1e-4);
    }
    expect(wanted.length).toBeGreaterThan(0);
  } finally {
    session.destroy();
  }
}

/** Relative L2. */
function distance(got: Float32Array, want: Float64Array | undefined): number {
  if (!want || got.length !== want.length) return Infinity;
  let [off, size] = [0, 1e-30];
  want.forEach((v, i) => {
    off += (v - (got[i] as number)) ** 2;
    size += v * v;
  });
  return Math.sqrt(off / size);
}

describe.skipIf(!there)("reference operators on the device", () => {
  for (const [name, c] of Object.entries(cases)) it(name, () => onDevice(name, c));
});
