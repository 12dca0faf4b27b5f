// What is advised where a step does not fit.

import { describe, expect, it } from "vitest";
import { advised, type Size } from "../../cli/fitting.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Device } from "../../runtime/device.ts";

const device = { room: 1000, gpu: { limits: { maxBufferSize: 1000 } } } as unknown as Device;
const given = { patch: [32, 32, 16], batch: 12, accumulate: 2 };
const elements = ({ patch, accumulate }: Size): number => (given.batch / accumulate) * patch.reduce((a, b) => a * b, 1);

/** The facts of a refusal where a step takes `bytes` of a size. */
function facts(code: "N0909" | "N1061", bytes: (size: Size) => number, tried: Size[] = []): readonly string[] {
  const thrown = new Fault(diagnostic(code, "too much", { facts: ["first"] }));
  const plan = (size: Size): Plan => {
    tried.push(size);
    if (bytes(size) > 5000) throw thrown;
    return { bytes: bytes(size), buffers: [] } as unknown as Plan;
  };
  const told = advised(thrown, given, device, plan, () => undefined);
  if (!(told instanceof Fault)) throw new Error("no finding");
  return told.findings.flatMap((one) => one.facts);
}

describe("advice", () => {
  it("names the fewest parts and the largest patch that fit", () => {
    // Three patches of the whole size fit, or six of half as many voxels.
    const limit = 3 * 32 * 32 * 16;
    const tried: Size[] = [];
    expect(facts("N0909", (size) => (1000 * elements(size)) / limit, tried)).toEqual([
      "first", "The same batch in 4 parts, one after the other, fits: `--set accumulate=4`.", "Of smaller patches, 16 x 16 x 16 fits: `--patch 16,16,16`.",
    ]);
    expect(tried.some(({ accumulate }) => accumulate <= 2 && accumulate !== given.accumulate)).toBe(false);
  });

  it("says where nothing helps, and nothing of other findings", () => {
    expect(facts("N0909", () => 2000)).toEqual(["first", "Neither one patch at a time nor the smaller patches that were tried would fit."]);
    expect(facts("N1061", () => 1)).toEqual(["first"]);
  });
});
