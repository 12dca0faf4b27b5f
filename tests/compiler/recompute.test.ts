// Computing values again to stay within a budget of memory: the results stay the same, and the memory is what was promised.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sizeOf, type TrainingGraph } from "../../compiler/ir/graph.ts";
import { choose } from "../../compiler/passes/keep.ts";
import { compileTraining, type Compiled } from "../../compiler/pipeline.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { Player, type Value } from "../../compiler/plan/timeline.ts";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { trainingOf } from "../front/library.ts";
import { noise } from "./noise.ts";

const mednext = `
import { MedNeXtBlock, Down, Up } from "nets/mednext.net"
network Small(image: [N, M, *S], classes: int) {
  e = image |> Conv(4) |> repeat 2 { MedNeXtBlock(3, 2) }
  low = e |> Down(3, 2) |> repeat 2 { MedNeXtBlock(3, 2) }
  out logits = (e + Up(low, 3, 2)) |> MedNeXtBlock(3, 2) |> Conv(classes)
}
train for Small(classes = 2) {
  patch = [48, 48]
  batch = 2
  epochs = 1
  steps = 4
  loss = dice_ce(logits, label, batch = false)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
  clip = 12
}`;

/** Everything that may not happen twice or differently: running statistics, dropped paths and dropped elements. */
const random = `
op dropout(x: [N, C, H, W], rate: float) -> y: [N, C, H, W] {
  y[n, c, h, w] = x[n, c, h, w] * select(draw(((n * C + c) * H + h) * W + w) < rate, 0, 1 / (1 - rate))
}
block Step(x: [N, C, H, W]) -> [N, C, H, W] {
  made = x |> Conv(C, 3) |> BatchNorm |> gelu |> dropout(0.3)
  return x + (made |> drop_path(0.4))
}
network Noisy(image: [N, M, H, W], classes: int, depth: int = 6) {
  out logits = image |> Conv(8) |> repeat depth { Step } |> Conv(classes)
}
train for Noisy(classes = 2) {
  patch = [24, 24]
  batch = 4
  epochs = 1
  steps = 4
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
}`;

const within = (text: string, budget: number, set: Readonly<Record<string, string>> = {}): Compiled =>
  compileTraining(trainingOf(text, set), leastProfile, budget);

/** What the refusal of a budget says to be enough, in bytes. */
function enoughFor(text: string, set: Readonly<Record<string, string>>): number {
  try {
    within(text, 1000, set);
  } catch (cause) {
    const [finding] = cause instanceof Fault ? cause.findings : [];
    expect(finding?.code).toBe("N0909");
    return Number(/([\d,]+) MiB are needed/.exec(finding?.facts[0] ?? "")?.[1]?.replaceAll(",", "")) * 2 ** 20;
  }
  throw new Error("it was not refused");
}

const transient = (plan: Plan): number => plan.buffers.reduce((n, b) => n + (b.kept ? 0 : b.bytes), 0);

describe("a budget of memory", () => {
  it("is kept, costs more the tighter it is, and changes nothing where all fits", () => {
    const free = within(mednext, Infinity);
    const roomy = within(mednext, free.plan.bytes);
    expect(roomy.plan.steps.map((s) => (s.kind === "dispatch" ? s.name : s.kind))).toEqual(free.plan.steps.map((s) => (s.kind === "dispatch" ? s.name : s.kind)));
    expect(roomy.again.values).toEqual([]);
    const kept = free.plan.bytes - transient(free.plan);
    let before = roomy;
    for (const share of [0.8, 0.6, 0.45]) {
      const budget = Math.floor(kept + share * transient(free.plan));
      const made = within(mednext, budget);
      expect(made.plan.bytes).toBeLessThanOrEqual(budget);
      expect(made.plan.bytes).toBeLessThan(before.plan.bytes);
      expect(made.again.flops).toBeGreaterThan(before.again.flops);
      expect(made.again.flops).toBeLessThan(made.again.otherwise);
      before = made;
    }
  });

  it("that nothing fits is refused, and what is said to be enough is", () => {
    const enough = enoughFor(random, { patch: "[96, 96]" });
    expect(within(random, enough, { patch: "[96, 96]" }).plan.bytes).toBeLessThanOrEqual(enough);
  });

  it("of a deep chain needs far less than a value per block", () => {
    const deep = (depth: number): { readonly free: number; readonly least: number } => {
      const set = { depth: String(depth), patch: "[128, 128]" };
      return { free: within(random, Infinity, set).plan.bytes, least: enoughFor(random, set) };
    };
    const [short, long] = [deep(4), deep(16)];
    expect(long.free / short.free).toBeGreaterThan(2.5);
    expect(long.least / short.least).toBeLessThan(2);
  });
});

describe("what is given up", () => {
  /** A chain of `n` equal values, each read by the next one and again on the way back. */
  const chain = (n: number): readonly Value[] => {
    const value = (reads: readonly number[]): Value => ({ bytes: 1, reads, price: 1, fixed: false, until: Infinity, atEnd: false });
    const forth = Array.from({ length: n }, (_, i) => value(i === 0 ? [] : [i - 1]));
    const back = Array.from({ length: n }, (_, i) => value([n + i - 1, n - 1 - i]));
    return [...forth, ...back];
  };

  it("grows with the root of a chain's length, for one more way forth", () => {
    for (const n of [36, 100, 225]) {
      const values = chain(n);
      const all = new Player(values, 0).score(new Map());
      expect(all.peak).toBeGreaterThanOrEqual(n);
      const budget = 2 * Math.sqrt(n) + 3;
      const { timeline } = choose(values, budget);
      expect(timeline.peak, `${n} values`).toBeLessThanOrEqual(budget);
      expect(timeline.price, `${n} values`).toBeLessThanOrEqual(1.5 * all.price);
    }
  });

  it("is not made behind what overwrites its operands", () => {
    const values = chain(12).map((v) => ({ ...v, until: 13 }));
    const { timeline, cuts } = choose(values, 6);
    expect(timeline.peak).toBeGreaterThan(6);
    for (const m of new Player(values, 6).timeline(cuts).makings.filter((x) => x.value < 12)) expect(m.first).toBeLessThanOrEqual(timeline.start[14] as number);
  });
});

describe("on the device", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device?.close());

  /** Weights, states and losses of two steps. */
  async function afterSteps(training: TrainingGraph, plan: Plan): Promise<ReadonlyMap<string, Float32Array>> {
    const session = await Session.create(device, plan);
    try {
      await session.initialise(3);
      session.poison();
      const seen = new Map<string, Float32Array>();
      for (let step = 0; step < 2; step++) {
        training.graph.inputs.forEach((t, k) => {
          const values = Float32Array.from(noise(sizeOf(t), 5 + k + 10 * step));
          session.write(t.name, t.name === "label" ? values.map((v) => (v > 0 ? 1 : 0)) : values);
        });
        session.setUniform("draw_seed", 7);
        session.setUniform("draw_step", step);
        await session.run();
        seen.set(`loss ${step}`, await session.read("loss"));
      }
      for (const { name } of plan.weights) seen.set(name, await session.readWeights(name));
      for (const { name } of plan.states) seen.set(name, await session.readState(name));
      return seen;
    } finally {
      session.destroy();
    }
  }

  it.each([["MedNeXt", mednext, {}], ["noise and running values", random, { depth: "3" }]] as const)("two steps end with the same numbers: %s", async (_, text, set) => {
    const training = trainingOf(text, set);
    const free = compileTraining(training, device.profile);
    const tight = compileTraining(training, device.profile, Math.ceil(free.plan.bytes - 0.4 * transient(free.plan)));
    expect(tight.again.values.length).toBeGreaterThan(3);
    const expected = await afterSteps(training, free.plan);
    const got = await afterSteps(training, tight.plan);
    expect([...got.keys()]).toEqual([...expected.keys()]);
    for (const [name, values] of expected) {
      expect(values.every(Number.isFinite), name).toBe(true);
      // Sums that share their launch with others may be added in another order.
      values.forEach((v, i) => expect(Math.abs((got.get(name)?.[i] ?? NaN) - v), `${name} ${i}`).toBeLessThan(1e-6 * (1 + Math.abs(v))));
    }
    const losses = [expected.get("loss 0")?.[0], expected.get("loss 1")?.[0]];
    expect(losses[0]).not.toBe(losses[1]);
  }, 120_000);
});
