// A session runs plans as they are written: kernels, copies, clears, uniforms, weights.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { buffer, dispatch, doubling, kept, mapShader, planOf, port, values } from "./device-plans.ts";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const ramp = (count: number, from = 0): Float32Array => Float32Array.from({ length: count }, (_, i) => from + i);

describe("running", () => {
  it("maps an input to an output, again and again", async () => {
    const session = await Session.create(device, doubling(1000));
    for (const from of [0, 5, -3]) {
      session.write("x", ramp(1000, from));
      await session.run();
      expect(await session.read("y")).toEqual(ramp(1000, from).map((v) => 2 * v));
    }
    session.destroy();
  });

  it("keeps the order of dispatches, copies and clears", async () => {
    const session = await Session.create(device, planOf({
      buffers: [buffer("a", 64), buffer("b", 256), buffer("c", 64)],
      shaders: [mapShader("x + 1")],
      steps: [
        dispatch("b = a + 1", 0, [values(0, 64), values(1, 64, 64)], 1),
        { kind: "copy", from: values(1, 32, 64), to: values(2, 32, 32), phase: "forward" },
        { kind: "clear", slice: values(1, 16, 64), phase: "forward" },
        dispatch("a = b + 1", 0, [values(1, 64, 64), values(0, 64)], 1),
      ],
      inputs: [port("a", values(0, 64))],
      outputs: [port("a", values(0, 64)), port("c", values(2, 64))],
    }));
    session.write("a", ramp(64));
    await session.run();
    const read = await session.readMany(["c", "a"]);
    expect(read.get("c")).toEqual(Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? 0 : i - 32 + 1)));
    expect(read.get("a")).toEqual(Float32Array.from({ length: 64 }, (_, i) => (i < 16 ? 1 : i + 2)));
    session.destroy();
  });

  it("passes uniforms, from the run after they were set", async () => {
    const session = await Session.create(device, planOf({
      buffers: [buffer("y", 8)],
      shaders: [{
        name: "fill", uniforms: true, access: ["read_write"],
        wgsl: `struct Uniforms { scale: f32, step: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) { y[i] = u.scale * f32(i) + f32(u.step & 0xffu); }`,
      }],
      steps: [dispatch("fill", 0, [values(0, 8)], 1)],
      uniforms: [{ name: "scale", offset: 0, type: "f32", value: 2 }, { name: "step", offset: 4, type: "u32", value: 4_294_967_295 }],
      outputs: [port("y", values(0, 8))],
    }));
    await session.run();
    expect(await session.read("y")).toEqual(ramp(8).map((i) => 2 * i + 255));
    session.setUniform("scale", -1);
    session.setUniform("step", 7);
    await session.run();
    expect(await session.read("y")).toEqual(ramp(8).map((i) => 7 - i));
    expect(() => session.setUniform("sclae", 1)).toThrow("no uniform `sclae`");
    session.destroy();
  });

  it("leaves no poison where a kernel writes everything, and shows where it does not", async () => {
    const session = await Session.create(device, doubling(100));
    session.write("x", ramp(100));
    session.poison();
    expect((await session.read("y")).every(Number.isNaN)).toBe(true);
    await session.run();
    expect((await session.read("y")).some(Number.isNaN)).toBe(false);
    expect(await session.readMany(["y"])).toEqual(new Map([["y", ramp(100).map((v) => 2 * v)]]));
    session.destroy();
  });

  it("takes buffers above 64 MiB, in and out", async () => {
    const count = 20 * 2 ** 20 + 12;
    const session = await Session.create(device, planOf({
      ...doubling(count),
      shaders: [{ ...mapShader("2 * x"), wgsl: mapShader("2 * x").wgsl.replace("let i = id.x;", "let i = id.x + id.y * 4194240u;") }],
      steps: [{ ...dispatch("double", 0, [values(0, count), values(1, count)], 65535), groups: [65535, 6, 1] }],
    }));
    const x = new Float32Array(count);
    for (let i = 0; i < count; i++) x[i] = i % 65521;
    session.write("x", x);
    await session.run();
    const y = await session.read("y");
    let wrong = 0;
    for (let i = 0; i < count; i++) if (y[i] !== 2 * (i % 65521)) wrong++;
    expect(wrong).toBe(0);
    session.destroy();
  });

  it("gives who reads without waiting what was there before the next run", async () => {
    const count = 2 ** 21;
    const session = await Session.create(device, doubling(count));
    const read: Promise<ReadonlyMap<string, Float32Array>>[] = [];
    for (const n of [1, 2, 3, 4]) {
      session.write("x", new Float32Array(count).fill(n));
      await session.run();
      // More than comes back in one go.
      read.push(session.readMany(["y", "y", "y", "y", "y"]));
    }
    const found = (await Promise.all(read)).map((values) => new Set(values.get("y")));
    expect(found).toEqual([2, 4, 6, 8].map((value) => new Set([value])));
    session.destroy();
  });

  it("compiles equal kernels once and tells of its progress", async () => {
    const before = device.pipelines.size;
    const told: string[] = [];
    const plan = planOf({
      buffers: [buffer("a", 64), buffer("b", 64)],
      shaders: [mapShader("x - 41", "first"), mapShader("x - 41", "second"), mapShader("x - 43", "third")],
      steps: [0, 1, 2].map((shader) => dispatch(`d${shader}`, shader, [values(0, 64), values(1, 64)], 1)),
    });
    const session = await Session.create(device, plan, { onCompiled: (done, total) => told.push(`${done}/${total}`) });
    expect(device.pipelines.size - before).toBe(2);
    expect(told).toEqual(["1/3", "2/3", "3/3"]);
    session.destroy();
  });

  it("times every dispatch where the device has a clock", async () => {
    const session = await Session.create(device, doubling(1_000_000));
    const times = await session.profileRun();
    if (device.gpu.features.has("timestamp-query")) {
      expect(times?.map(({ name, origin }) => [name, origin.line])).toEqual([["double", 7]]);
      expect(times?.[0]?.milliseconds).toBeGreaterThan(0.001);
      expect(times?.[0]?.milliseconds).toBeLessThan(10_000);
    } else expect(times).toBeUndefined();
    session.destroy();
  });
});

describe("weights", () => {
  const net = planOf({
    buffers: [buffer("flat", 3000), buffer("running", 4), buffer("once", 8, false)],
    weights: [
      kept("a.weight", values(0, 1000, 3), { kind: "normal", deviation: 0.5 }),
      kept("b.weight", values(0, 1500, 1003), { kind: "uniform", bound: 2 }),
      kept("b.offset", values(0, 4, 2996), { kind: "constant", value: 1 }),
    ],
    states: [kept("b.mean", values(1, 4), { kind: "constant", value: 0.25 })],
  });

  it("begin as their initialiser says, by seed and path alone", async () => {
    const session = await Session.create(device, net);
    await session.initialise(7);
    const a = await session.readWeights("a.weight");
    const b = await session.readWeights("b.weight");
    expect(await session.readWeights("b.offset")).toEqual(new Float32Array(4).fill(1));
    expect(await session.readState("b.mean")).toEqual(new Float32Array(4).fill(0.25));
    expect(Math.max(...b.map(Math.abs))).toBeLessThan(2);
    session.setWeights("a.weight", ramp(1000));
    session.setState("b.mean", ramp(4));
    expect(await session.readWeights("a.weight")).toEqual(ramp(1000));
    expect(await session.readWeights("b.weight")).toEqual(b);
    await session.initialise(7);
    expect(await session.readWeights("a.weight")).toEqual(a);
    await session.initialise(8);
    expect(await session.readWeights("a.weight")).not.toEqual(a);
    session.destroy();
  });

  it("are taken over from another session, with the states both have", async () => {
    const from = await Session.create(device, net);
    await from.initialise(3);
    from.setState("b.mean", ramp(4, 9));
    const to = await Session.create(device, planOf({
      buffers: [buffer("w", 1500), buffer("s", 8)],
      weights: [kept("b.weight", values(0, 1500))],
      states: [kept("b.mean", values(1, 4, 4)), kept("new", values(1, 4), { kind: "constant", value: 5 })],
    }));
    await to.initialise(1);
    await to.copyWeights(from);
    expect(await to.readWeights("b.weight")).toEqual(await from.readWeights("b.weight"));
    expect(await to.readState("b.mean")).toEqual(ramp(4, 9));
    expect(await to.readState("new")).toEqual(new Float32Array(4).fill(5));
    await expect(from.copyWeights(to)).rejects.toThrow("no weight `a.weight`");
    from.destroy();
    to.destroy();
  });

  it("of the wrong size are refused", async () => {
    const session = await Session.create(device, net);
    expect(() => session.setWeights("a.weight", ramp(999))).toThrow("weight `a.weight` is [1000], 999 values were given");
    session.destroy();
  });
});
