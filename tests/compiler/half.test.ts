// Half precision: what is stored in halves, the shaders that do it, and the scale of the loss.

import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { prepareTraining } from "../../compiler/front/front.ts";
import { apply, index, makeAxis, nearestHalf, read, real, reduce, type Axis, type Expr } from "../../compiler/ir/expr.ts";
import { define, source, type Scaling, type Tensor, type TrainingGraph } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { ordered, rebuild } from "../../compiler/ir/order.ts";
import { readsOf, walk } from "../../compiler/ir/rewrite.ts";
import { differentiated } from "../../compiler/passes/draft.ts";
import { factoring } from "../../compiler/passes/factor.ts";
import { halve } from "../../compiler/passes/half.ts";
import { compileDefinitions, compileTraining } from "../../compiler/pipeline.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { bytesOf } from "../../compiler/plan/storage.ts";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { fromHalf } from "../../runtime/safetensors.ts";
import { Session } from "../../runtime/session.ts";
import { written } from "../front/library.ts";
import { noise } from "./noise.ts";

const origin = { span: undefined, path: "test" };

/** A definition from its extents and what it is at a point. */
function defined(name: string, extents: readonly number[], body: (...at: readonly Axis[]) => Expr): Tensor {
  const axes = extents.map((e, i) => makeAxis(`i${i}`, e));
  return define(name, axes, body(...axes), origin);
}

const at = (t: Tensor, ...axes: readonly Axis[]): Expr => read(t, axes.map(index));

/** `e = exp(x)` over [rows, columns], and the products of its rows, for which it is stored. */
function products(rows: number, columns: number): { readonly x: Tensor; readonly e: Tensor; readonly y: Tensor } {
  const x = source(`x${rows}`, [rows, columns], origin);
  const e = defined(`e${rows}`, [rows, columns], (a, b) => apply("exp", read(x, [a, b].map((i) => index(i as Axis)))));
  const k = makeAxis("k", columns);
  const y = defined(`y${rows}`, [rows, rows], (a, b) => reduce("sum", [k], [], apply("mul", at(e, a as Axis, k), at(e, b as Axis, k))));
  return { x, e, y };
}

test("the nearest half is one, and ties go to the even one", () => {
  const wrong: number[] = [];
  for (let bits = 0; bits < 0x7c00; bits++) {
    const here = fromHalf(bits);
    const middle = (here + (bits + 1 < 0x7c00 ? fromHalf(bits + 1) : 65536)) / 2;
    const even = fromHalf(bits % 2 === 0 ? bits : bits + 1);
    if (nearestHalf(here) !== here || nearestHalf(middle) !== even || nearestHalf(-middle) !== -even) wrong.push(bits);
  }
  expect(wrong).toEqual([]);
  expect([65519.99, 65520, -1e9, Infinity].map(nearestHalf)).toEqual([65504, Infinity, -Infinity, Infinity]);
  expect(nearestHalf(NaN)).toBeNaN();
});

describe("stored in halves", () => {
  const isHalf = (result: Tensor, whole: readonly Tensor[] = []): ((t: Tensor) => boolean) => {
    const made = halve([result], new Set([result, ...whole]));
    return (t) => (made.get(t) as Tensor).half;
  };
  const x = source("x", [64, 65], origin);
  const large = defined("large", [64, 65], (a, b) => apply("exp", at(x, a as Axis, b as Axis)));

  it("are large values, in half the bytes rounded up to words, but for results, sources and what must stay whole", () => {
    const result = defined("y", [64, 65], (a, b) => apply("exp", at(large, a as Axis, b as Axis)));
    expect([isHalf(result)(large), isHalf(result)(result), isHalf(result)(x), isHalf(result, [large])(large)]).toEqual([true, false, false, false]);
    expect(bytesOf(halve([result], new Set([result])).get(large) as Tensor)).toBe(2 * 64 * 65);
    const odd = defined("odd", [67, 131], (a, b) => apply("add", apply("real", index(a as Axis)), apply("real", index(b as Axis))));
    expect(bytesOf({ ...odd, half: true })).toBe(2 * 67 * 131 + 2);
  });

  it("are no small values, and no summaries of much larger ones", () => {
    const small = defined("small", [63, 65], (a, b) => at(x, a as Axis, b as Axis));
    expect(isHalf(defined("y", [63], (a) => reduce("sum", [small.axes[1] as Axis], [], at(small, a as Axis, small.axes[1] as Axis))))(small)).toBe(false);
    const wide = defined("wide", [8192, 9], (a, b) => apply("real", apply("add", index(a as Axis), index(b as Axis))));
    const k = makeAxis("k", 9);
    const sums = defined("sums", [8192], (a) => reduce("sum", [k], [], at(wide, a as Axis, k)));
    const result = defined("y", [8192], (a) => apply("exp", at(sums, a as Axis)));
    expect([wide, sums].map(isHalf(result))).toEqual([true, false]);
  });

  it("is nothing that is compared for equality or becomes a whole number", () => {
    const same = defined("y", [64, 65], (a, b) => apply("select", apply("eq", at(large, a as Axis, b as Axis), real(2)), real(1), real(0)));
    const place = defined("y", [64, 65], (a, b) => apply("real", apply("floor", apply("mul", at(large, a as Axis, b as Axis), real(3)))));
    const tested = defined("y", [64, 65], (a, b) => apply("select", apply("lt", at(large, a as Axis, b as Axis), real(2)), real(1), real(0)));
    expect([same, place, tested].map((result) => isHalf(result)(large))).toEqual([false, false, true]);
  });
});

describe("shaders", () => {
  const { x, y } = products(64, 128);
  const narrow = { ...leastProfile, lanes: 128 };
  const compiled = (half: boolean, profile: Profile = narrow) => compileDefinitions("products", [x], [{ name: "y", tensor: y }], profile, { half }).plan;

  it("load and store halves, and compute in single precision", () => {
    const [first = "", second = ""] = compiled(true).shaders.map((s) => s.wgsl);
    expect(first).toMatch(/^enable f16;\n.*binding\(1\) var<storage, read_write> buf0: array<vec4<f16>>;\n.*buf1: array<vec4<f32>>;/);
    expect(first).toMatch(/buf0\[\w+\] = half4\(\w+\);/);
    expect(second).toMatch(/^enable f16;\n.*buf0: array<(vec4<)?f32>?>;\n.*buf1: array<vec4<f16>>;/);
    expect(second).toMatch(/let \w+ = vec4<f32>\(buf1\[\w+\]\);/);
    expect(second.match(/f16/g)).toHaveLength(2);
    for (const { wgsl } of compiled(false).shaders) expect(wgsl).not.toContain("f16");
  });

  it("take half the memory for it", () => {
    const [half, single] = [true, false].map((h) => compiled(h).buffers.filter((b) => !b.kept).map((b) => b.bytes));
    expect([half, single]).toEqual([[2 * 64 * 128], [4 * 64 * 128]]);
  });

  it("bind what is too large in parts of halves", () => {
    const wgsl = compiled(true, { ...narrow, maxBinding: 8192 }).shaders.map((s) => s.wgsl);
    expect(wgsl[0]).toContain("fn put0(i: i32, v: vec4<f16>) { if (i < 1024) { buf0_0[i - 0] = v; }");
    expect(wgsl[1]).toContain("fn get1(i: i32) -> vec4<f16> { if (i < 1024) { return buf1_0[i - 0]; }");
  });

  it("are refused to an adapter without halves", () => {
    const wish = (): unknown => compiled(true, { ...narrow, half: false, name: "Old Adapter" });
    expect(wish).toThrow(Fault);
    try {
      wish();
    } catch (thrown) {
      const [finding] = thrown instanceof Fault ? thrown.findings : [];
      expect([finding?.code, finding?.facts]).toEqual(["N0910", ["Old Adapter lacks the feature `shader-f16`."]]);
    }
  });
});

const text = `
op by_sample(x: [N, C, *S]) -> y: [] {
  size[n] = sum[c, *s](x[n, c, *s] ^ 2)
  y[] = mean[n](sqrt(size[n]))
}

network Plain(image: [N, M, *S], classes: int) {
  deep = image |> Conv(8, 3) |> InstanceNorm |> relu
  out logits = deep |> Conv(classes)
}

train one for Plain(classes = 3) {
  patch = [24, 32]
  loss = dice_ce(logits, label, batch = false)
  optimizer = adamw(lr = 1e-2)
  clip = 1
  precision = half
}
`;

function training(set: Readonly<Record<string, string>> = {}): TrainingGraph {
  const made = prepareTraining(written(text), undefined, { set });
  expect(made.findings).toEqual([]);
  if (!made.training) throw new Error("no training graph");
  return made.training;
}

function scalingOf({ scaling }: TrainingGraph): Scaling {
  if (!scaling) throw new Error("no scaling");
  return scaling;
}

describe("the scale of the loss", () => {
  const scalar = (name: string): Tensor => source(name, [], origin);
  const [scale, good, total] = [scalar("scale"), scalar("good"), scalar("total")];

  it("halves after a lost gradient, and doubles after 2000 good ones on end", () => {
    const scaling = scalingOf(training());
    const next = scaling.next(scale, good, total);
    let now = { scale: scaling.start, good: 0 };
    const step = (length: number): void => {
      const values = (): Map<Tensor, Float64Array> => new Map([[scale, Float64Array.of(now.scale)], [good, Float64Array.of(now.good)], [total, Float64Array.of(length)]]);
      now = { scale: interpret(next.scale, { values: values() })[0] ?? NaN, good: interpret(next.good, { values: values() })[0] ?? NaN };
    };
    for (let i = 0; i < 3; i++) step(1);
    expect(now).toEqual({ scale: 65536, good: 3 });
    step(Infinity);
    expect(now).toEqual({ scale: 32768, good: 0 });
    step(NaN);
    expect(now).toEqual({ scale: 16384, good: 0 });
    for (let i = 0; i < 1999; i++) step(1e30);
    expect(now).toEqual({ scale: 16384, good: 1999 });
    step(1e30);
    expect(now).toEqual({ scale: 32768, good: 0 });
    now = { scale: 2 ** 24, good: 1999 };
    step(1);
    expect(now).toEqual({ scale: 2 ** 24, good: 0 });
  });

  it("changes nothing but the scale where the gradient is lost, and else nothing at all", () => {
    const graph = training();
    const limit = 1 << 20;
    const [single, half] = [{ ...graph, scaling: undefined }, graph].map((g) => differentiated(g, limit).job());
    // The optimiser over any gradient: what became of the weights and its memories.
    const after = (job: typeof single, gradient: number, start: number): readonly (readonly number[])[] => {
      if (!job) throw new Error("no job");
      const values = new Map<Tensor, Float64Array>();
      for (const p of job.packs) values.set(p.flat, noise(p.flat.axes[0]?.extent ?? 0, 5).map((v) => (p.flat.name === "gradient" ? v * gradient : v)));
      for (const u of job.updates) if (!values.has(u.now)) values.set(u.now, new Float64Array(u.now.axes[0]?.extent ?? 1).fill(u.now.name === "loss_scale" ? start : 0));
      return job.updates.map((u) => [...interpret(u.next, { values: new Map(values), dials: { step: 0 } })]);
    };
    const plain = after(single, 1, 1);
    const scaled = after(half, 1024, 1024);
    expect(scaled.slice(0, plain.length)).toEqual(plain);
    const lost = after(half, Infinity, 1024);
    expect(lost.map((values) => values.every(Number.isFinite))).toEqual(lost.map(() => true));
    expect([...lost[0] ?? []].every((v) => v === 0)).toBe(true);
    expect(lost.slice(-2)).toEqual([[512], [0]]);
  });

  it("is taken out of no sum, nor is what follows from it", () => {
    const [x, w] = [source("x", [64, 3], origin), source("w", [3], origin)];
    const slope = defined("slope", [64], (n) => apply("mul", at(scale), apply("real", index(n as Axis))));
    const each = defined("each", [64, 3], (n, o) => apply("mul", at(slope, n as Axis), at(x, n as Axis, o as Axis)));
    const o = makeAxis("o", 3);
    const sum = defined("sum", [64], (n) => reduce("sum", [o], [], apply("mul", at(each, n as Axis, o), at(w, o))));
    const isScaled = (made: Map<Tensor, Tensor>): boolean => {
      const found: Expr[] = [];
      for (const t of ordered([made.get(sum) as Tensor])) walk(t.body ?? real(0), (e) => found.push(e));
      return found.some((e) => e.kind === "reduce" && readsOf(e.body).some((r) => r.tensor === scale || r.tensor === slope));
    };
    expect([undefined, scale, good].map((s) => isScaled(rebuild([sum], factoring(s))))).toEqual([false, true, false]);
  });

  it("is in every gradient that is stored in halves, whatever the loss", () => {
    for (const loss of ["dice_ce(logits, label, batch = false)", "cross_entropy(logits, label)", "by_sample(logits)"]) {
      const scaled = new Set<Tensor>();
      const { kernels } = compileTraining(training({ loss }), leastProfile);
      const gradients = kernels.flatMap((k) => k.results).flatMap(({ root, body }) => {
        if (readsOf(body).some((r) => r.tensor.name === "loss_scale" || scaled.has(r.tensor))) scaled.add(root);
        return root.half && root.name.startsWith("d_") ? [root] : [];
      });
      expect(gradients.length).toBeGreaterThan(1);
      expect(gradients.filter((t) => !scaled.has(t)).map((t) => `${loss}: ${t.name} of ${t.origin.path}`)).toEqual([]);
    }
  });
});

describe("on a device", () => {
  let device: Device;
  let lacks = false;
  beforeAll(async () => {
    device = await openDevice();
    lacks = !device.profile.half;
    if (lacks) console.warn(`skipped: ${device.name} has no shader-f16`);
  });
  afterAll(() => device?.close());

  it("kernels over halves agree with the interpreter up to the rounding of what is stored", { timeout: 120_000 }, async ({ skip }) => {
    if (lacks) skip();
    // Fours, single numbers of an odd count, and more than may be bound at once.
    for (const maxBinding of [device.profile.maxBinding, 4096]) {
      const all = [products(32, 128), products(63, 67)];
      const { plan } = compileDefinitions("products", all.map((c) => c.x), all.map((c) => ({ name: c.y.name, tensor: c.y })), { ...device.profile, maxBinding }, { half: true });
      const session = await Session.create(device, plan);
      for (const { x } of all) session.write(x.name, Float32Array.from(noise((x.axes[0]?.extent ?? 0) * (x.axes[1]?.extent ?? 0), 7)));
      session.poison();
      await session.run();
      for (const { x, y } of all) {
        const exact = interpret(y, { values: new Map([[x, noise((x.axes[0]?.extent ?? 0) * (x.axes[1]?.extent ?? 0), 7)]]) });
        const got = await session.read(y.name);
        // Terms are positive products of two values, each of which is rounded by 2^-11 of itself at most.
        const off = exact.map((v, i) => Math.abs((got[i] ?? NaN) / v - 1));
        expect(Math.max(...off)).toBeLessThan(2 * 2 ** -11 + 1e-5);
        // And halves it was: single precision is nearer.
        expect(Math.max(...off)).toBeGreaterThan(2 ** -16);
      }
      session.destroy();
    }
  });

  it("a gradient that is too large leaves the weights and halves the scale, and a run goes on with the same bits", { timeout: 120_000 }, async ({ skip }) => {
    if (lacks) skip();
    const { plan } = compileTraining(training(), device.profile);
    const session = await Session.create(device, plan);
    await session.initialise(1);
    for (const { name, slice } of plan.inputs) session.write(name, Float32Array.from(noise(slice.bytes / 4, 3), (v) => (name === "label" ? Math.floor(1.5 * v + 1.5) : v)));
    const kept = async (): Promise<readonly (readonly [string, readonly number[]])[]> => [
      ...await Promise.all(plan.weights.map(async ({ name }) => [name, [...await session.readWeights(name)]] as const)),
      ...await Promise.all(plan.states.map(async ({ name }) => [name, [...await session.readState(name)]] as const)),
    ];
    const isCounter = ([name]: readonly [string, unknown]): boolean => name === "memory/loss_scale" || name === "memory/good_steps";
    const began = await kept();
    session.setState("memory/loss_scale", Float32Array.of(2 ** 40));
    await session.run();
    const lost = await kept();
    expect(lost.filter((one) => !isCounter(one))).toEqual(began.filter((one) => !isCounter(one)));
    expect(lost.filter(isCounter)).toEqual([["memory/loss_scale", [2 ** 39]], ["memory/good_steps", [0]]]);
    expect((await session.read("loss"))[0]).toBeLessThan(3);
    session.setState("memory/loss_scale", Float32Array.of(2 ** 16));
    await session.run();
    const between = await kept();
    expect(between.filter(isCounter)).toEqual([["memory/loss_scale", [2 ** 16]], ["memory/good_steps", [1]]]);
    await session.run();
    const straight = await kept();
    session.poison();
    for (const [name, values] of between) {
      if (plan.weights.some((w) => w.name === name)) session.setWeights(name, Float32Array.from(values));
      else session.setState(name, Float32Array.from(values));
    }
    await session.run();
    expect(await kept()).toEqual(straight);
    session.destroy();
  });
});
