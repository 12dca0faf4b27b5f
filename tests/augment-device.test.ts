// The library's augmentations on the device: what the interpreter gives, and the same bits for the same step.

import { afterAll, beforeAll, expect, it } from "vitest";
import { instantiate } from "../compiler/front/front.ts";
import { sizeOf, type Tensor } from "../compiler/ir/graph.ts";
import { interpret } from "../compiler/ir/interpret.ts";
import { compile } from "../compiler/pipeline.ts";
import { openDevice, type Device } from "../runtime/device.ts";
import { Session } from "../runtime/session.ts";
import { written } from "./front/library.ts";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

const text = `
network All(image: [N, C, *S], label: [N, 1, *S]) {
  (turned, labels) = spatial(image, label, turned = 0.6, zoomed = 0.6, to = [4, 6, 6])
  (cubic, _labels) = spatial(image, label, turned = 0.6, zoomed = 0.6, to = [4, 6, 6], order = 3)
  toned = cubic |> noise(chance = 0.7) |> blur(chance = 0.7) |> brightness(chance = 0.7) |> contrast(chance = 0.7)
  coarse = toned |> low_resolution(chance = 0.7) |> gamma(chance = 0.7, inverted = true) |> gamma(chance = 0.7)
  (back, backs) = mirror(coarse, labels)
  out first = turned
  out last = back
  out kinds = backs
}
`;

it("is that of the interpreter, for every step anew", async () => {
  const { graph, findings } = instantiate(written(text), "All", { inputs: [[3, 2, 6, 8, 8], [3, 1, 6, 8, 8]], training: true });
  expect(findings).toEqual([]);
  if (!graph) return;
  const session = await Session.create(device, compile(graph, device.profile).plan);
  try {
    const given = graph.inputs.map((t, k) => Float64Array.from({ length: sizeOf(t) }, (_, i) => (k === 0 ? Math.fround(Math.sin(i * 1.37) + i / 500) : Math.floor(i / 5) % 4)));
    graph.inputs.forEach((t, k) => session.write(t.name, Float32Array.from(given[k] ?? [])));
    const run = async (step: number): Promise<readonly Float32Array[]> => {
      session.setUniform("draw_step", step);
      session.setUniform("draw_seed", 9);
      await session.run();
      return Promise.all(graph.outputs.map((o) => session.read(o.name)));
    };
    const bits: (readonly Float32Array[])[] = [];
    for (const step of [0, 5]) {
      const made = await run(step);
      bits.push(made);
      const values = new Map<Tensor, Float64Array>(graph.inputs.map((t, k) => [t, given[k] ?? new Float64Array()]));
      graph.outputs.forEach((o, k) => {
        const want = interpret(o.tensor, { values, seed: 9, step });
        const off = [...want].map((v, i) => Math.abs(v - (made[k]?.[i] ?? Number.NaN)));
        // A sine of WGSL is good to 2^-11.
        if (o.name !== "kinds") expect(Math.max(...off)).toBeLessThan(1e-2);
        // A vote that is tied may fall either way.
        else expect(off.filter((d) => d !== 0).length).toBeLessThan(off.length / 100);
      });
    }
    expect(bits[0]).not.toEqual(bits[1]);
    expect(await run(0)).toEqual(bits[0]);
  } finally {
    session.destroy();
  }
});
