// Values that are wider than what they are made of, computed inside their readers: nothing of their size is stored, the results stay.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sizeOf } from "../../compiler/ir/graph.ts";
import { compileGradients, type Compiled } from "../../compiler/pipeline.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { trainingOf } from "../front/library.ts";
import { noise } from "./noise.ts";

/** An inverted bottleneck between convolutions: norm, four times as wide, GELU, back, plus the input. */
const text = (width: number): string => `
block Bottleneck(x: [N, C, *S]) -> [N, C, *S] {
  return x + (x |> Conv(C, 3, groups = C) |> InstanceNorm |> Conv(4 * C) |> gelu |> Conv(C))
}
network Wide(image: [N, M, *S], classes: int) {
  out logits = image |> Conv(${width}) |> Bottleneck |> Conv(classes)
}
train for Wide(classes = 2) {
  patch = [9, 10, 14]
  batch = 2
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
}`;

/** The gradients compiled with a budget under which values are nested in the wanted way. */
function nestedAs(wanted: "sums" | "all", width: number, profile: Profile): Compiled {
  const training = trainingOf(text(width));
  const free = compileGradients(training, profile).plan;
  const kept = free.buffers.reduce((n, b) => n + (b.kept ? b.bytes : 0), 0);
  for (const share of [0.86, 0.83, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.4]) {
    try {
      const made = compileGradients(training, profile, Math.floor(kept + share * (free.bytes - kept)));
      if (made.again.nested === wanted) return made;
    } catch (cause) {
      if (cause instanceof Fault) break;
      throw cause;
    }
  }
  throw new Error(`nothing was nested as ${wanted}`);
}

describe("nested values", () => {
  const points = 2 * 9 * 10 * 14;

  const widths = ({ kernels }: Compiled): readonly number[] =>
    kernels.flatMap((k) => k.results.map(({ root }) => (root.name.endsWith("_parts") ? 0 : sizeOf(root) / points)));

  it("are sums of few terms alone, where memory is not short, and of more on a card", () => {
    const wide = (width: number, lanes: number): number =>
      widths(compileGradients(trainingOf(text(width)), { ...leastProfile, maxBindings: 16, lanes })).filter((w) => w === 4 * width).length;
    const [few, many] = [8, 20];
    expect(wide(few, 64)).toBe(wide(many, 64) - 1);
    expect(wide(many, 4096)).toBe(wide(many, 64) - 1);
    expect(wide(few, 64)).toBeGreaterThan(0);
  });

  it("of full width are stored nowhere, forwards and backwards", () => {
    const width = 8;
    const plain = compileGradients(trainingOf(text(width)), { ...leastProfile, maxBindings: 16 });
    expect(Math.max(...widths(plain))).toBe(4 * width);
    const made = nestedAs("all", width, { ...leastProfile, maxBindings: 16, lanes: 64 });
    expect(Math.max(...widths(made))).toBeLessThanOrEqual(width);
    expect(made.plan.bytes).toBeLessThan(plain.plan.bytes);
    expect(made.again.flops).toBeGreaterThan(0);
  });

  describe("on a device", () => {
    let device: Device;
    beforeAll(async () => {
      device = await openDevice();
    });
    afterAll(() => device.close());

    async function run({ plan }: Compiled): Promise<ReadonlyMap<string, Float32Array>> {
      const session = await Session.create(device, plan);
      try {
        await session.initialise(5);
        session.poison();
        for (const { name, slice } of plan.inputs) session.write(name, Float32Array.from(noise(slice.bytes / 4, 3), (v) => (name === "label" ? Number(v > 0) : v)));
        await session.run();
        const made = new Map<string, Float32Array>();
        for (const { name } of plan.outputs) made.set(name, await session.read(name));
        return made;
      } finally {
        session.destroy();
      }
    }

    for (const [nested, width, lanes] of [["cheap", 24, 4096], ["sums", 8, 64], ["all", 8, 64], ["all", 6, 4096]] as const) {
      it(`give what stored ones give: ${nested}, width ${width}, ${lanes} lanes`, async () => {
        const plain = await run(compileGradients(trainingOf(text(width)), device.profile));
        const profile = { ...device.profile, lanes };
        const made = await run(nested === "cheap" ? compileGradients(trainingOf(text(width)), profile) : nestedAs(nested, width, profile));
        for (const [name, values] of plain) {
          const size = Math.sqrt(values.reduce((n, v) => n + v * v, 0) / values.length);
          const other = made.get(name) as Float32Array;
          values.forEach((v, i) => expect(Math.abs(v - (other[i] as number)), `${name} ${i}`).toBeLessThan(2e-4 * size + 1e-6));
        }
      });
    }
  });
});
