// Sums of products staged in workgroup memory against the interpreter: at sizes that no block divides, forwards and backwards.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { printLoops } from "../../compiler/kernels/loops.ts";
import { compileDefinitions } from "../../compiler/pipeline.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { allCases } from "./cases.ts";
import { awkward, compareLoops, contracted, even, expected, isContract, odd, ofCase } from "./contractions.ts";
import { distance, valuesOf } from "./subjects.ts";

describe("contractions", () => {
  it("give what the interpreter gives: every case", () => {
    const blocks = allCases().map((c, i) => compareLoops(ofCase(c), [i % 4], false, leastProfile));
    expect(blocks.filter((b) => b.length > 0).length).toBeGreaterThan(10);
    expect(new Set(blocks.flat()).size).toBeGreaterThan(3);
  });

  it("give what the interpreter gives: tests, views, several factors and results", () => {
    const subject = awkward();
    expect(compareLoops(subject, [0, 1, 2, 3], false, leastProfile).length).toBeGreaterThan(4);
    const { loops } = contracted(subject, leastProfile, 0);
    // What both have in common is staged once.
    expect(loops.filter((l) => l.team && l.writes.some((t) => t.name.startsWith("y"))).map((l) => l.team?.staged.map((t) => t.name))).toEqual([["left0", "right0", "right1"]]);
  });

  it.each([["odd", odd, [0, 2]], ["even", even, [1, 3]]] as const)("give what the interpreter gives: convolutions, linear maps and attention at %s sizes", (_, subject, places) => {
    expect(new Set(compareLoops(subject, places, true, leastProfile)).size).toBeGreaterThan(2);
  });

  it("are offered, but not taken unasked, to cards alone, as far as their workgroup memory goes", () => {
    const { inputs, outputs } = even;
    const offers = (profile: Profile): readonly (readonly string[])[] => {
      const all: (readonly string[])[] = [];
      compileDefinitions("offers", inputs, outputs, { ...profile, choose: (_, offered) => void all.push(offered) });
      return all;
    };
    const card = offers(leastProfile).filter((o) => o.some(isContract));
    expect(card.length).toBeGreaterThan(10);
    for (const o of card) expect(isContract(o[0] as string)).toBe(false);
    for (const less of [{ lanes: 128 }, { maxShared: 256 }, { maxInvocations: 8 }]) expect(offers({ ...leastProfile, ...less }).flat().filter(isContract)).toEqual([]);
  });

  it("share what they stage behind barriers that all of a team come by", () => {
    const made = contracted(even, leastProfile, 0);
    const loops = made.loops.filter((l) => l.team);
    expect(loops.length).toBeGreaterThan(10);
    for (const l of loops) expect(printLoops(l)).toMatch(/in teams of \d+\n[^]*left0\[4 at [^]*barrier[^]*= left0\[4 at/);
    const { wgsl } = made.plan.shaders.find((s) => s.wgsl.includes("var<workgroup>")) ?? { wgsl: "" };
    expect(wgsl).toContain("workgroupBarrier();");
    // Who left before a barrier would be waited for: only whole teams leave.
    expect(wgsl).not.toContain("global_invocation_id");
  });
});

describe("contractions on the device", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device?.close());

  it.each([["odd", odd, false], ["even", even, true]] as const)("give what the interpreter gives at %s sizes", async (_, subject, ranges) => {
    const values = valuesOf(subject);
    const { plan } = contracted(subject, { ...device.profile, ranges, opaque: ranges }, 0);
    const session = await Session.create(device, plan, ranges ? { longest: 0.001 } : {});
    try {
      for (const [t, v] of values) session.write(t.name, Float32Array.from(v));
      session.poison();
      await session.run();
      for (const [name, v] of expected(subject, true)) expect(distance(v, await session.read(name)), name).toBeLessThan(2e-5);
    } finally {
      session.destroy();
    }
  });
});
