// Sums of products in matrix units: their loops against the interpreter, their texts through Tint, and both where an adapter has units.

import { create } from "webgpu";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { printLoops } from "../../compiler/kernels/loops.ts";
import { compileDefinitions } from "../../compiler/pipeline.ts";
import type { MatrixUnit, Profile } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { matrixFeature, provenUnits, unitsOf } from "../../runtime/matrices.ts";
import { Session } from "../../runtime/session.ts";
import { allCases } from "./cases.ts";
import { awkward, compareLoops, contracted, even, executed, expected, odd, ofCase, ofText } from "./contractions.ts";
import { distance, valuesOf } from "./subjects.ts";

const unit = (component: "f32" | "f16", m: number, n: number, k: number): MatrixUnit => ({ component, m, n, k });
const withUnits = (subgroup: number, ...units: readonly MatrixUnit[]): Profile => ({ ...leastProfile, maxShared: 32768, matrices: { subgroup, units } });
const wanted = (text: string): boolean => text.includes(" units ");

/** A convolution of a stored activation, with an activation after it: large enough that values and gradients are halves where asked for. */
const layer = ofText("network Net(a: [N, C, *S], w: [O, C, *K]) { out y = tanh(conv(exp(a), w, pad = [1, 0, 1])) }", [[1, 8, 13, 1, 40], [12, 8, 3, 1, 3]]);

/** What halves put off, at most and at least, and singles alone, against the size of a result. */
const [rounded, exact, single] = [2e-3, 1e-4, 2e-5];

describe("matrix units in loops", () => {
  it("give what the interpreter gives, in singles: every case", () => {
    const blocks = allCases().map((c, i) => compareLoops(ofCase(c), [i % 4], false, withUnits(4, unit("f32", 8, 8, 8)), { wanted }));
    expect(blocks.filter((b) => b.length > 0).length).toBeGreaterThan(10);
  });

  it.each([["odd", odd, false, [0, 3]], ["even", even, false, [1, 2]], ["awkward", awkward(), true, [0, 1]]] as const)(
    "give what the interpreter gives, in singles: %s sizes, units that are not square", (_, subject, unsolved, places) => {
      const profile = withUnits(8, unit("f32", 8, 16, 24), unit("f32", 16, 8, 8));
      expect(new Set(compareLoops(subject, places, !unsolved, profile, { wanted })).size).toBeGreaterThan(2);
    });

  it("give what the interpreter gives, in singles: several matrices each way", () => {
    const wide = ofText("network Net(x: [N, C, S], w: [O, C, K]) { out y = conv(x, w, pad = 1) }", [[1, 4, 350], [92, 4, 3]]);
    // Large subgroups keep an adapter busy with few of them, so that large blocks are worth it.
    const blocks = compareLoops(wide, [0, 1], true, withUnits(64, unit("f32", 16, 8, 8)), { wanted });
    const shapes = blocks.map((b) => (/ by (\d+)x(\d+) /.exec(b) ?? []).slice(1).map(Number));
    expect(shapes.filter(([height = 0, width = 0]) => height > 16 && width > 8).length).toBeGreaterThan(0);
  });

  it("round what they multiply to halves, and nothing else", () => {
    const made = contracted(layer, withUnits(8, unit("f16", 8, 8, 16)), 0, { wanted, half: true });
    expect(made.blocks.length).toBe(2);
    expect(made.loops.filter((l) => l.team?.subgroup).flatMap((l) => l.team?.staged.map((s) => s.single))).toEqual(made.blocks.flatMap(() => ["f16", "f16", "f32"]));
    const got = executed(layer, made);
    for (const [name, v] of expected(layer, true)) {
      expect(distance(v, got.get(name)), name).toBeLessThan(rounded);
      expect(distance(v, got.get(name)), name).toBeGreaterThan(exact);
    }
  });

  it("say what they do", () => {
    const [text = ""] = contracted(layer, withUnits(8, unit("f16", 8, 8, 16)), 0, { wanted, half: true }).loops.filter((l) => l.team?.subgroup).map(printLoops);
    expect(text).toMatch(/in teams of \d+, subgroups of 8\n[^]*var matrix\d+ = 8 x 8 f32 of 0\n/);
    expect(text).toMatch(/barrier\n[^]*matrix\d+ = 8 x 16 f16 of left0\[\w+\] by (rows|columns) of \d+\n[^]*matrix\d+ \+<- matrix\d+ times matrix\d+\n[^]*spilled0\[\w+\] by rows of 8 <- matrix\d+\n +barrier\n/);
  });
});

describe("the offer of matrix units", () => {
  const offers = (profile: Profile, half: boolean, subject = layer): readonly (readonly string[])[] => {
    const all: (readonly string[])[] = [];
    compileDefinitions("offers", subject.inputs, subject.outputs, { ...profile, choose: (_, offered) => void all.push(offered) }, { half });
    return all.filter((o) => o.some(wanted));
  };
  const both = withUnits(32, unit("f16", 16, 16, 16), unit("f32", 8, 8, 8));

  it("has halves only for sums of what is stored in halves, singles always, and nothing for processors or without room", () => {
    const kinds = (all: readonly (readonly string[])[]): readonly string[] => [...new Set(all.flat().filter(wanted).map((t) => t.split(" ").slice(-2).join(" ")))].sort();
    expect(kinds(offers(both, true))).toEqual(["f16 16x16x16", "f32 8x8x8"]);
    expect(kinds(offers(both, false))).toEqual(["f32 8x8x8"]);
    // Its values are too small to be stored in halves.
    expect(kinds(offers(both, true, odd))).toEqual(["f32 8x8x8"]);
    for (const less of [{ lanes: 128 }, { maxShared: 256 }, { maxInvocations: 16 }, { matrices: undefined }]) expect(offers({ ...both, ...less }, true)).toEqual([]);
    expect(offers(withUnits(32, unit("f16", 16, 16, 16)), false)).toEqual([]);
  });

  const large = ofText("network Net(a: [N, C, *S], w: [O, C, *K]) { out y = tanh(conv(exp(a), w, pad = 1)) }", [[1, 64, 32, 32, 32], [64, 64, 3, 3, 3]]);

  it("is led by them where products of halves are many, and never for singles", () => {
    const led = (all: readonly (readonly string[])[]): readonly boolean[] => all.map((o) => wanted(o[0] ?? ""));
    expect(led(offers(both, true, large))).toContain(true);
    expect(led(offers(both, false, large))).not.toContain(true);
    // A few channels and voxels: memory and starting take longer than products.
    expect(led(offers(both, true))).not.toContain(true);
  });

  it.each([6144, 12288, 16384])("stays within workgroup memory: %i bytes", (maxShared) => {
    const taken = [0, 1, 2, 3].flatMap((place) => contracted(large, { ...both, maxShared }, place, { wanted, half: true }).loops.flatMap((l) =>
      (l.team?.subgroup ? [l.team.staged.reduce((n, s) => n + s.fours * (s.single === "f16" ? 8 : 16), 0)] : [])));
    expect(Math.max(...taken)).toBeLessThanOrEqual(maxShared);
    expect(Math.max(...taken)).toBeGreaterThan(maxShared / 2);
  });
});

describe("the texts of matrix units", () => {
  // Dawn's adapter that computes nothing knows every feature. Devices do not keep their instance alive.
  const instance = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  let judge: GPUDevice;
  beforeAll(async () => {
    const adapter = await instance.requestAdapter();
    if (!adapter) throw new Error("no null adapter");
    judge = await adapter.requestDevice({ requiredFeatures: [matrixFeature, "shader-f16", "subgroups"] });
  });
  afterAll(() => judge?.destroy());

  it.each([unit("f16", 8, 8, 8), unit("f16", 16, 16, 16), unit("f32", 8, 8, 8), unit("f16", 16, 8, 16)])("are taken by Tint: $component $m x $n x $k", async (one) => {
    for (const [ranges, place] of [[false, 0], [true, 1], [false, 2], [true, 3]] as const) {
      const { plan, blocks } = contracted(layer, { ...withUnits(128, one), maxShared: 16384, ranges, opaque: !ranges }, place, { wanted, half: true });
      const texts = plan.shaders.map((s) => s.wgsl).filter((t) => t.includes("subgroup_matrix"));
      expect([texts.length, blocks.length]).toEqual([2, 2]);
      for (const code of texts) {
        judge.pushErrorScope("validation");
        const module = judge.createShaderModule({ code });
        const told = await module.getCompilationInfo();
        // Beyond the text: workgroup memory, and teams of whole subgroups, which have up to 128 invocations here.
        judge.createComputePipeline({ layout: "auto", compute: { module } });
        expect((await judge.popErrorScope())?.message).toBeUndefined();
        expect(told.messages.map((m) => m.message)).toEqual([]);
      }
    }
  });

  it("are not believed where they multiply nothing", async () => {
    // What is judged here is never run.
    expect(await provenUnits(judge, [unit("f16", 8, 8, 8), unit("f32", 8, 8, 8)], 128)).toEqual([]);
  });
});

describe("an adapter's matrix units", () => {
  const listed = (features: readonly string[], configs: unknown): readonly MatrixUnit[] =>
    unitsOf({ features: new Set(features), info: { subgroupMatrixConfigs: configs } } as unknown as GPUAdapter);
  const config = (componentType: string, resultComponentType: string, K = 16): unknown => ({ componentType, resultComponentType, M: 16, N: 8, K });

  it("are those whose sums are singles, of halves where shaders know halves", () => {
    const all = [config("f16", "f16"), config("f16", "f32"), config("f32", "f32", 4), config("i8", "i32")];
    expect(listed([matrixFeature, "shader-f16"], all)).toEqual([unit("f16", 16, 8, 16), unit("f32", 16, 8, 4)]);
    expect(listed([matrixFeature], all)).toEqual([unit("f32", 16, 8, 4)]);
    expect(listed(["shader-f16"], all)).toEqual([]);
    expect(listed([matrixFeature], undefined)).toEqual([]);
  });
});

describe("matrix units on the device", () => {
  let device: Device;
  let lacks = false;
  beforeAll(async () => {
    device = await openDevice();
    lacks = device.profile.matrices === undefined;
    if (lacks) console.warn(`skipped: ${device.name} has no matrix units that multiply as they should`);
  });
  afterAll(() => device?.close());

  it.for([0, 1, 2, 3])("give what the loops give, with all that they round: block %i", { timeout: 120_000 }, async (place, { skip }) => {
    if (lacks) skip();
    const made = contracted(layer, device.profile, place, { wanted, half: device.profile.half });
    expect(made.blocks.length).toBe(2);
    const session = await Session.create(device, made.plan);
    for (const [t, v] of valuesOf(layer)) session.write(t.name, Float32Array.from(v));
    session.poison();
    await session.run();
    for (const [name, v] of executed(layer, made)) expect(distance(v, await session.read(name)), name).toBeLessThan(single);
    session.destroy();
  });
});
