// Tuning: what is offered runs and gives the same results, what is found is kept and used, and a broken file does no harm.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { search } from "../../cli/tune/search.ts";
import type { TrainingGraph } from "../../compiler/ir/graph.ts";
import { compileGradients, compileTraining } from "../../compiler/pipeline.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { choosing, forgetFindings, readFindings, tunedPath, writeFindings } from "../../runtime/tuned.ts";
import { noise } from "../compiler/noise.ts";
import { trainingOf } from "../front/library.ts";

const text = `
network Two(image: [N, M, *S], classes: int) {
  out logits = image |> Conv(8, 3) |> InstanceNorm |> gelu |> Conv(classes)
}
train for Two(classes = 4) {
  patch = [6, 10, 12]
  batch = 1
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
}`;

const training = (): TrainingGraph => trainingOf(text);

const feed = (session: Session): void => {
  for (const { name, slice } of session.plan.inputs) session.write(name, Float32Array.from(noise(slice.bytes / 4, 3), (v) => (name === "label" ? Number(v > 0) : v)));
};

describe("findings", () => {
  const folder = mkdtempSync(join(tmpdir(), "netc-tuned-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  it("are kept by adapter, and what cannot be read is as good as nothing", () => {
    const path = tunedPath("card, driver 1", folder);
    expect(tunedPath("card, driver 2", folder)).not.toBe(path);
    expect(readFindings(path).size).toBe(0);
    const found = new Map([["launch", { choice: "tile 4@1 written  fours 2", time: 1, before: 2, tried: 5 }]]);
    writeFindings(path, "card, driver 1", found);
    expect(readFindings(path)).toEqual(found);
    expect(choosing(readFindings(path))("launch", [])).toBe("tile 4@1 written  fours 2");
    writeFileSync(path, '{"launches": {"a": {"choice": 3}, "b": ');
    expect(readFindings(path).size).toBe(0);
    expect(forgetFindings(path)).toBe(true);
    expect(forgetFindings(path)).toBe(false);
  });

  it("that the compiler does not offer are left out", () => {
    const own = compileTraining(training(), leastProfile).plan.shaders.map((s) => s.wgsl);
    const other = compileTraining(training(), { ...leastProfile, choose: () => "tile 512@9" }).plan.shaders.map((s) => s.wgsl);
    expect(other).toEqual(own);
  });

  it("have the same names in every run of the compiler", () => {
    const keys = (): readonly string[] => compileTraining(training(), leastProfile).kernels.map((k) => k.key);
    expect(keys()).toEqual(keys());
  });
});

describe("on a device", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice({ untuned: true });
  });
  afterAll(() => device.close());

  it("every schedule that is offered gives the same gradients", async () => {
    const run = async (place: number): Promise<ReadonlyMap<string, Float32Array>> => {
      const { plan } = compileGradients(training(), { ...device.profile, lanes: 4, choose: (_, offered) => offered[place] });
      const session = await Session.create(device, plan);
      try {
        await session.initialise(5);
        session.poison();
        feed(session);
        await session.run();
        const made = new Map<string, Float32Array>();
        for (const { name } of plan.outputs) made.set(name, await session.read(name));
        return made;
      } finally {
        session.destroy();
      }
    };
    const own = await run(0);
    for (const place of [1, 3, 6, 9]) {
      const made = await run(place);
      for (const [name, values] of own) {
        const size = Math.sqrt(values.reduce((n, v) => n + v * v, 0) / values.length);
        values.forEach((v, i) => expect(Math.abs(v - (made.get(name)?.[i] ?? NaN)), `${name} ${i} of choice ${place}`).toBeLessThan(1e-4 * size + 1e-6));
      }
    }
  });

  it("a search times one place of the offer after the other, finds only what is offered, and ends when told", async () => {
    const offers = new Map<string, readonly string[]>();
    const taken = new Set<number>();
    let asked = 0;
    const made = training();
    const found = await search(device, {
      compile: (choose) => compileTraining(made, { ...device.profile, apart: true, choose: (launch, offered) => {
        offers.set(launch, offered);
        const choice = choose(launch, offered);
        if (choice !== undefined) taken.add(offered.indexOf(choice));
        return choice;
      } }),
      feed,
    }, { until: Infinity, tell: () => undefined, interrupted: () => ++asked > 2 });
    expect(found?.rounds).toBe(3);
    expect([1, 2].every((place) => taken.has(place))).toBe(true);
    expect(taken.has(-1)).toBe(false);
    expect(found?.after).toBeLessThanOrEqual(found?.before ?? 0);
    for (const [launch, { choice, time, before }] of found?.findings ?? []) {
      expect(offers.get(launch)?.slice(1)).toContain(choice);
      expect(time).toBeLessThan(before);
    }
  });
});
