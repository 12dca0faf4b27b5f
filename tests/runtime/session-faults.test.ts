// What goes wrong on a device is told with the `.net` line; plans that WebGPU cannot run are refused whole.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Fault, type Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { buffer, dispatch, doubling, mapShader, planOf, port, values } from "./device-plans.ts";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

/** The findings of a promise that must fail with some. */
async function findings(promise: Promise<unknown>): Promise<readonly Diagnostic[]> {
  const cause: unknown = await promise.then(() => "it went well", (thrown: unknown) => thrown);
  if (!(cause instanceof Fault)) throw new Error(`no fault but: ${String(cause)}`);
  return cause.findings;
}

const create = (plan: Plan): Promise<Session> => Session.create(device, plan);
const two = [buffer("x", 64), buffer("y", 64)];

describe("kernels that do not compile", () => {
  it("name where they come from", async () => {
    const plan = { ...doubling(64), shaders: [mapShader("x + undefined_thing", "conv3")] };
    const [finding] = await findings(create(plan));
    expect(finding?.code).toBe("N0905");
    expect(finding?.headline).toContain("conv3");
    expect(finding?.facts.join("\n")).toContain("It comes from `e[0].Conv`, made-up.net:7:3.");
    expect(finding?.facts.join("\n")).toContain("unresolved value 'undefined_thing'");
    expect(finding?.facts.join("\n")).toMatch(/6 \| if .* y_out\[i\] = x \+ undefined_thing/);
  });

  it("point at the line where the file can be read", async () => {
    const folder = mkdtempSync(join(tmpdir(), "netc-test-"));
    const file = join(folder, "a.net");
    writeFileSync(file, "network A {\n  y = x |> Conv(3)\n}\n");
    const base = doubling(64);
    const steps = [{ ...dispatch("double", 0, [values(0, 64), values(1, 64)], 1), origin: { file, line: 2, column: 12, path: "y" } }];
    const [finding] = await findings(create({ ...base, shaders: [mapShader("x +", "bad")], steps }));
    const span = finding?.labels[0]?.span;
    expect(span?.file.text.slice(span.start, span.end)).toBe("Conv");
    rmSync(folder, { recursive: true });
  });

  it("are refused for a layout that is not the plan's", async () => {
    const plan = { ...doubling(64), shaders: [{ ...mapShader("x"), access: ["read", "read"] as const }] };
    const [finding] = await findings(create(plan));
    expect(finding?.code).toBe("N0905");
    expect(JSON.stringify(finding)).toContain("made-up.net:7:3");
  });

  it("are refused again at the next try", async () => {
    const plan = { ...doubling(64), shaders: [mapShader("x + undefined_thing", "conv3")] };
    expect((await findings(create(plan)))[0]?.code).toBe("N0905");
  });
});

describe("what WebGPU objects to", () => {
  it("names the dispatch, before anything runs", async () => {
    const fixed = mapShader("x").wgsl.replace("read> x_in: array<f32>", "read> x_in: array<f32, 1024>");
    const plan = planOf({
      buffers: two,
      shaders: [mapShader("x"), { ...mapShader("x"), wgsl: fixed }],
      steps: [dispatch("fine", 0, [values(0, 64), values(1, 64)], 1, 4), dispatch("short", 1, [values(0, 64), values(1, 64)], 1, 5)],
    });
    const [finding] = await findings(create(plan));
    expect(finding?.code).toBe("N0908");
    expect(finding?.headline).toContain("`short`");
    expect(JSON.stringify(finding)).toContain("made-up.net:5:3");
  });

  it("stops the run when it came outside every guard", async () => {
    const session = await create(doubling(64));
    device.gpu.createBuffer({ label: "without use", size: 16, usage: 0 });
    const [finding] = await findings(session.run().then(() => device.idle()));
    expect(finding?.code).toBe("N0908");
    expect(finding?.facts.join()).toContain("usages must not be 0");
    await session.run();
    await device.idle();
    session.destroy();
  });
});

describe("plans that cannot be", () => {
  const internal = async (plan: Plan): Promise<string> => {
    const cause: unknown = await create(plan).then(() => "it went well", (thrown: unknown) => thrown);
    return cause instanceof Error && !(cause instanceof Fault) ? cause.message : `no internal error but ${String(cause)}`;
  };
  const map = [mapShader("x")];

  it("read and write one buffer in one dispatch", async () => {
    const steps = [dispatch("both", 0, [values(0, 64), values(0, 64, 64)], 1)];
    expect(await internal(planOf({ buffers: [buffer("x", 128)], shaders: map, steps }))).toContain("`both` (e[0].Conv, made-up.net:7:3) binds buffer `x` for reading and for writing");
  });

  it("write the same bytes twice", async () => {
    const shaders = [{ ...mapShader("x"), access: ["read_write", "read_write"] as const }];
    const steps = [dispatch("both", 0, [values(0, 65), values(0, 64, 64)], 1)];
    expect(await internal(planOf({ buffers: [buffer("x", 128)], shaders, steps }))).toContain("for writing twice at the same bytes");
  });

  it.each([
    ["a binding off the grid", planOf({ buffers: two, shaders: map, steps: [dispatch("d", 0, [values(0, 32, 4), values(1, 64)], 1)] }), "not a multiple of 256"],
    ["a binding too many", planOf({ buffers: two, shaders: map, steps: [dispatch("d", 0, [values(0, 64)], 1)] }), "binds 1 buffers, its shader takes 2"],
    ["a slice outside", planOf({ buffers: two, shaders: map, steps: [dispatch("d", 0, [values(0, 65), values(1, 64)], 1)] }), "takes bytes 0 ..< 260 of the 256 in `x`"],
    ["too many workgroups", planOf({ buffers: two, shaders: map, steps: [dispatch("d", 0, [values(0, 64), values(1, 64)], 70_000)] }), "workgroups 70000"],
    ["a copy of another size", planOf({ buffers: two, steps: [{ kind: "copy", from: values(0, 4), to: values(1, 5), phase: "forward" }] }), "takes 16 bytes to 20"],
    ["a copy within a buffer", planOf({ buffers: two, steps: [{ kind: "copy", from: values(0, 4), to: values(0, 4, 8), phase: "forward" }] }), "stays within `x`"],
    ["a port of another size", planOf({ buffers: two, inputs: [{ ...port("x", values(0, 64)), shape: [8, 9] }] }), "of 72 values lies in 256 bytes"],
    ["a buffer of odd size", planOf({ buffers: [{ ...buffer("x", 1), bytes: 6 }] }), "has 6 bytes"],
  ])("have %s", async (_, plan, message) => {
    expect(await internal(plan)).toContain(message);
  });
});

describe("memory", () => {
  it("is refused before it is asked for", async () => {
    const huge = { ...buffer("widest", 1), bytes: 20 * 2 ** 30 };
    const [finding] = await findings(create(planOf({ buffers: [huge] })));
    expect(finding?.code).toBe("N0901");
    expect(finding?.headline).toContain("`widest` needs a buffer of 20 GiB");
    expect(finding?.facts.join()).toContain("made-up.net:1:3");
  });

  it("is counted over all buffers", async () => {
    if (!device.software) return;
    const count = Math.ceil(process.availableMemory() / 2 ** 29) + 1;
    const buffers = Array.from({ length: count }, (_, i) => ({ ...buffer(`b${i}`, 1), bytes: 2 ** 29 }));
    const before = process.memoryUsage.rss();
    const [finding] = await findings(create(planOf({ buffers })));
    expect(finding?.code).toBe("N0906");
    expect(finding?.headline).toMatch(/`Made` needs .* of memory, .* are free/);
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 28);
  });
});

describe("a lost device", () => {
  it("is a finding in whatever comes next, at the dispatch", async () => {
    const lost = await openDevice();
    const session = await Session.create(lost, doubling(64));
    await session.run();
    lost.gpu.destroy();
    const [ran] = await findings(session.run());
    expect(ran?.code).toBe("N0907");
    expect(JSON.stringify(ran)).toContain("made-up.net:7:3");
    const calls: (() => Promise<unknown>)[] = [
      () => session.read("y"), () => session.readMany(["y"]), () => session.initialise(1), () => session.profileRun(),
      () => lost.idle(), () => Session.create(lost, doubling(64)),
    ];
    for (const call of calls) expect((await findings(call()))[0]?.code).toBe("N0907");
    expect(() => session.write("x", new Float32Array(64))).toThrow(Fault);
    lost.close();
  });

  it("is a finding for what is under way", async () => {
    const lost = await openDevice();
    const session = await Session.create(lost, doubling(1_000_000));
    const reading = session.run().then(() => session.read("y"));
    lost.gpu.destroy();
    expect((await findings(reading))[0]?.code).toBe("N0907");
    const waiting = lost.idle();
    expect((await findings(waiting))[0]?.code).toBe("N0907");
    lost.close();
  });
});
