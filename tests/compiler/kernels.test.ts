// Every emitted kernel on the device against the interpreter, forwards and backwards, at odd shapes and several profiles.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apply, index, makeAxis, read, reduce } from "../../compiler/ir/expr.ts";
import { define, shapeOf, sizeOf, source, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { differentiate } from "../../compiler/passes/differentiate.ts";
import { separate } from "../../compiler/passes/separate.ts";
import { compileDefinitions } from "../../compiler/pipeline.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { allCases, conv, type Case } from "./cases.ts";
import { noise } from "./noise.ts";

const origin = { span: undefined, path: "test" };
let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

/** The result and the gradients of `Σ result · seed`. */
function outputsOf(c: Case): { outputs: { name: string; tensor: Tensor }[]; seed: Tensor } {
  const seed = source("seed", shapeOf(c.result), origin);
  const axes = c.result.axes.map((a) => makeAxis(a.name, a.extent));
  const at = axes.map(index);
  const loss = define("loss", [], reduce("sum", axes, [], apply("mul", read(c.result, at), read(seed, at))), origin);
  const made = separate([loss, c.result]);
  const gradients = differentiate(made.get(loss) as Tensor, c.inputs);
  return { seed, outputs: [{ name: "y", tensor: made.get(c.result) as Tensor }, ...c.inputs.map((t) => ({ name: `d_${t.name}`, tensor: gradients.get(t) as Tensor }))] };
}

async function compare(c: Case, profile: Profile): Promise<void> {
  const { outputs, seed } = outputsOf(c);
  const inputs = [...c.inputs, seed];
  const { plan } = compileDefinitions(c.name, inputs, outputs, profile);
  const session = await Session.create(device, plan);
  try {
    const values = new Map<Tensor, Float64Array>(inputs.map((t, i) => [t, noise(sizeOf(t), 3 + i)]));
    for (const t of inputs) session.write(t.name, Float32Array.from(values.get(t) as Float64Array));
    session.poison();
    await session.run();
    for (const { name, tensor } of outputs) {
      const expected = interpret(tensor, { values: new Map(values) });
      const got = await session.read(name);
      let [off, size] = [0, 1e-24];
      expected.forEach((v, i) => {
        off += (v - (got[i] ?? NaN)) ** 2;
        size += v * v;
      });
      expect(Math.sqrt(off / size), `${c.name}: ${name}`).toBeLessThan(2e-5);
    }
  } finally {
    session.destroy();
  }
}

describe("kernels", () => {
  for (const c of allCases()) {
    it(`agree with the interpreter: ${c.name}`, async () => {
      await compare(c, device.profile);
    });
  }
  it("agree when sums are split as for a wide adapter, and when tiles are large", async () => {
    for (const lanes of [1, 100_000]) for (const c of allCases()) await compare(c, { ...device.profile, lanes });
  });
  it("agree when tensors are larger than a binding may be", async () => {
    const big = conv({ n: 2, c: 8, o: 6, s: [17, 13], k: [3, 3], stride: 1, dilation: 1, pad: 1, groups: 2 });
    await compare(big, { ...device.profile, maxBinding: 4096 });
  });
});
