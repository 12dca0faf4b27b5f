// Long dispatches in ranges of their workgroups: nothing is left out or done twice, and the bits are those of the whole.

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apply, index, int, makeAxis, read } from "../../compiler/ir/expr.ts";
import { define, sizeOf, source, type Tensor } from "../../compiler/ir/graph.ts";
import { compileDefinitions, compileTraining } from "../../compiler/pipeline.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { rangesOf } from "../../runtime/pace.ts";
import { Session } from "../../runtime/session.ts";
import { allCases } from "../compiler/cases.ts";
import { noise } from "../compiler/noise.ts";
import { trainingOf } from "../front/library.ts";

const origin = { span: undefined, path: "test" };
let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

/** Every output after each of two runs, with submits of at most so many milliseconds. */
async function outputsOf(plan: Plan, longest: number): Promise<readonly Float32Array[]> {
  const session = await Session.create(device, plan, { longest });
  try {
    await session.initialise(3);
    plan.inputs.forEach(({ name, slice }, i) => session.write(name, Float32Array.from(noise(slice.bytes / 4, 3 + i), (v) => (name === "label" ? Number(v > 0) : v))));
    const all: Float32Array[] = [];
    for (let run = 0; run < 2; run++) {
      session.poison();
      await session.run();
      for (const { name } of plan.outputs) all.push(await session.read(name));
    }
    for (const { name } of plan.weights) all.push(await session.readWeights(name));
    return all;
  } finally {
    session.destroy();
  }
}

const bits = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer => Buffer.from(buffer, byteOffset, byteLength);

/** Compares a plan run whole with the same run in as many ranges as there may be, and in those that some milliseconds allow. */
async function expectSame(plan: Plan): Promise<void> {
  expect(plan.shaders.every(({ ranges }) => ranges)).toBe(true);
  const whole = await outputsOf(plan, Infinity);
  expect(whole.length).toBeGreaterThan(0);
  expect(whole.some((values) => values.some(Number.isNaN))).toBe(false);
  for (const longest of [1e-6, 5]) {
    const cut = await outputsOf(plan, longest);
    whole.forEach((values, i) => expect(bits(cut[i] ?? new Float32Array()).equals(bits(values))).toBe(true));
  }
}

describe("ranges of workgroups", () => {
  it("follow each other to the end, none larger than a dispatch may be", () => {
    const groups = fc.oneof(fc.tuple(fc.integer({ min: 1, max: 32768 }), fc.constant(1)), fc.tuple(fc.constant(32768), fc.integer({ min: 2, max: 4096 })));
    fc.assert(fc.property(groups, fc.integer({ min: 1, max: 1500 }), ([columns, rows], pieces) => {
      const ranges = rangesOf([columns, rows, 1], pieces);
      let next = 0;
      const isRight = ranges.every(({ first, groups: [x, y] }) => {
        const follows = first === next;
        next += x * y;
        // Several rows are whole ones.
        return follows && x > 0 && x <= 32768 && (y === 1 || x === columns);
      });
      expect(isRight).toBe(true);
      expect(next).toBe(columns * rows);
      expect(ranges.length).toBeLessThanOrEqual(2 * Math.max(pieces, rows));
      if (pieces > 1) expect(ranges.length).toBeGreaterThanOrEqual(Math.min(pieces, columns * rows));
    }));
  });

  it("give the bits of the whole, for every case", async () => {
    const cases = allCases();
    const inputs: Tensor[] = [];
    const outputs = cases.map((c, i) => {
      inputs.push(...c.inputs.map((t) => Object.assign(t, { name: `${t.name}${i}` })));
      return { name: `y${i}`, tensor: c.result };
    });
    await expectSame(compileDefinitions("cases", inputs, outputs, { ...device.profile, ranges: true }).plan);
  });

  it("give the bits of the whole with more workgroups than one row of a dispatch holds", async () => {
    const x = source("x", [1009], origin);
    const i = makeAxis("i", 4_300_001);
    const v = read(x, [apply("imod", index(i), int(sizeOf(x)))]);
    const { plan } = compileDefinitions("long", [x], [{ name: "y", tensor: define("y", [i], apply("mul", v, v), origin) }], { ...device.profile, ranges: true });
    expect(plan.steps).toMatchObject([{ groups: [32768, 3, 1] }]);
    await expectSame(plan);
  });

  it("give the bits of the whole in training, with updates in place and terms that land anywhere", async () => {
    const training = trainingOf(`
op shaken(x: [N, C, H, W], by: [N, M, H, W]) -> y: [N, C, H, W] {
  y[n, c, h, w] = x.zero.lerp[n, c, h + 3.0 * by[n, 0, h, w] + draw(h * W + w), w]
}
network Small(image: [N, M, H, W], classes: int) {
  out logits = image |> Conv(5, 3) |> InstanceNorm |> gelu |> shaken(image) |> Conv(classes, 3)
}
train for Small(classes = 2) {
  patch = [13, 11]
  batch = 2
  epochs = 1
  steps = 4
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
  clip = 12
}`);
    const { plan } = compileTraining(training, { ...device.profile, ranges: true });
    expect(plan.steps.map(({ kind }) => kind)).toContain("clear");
    await expectSame(plan);
  });
});
