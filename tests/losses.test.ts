// Losses on the device, in 32 bits: values, and the gradient of all of them together.

import { expect, it } from "vitest";
import { instantiate } from "../compiler/front/front.ts";
import type { Tensor } from "../compiler/ir/graph.ts";
import { differentiate } from "../compiler/passes/differentiate.ts";
import { separate } from "../compiler/passes/separate.ts";
import { compileDefinitions } from "../compiler/pipeline.ts";
import { openDevice } from "../runtime/device.ts";
import { draws } from "../runtime/draws.ts";
import { Session } from "../runtime/session.ts";
import { written } from "./front/library.ts";
import { voxelwise as by, type Batch } from "./front/loss-references.ts";

const regions = [[0], [1, 2], [2]];
const losses: Readonly<Record<string, (of: Batch) => number>> = {
  "topk_cross_entropy(x, y, ignore = true)": (b) => by.worst(b, 10, true),
  "focal(x, y, gamma = 1.5, alpha = 0.25, ignore = true)": (b) => by.focal(b, 1.5, 0.25, true),
  "generalised_dice(x, y)": by.generalised,
  "tversky(x, y, power = 0.75)": (b) => by.tversky(b, 0.3, 0.7, 0.75, 0),
  "dice_bce_ignore(x, y, [[0], [1, 2], [2]], true)": (b) => by.regionBce(b, regions, true) + by.regionDice(b, regions, true, true),
};

it("agree with their definitions", { timeout: 60_000 }, async () => {
  const random = draws(23);
  const [samples, channels, space, size] = [2, 3, [3, 8, 11], 264] as const;
  // Every fifth voxel is like all others of its kind, so that the worst ones have equals.
  const alike = (n: number): boolean => n % 5 === 0;
  const logits = Float32Array.from({ length: samples * channels * size }, (_, n) => (alike(n % size) ? 0.5 * Math.floor(n / size) : 6 * random.next() - 3));
  const labels = Float32Array.from({ length: samples * size }, (_, n) => (n % 7 === 0 ? 255 : random.below(3)));
  const batch: Batch = { samples, channels, size, logits: Float64Array.from(logits), labels: Float64Array.from(labels) };
  const names = Object.keys(losses);
  const text = `block Case(x: [N, C, *S], y: [N, 1, *S]) {\n${names.map((one, n) => `  l${n} = ${one}\n`).join("")}  total = ${names.map((_, n) => `l${n}`).join(" + ")}\n  return (${names.map((_, n) => `l${n}`).join(", ")}, total)\n}\n`;
  const { graph, findings } = instantiate(written(text), "Case", { inputs: [[samples, channels, ...space], [samples, 1, ...space]], training: true });
  expect(findings).toEqual([]);
  const [x, y] = graph?.inputs ?? [];
  const roots = graph?.outputs.map(({ tensor }) => tensor) ?? [];
  if (x === undefined || y === undefined) throw new Error("no graph");
  const apart = separate(roots);
  const values = roots.map((root) => apart.get(root) as Tensor);
  const slope = differentiate(values.at(-1) as Tensor, [x]).get(x) as Tensor;
  const device = await openDevice();
  try {
    const { plan } = compileDefinitions("losses", [x, y], [...values.slice(0, -1).map((tensor, n) => ({ name: `l${n}`, tensor })), { name: "slope", tensor: slope }], device.profile);
    const session = await Session.create(device, plan);
    session.poison();
    session.write(x.name, logits);
    session.write(y.name, labels);
    await session.run();
    for (const [n, name] of names.entries()) {
      const wanted = losses[name]?.(batch) ?? NaN;
      expect(Math.abs(((await session.read(`l${n}`))[0] ?? NaN) - wanted), name).toBeLessThan(2e-6 * Math.max(1, Math.abs(wanted)));
    }
    const found = await session.read("slope");
    const total = (at: number, step: number): number => Object.values(losses).reduce((sum, loss) => sum + loss({ ...batch, logits: batch.logits.map((logit, n) => (n === at ? logit + step : logit)) }), 0);
    let largest = 0;
    for (let n = 1; n < logits.length; n += 97) {
      // A step would move one of equals past the others.
      if (alike(n % size)) continue;
      const rise = (total(n, 1e-5) - total(n, -1e-5)) / 2e-5;
      expect(Math.abs((found[n] ?? NaN) - rise), `slope ${n}`).toBeLessThan(1e-6);
      largest = Math.max(largest, Math.abs(rise));
    }
    expect(largest).toBeGreaterThan(1e-3);
    session.destroy();
  } finally {
    device.close();
  }
});
