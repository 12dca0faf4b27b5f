// Steps in parts do what whole ones do, and what is frozen stays as it is.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inferenceRun, loadFile, trainingRun } from "../../cli/compile.ts";
import { compile, compileTraining } from "../../compiler/pipeline.ts";
import { indexed } from "../../runtime/data/patches.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { checkpointPath, hasCheckpoint, loadCheckpoint, type Which } from "../../runtime/train/checkpoint.ts";
import { isStep, isValidation, readLog } from "../../runtime/train/log.ts";
import { gather } from "../../runtime/train/state.ts";
import { Trainer } from "../../runtime/train/trainer.ts";
import type { ValidationSetup } from "../../runtime/train/validate.ts";
import { madeCase } from "./made.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "netc-parts-"));
});
afterAll(() => {
  device?.close();
  rmSync(folder, { recursive: true, force: true });
});

const cases = [1, 2, 3, 4, 5].map((n) => indexed(madeCase(`case_${n}`, (at) => ((at * n * 7) % 11) / 11)));

const text = loadFile(join(import.meta.dirname, "nets", "parts.net"));

async function sessionOf(run: string, accumulate = 1): Promise<Session> {
  const { training } = trainingRun(text, run, { channels: 1, classes: 2, set: { accumulate: String(accumulate) } });
  return Session.create(device, compileTraining(training, device.profile).plan);
}

const sampling = { seed: 5, batch: 4, patch: [4, 4, 4] } as const;

interface How {
  /** The steps that are begun before somebody stops the run. */
  readonly until?: number;
  /** Whether it goes on from its checkpoint. */
  readonly goOn?: boolean;
  readonly validation?: ValidationSetup;
  /** Sees every state. */
  readonly watch?: (text: string) => boolean;
}

/** Trains `session` into a folder; what it has learned then. */
async function train(session: Session, name: string, { until = Infinity, goOn = false, validation, watch }: How = {}): Promise<ReadonlyMap<string, Float32Array>> {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  let stopped = false;
  const trainer: Trainer = new Trainer({
    session, validation, cases, sampling, length: { total: 4, steps: 2, epochs: 2 }, folder: own,
    validateEvery: 4, saveEvery: 4, classes: ["rest", "thing"], meta: {}, teller: { update: (state) => { stopped ||= watch?.(state) === true; }, log: () => undefined },
  });
  if (goOn) trainer.resume(checkpointPath(own, "latest"), loadCheckpoint(own, "latest"));
  else await trainer.begin(1, undefined);
  let asked = 0;
  await trainer.run(() => stopped || asked++ >= until);
  return new Map([...loadCheckpoint(own, "latest").tensors].map(([path, { data }]) => [path, data]));
}

const lossesOf = (name: string): readonly number[] => readLog(join(folder, name)).filter(isStep).map(({ loss }) => loss);

function expectNear(found: Float32Array | undefined, wanted: Float32Array, what: string): void {
  wanted.forEach((value, at) => expect(Math.abs((found?.[at] ?? Number.NaN) - value), `${what}[${at}]`).toBeLessThan(2e-6 * Math.max(1, Math.abs(value))));
}

describe("a batch in parts", () => {
  it("makes the step of the whole batch, clipped by the whole gradient, and goes on to the bit", async () => {
    const [whole, parted] = await Promise.all([sessionOf("plain"), sessionOf("plain", 4)]);
    expect(parted.plan.inputs.map(({ shape }) => shape[0])).toEqual([1, 1]);
    const wanted = await train(whole, "whole");
    const found = await train(parted, "parted");
    expect([...found.keys()]).toEqual([...wanted.keys()]);
    for (const [path, values] of wanted) expectNear(found.get(path), values, path);
    lossesOf("whole").forEach((loss, at) => expect(lossesOf("parted")[at]).toBeCloseTo(loss, 6));
    expect(new Set(lossesOf("whole")).size).toBe(4);

    await train(parted, "stopped", { until: 1 });
    expect(loadCheckpoint(join(folder, "stopped"), "latest").meta["step"]).toBe(1);
    expect(await train(parted, "stopped", { goOn: true })).toEqual(found);
    expect(lossesOf("stopped")).toEqual(lossesOf("parted"));
    whole.destroy();
    parted.destroy();
  });

  it("changes weights in its last part alone", async () => {
    const session = await sessionOf("plain", 4);
    await session.initialise(1);
    const path = "head.weight";
    const before = await session.readWeights(path);
    for (const { name, slice } of session.plan.inputs) session.write(name, new Float32Array(slice.bytes / 4).fill(1));
    await session.run({ update: false });
    expect(await session.readWeights(path)).toEqual(before);
    await session.run();
    expect(await session.readWeights(path)).not.toEqual(before);
    session.destroy();
  });
});

describe("a validation", () => {
  it("can be stopped in its middle; the run that goes on does it first", async () => {
    const session = await sessionOf("plain", 4);
    const { graph } = inferenceRun(text, "plain", { channels: 1, classes: 2, batch: 1 });
    const watching = await Session.create(device, compile(graph, device.profile).plan);
    const [output] = watching.plan.outputs;
    if (output === undefined) throw new Error("no output");
    const validation: ValidationSetup = { session: watching, output, cases, classes: 2, sampling: { ...sampling, seed: 9 }, batches: 2 };
    await train(session, "validated", { validation });
    const metaOf = (name: string, which: Which): unknown => loadCheckpoint(join(folder, name), which).meta;

    const seen: string[] = [];
    await train(session, "halfway", { validation, watch: (state) => state.includes("validating") && seen.push(state) === 3 });
    // Two batches in four parts each.
    expect(seen).toHaveLength(3);
    expect(metaOf("halfway", "latest")).toMatchObject({ step: 4, validated: 3, score: null });
    expect(hasCheckpoint(join(folder, "halfway"), "final")).toBe(false);
    expect(readLog(join(folder, "halfway")).filter(isValidation)).toEqual([]);

    await train(session, "halfway", { validation, goOn: true });
    expect(metaOf("validated", "final")).toMatchObject({ step: 4, validated: 4, score: expect.any(Number) as number });
    for (const which of ["latest", "best", "final"] as const) expect(metaOf("halfway", which)).toEqual(metaOf("validated", which));
    expect(readLog(join(folder, "halfway")).filter(isValidation)).toHaveLength(1);
    session.destroy();
    watching.destroy();
  });
});

describe("what is frozen", () => {
  it("keeps its value and has no memory, and the rest learns as before", async () => {
    const [all, head] = await Promise.all([sessionOf("two"), sessionOf("head")]);
    await head.initialise(1);
    const first = new Map([...(await gather(head))].map(([path, { data }]) => [path, data]));
    const found = await train(head, "head", { until: 1 });
    const wanted = await train(all, "all", { until: 1 });
    const own = [...first.keys()].filter((path) => path.startsWith("stem.") || path.startsWith("seen."));
    expect(own).toEqual(["stem.weight", "stem.offset", "seen.BatchNorm.gain", "seen.BatchNorm.bias", "seen.BatchNorm.seen_mu", "seen.BatchNorm.seen_var"]);
    for (const path of own) {
      expect(found.get(path), path).toEqual(first.get(path));
      expect(wanted.get(path), path).not.toEqual(first.get(path));
    }
    // What reaches the head in the first step is the same in both.
    for (const path of ["head.weight", "head.offset", "memory/v/head.weight"]) expectNear(found.get(path), wanted.get(path) ?? new Float32Array(), path);
    expect(found.get("head.weight")).not.toEqual(first.get("head.weight"));
    expect([...found.keys()].filter((path) => path.startsWith("memory/")).sort()).toEqual(["memory/v/head.offset", "memory/v/head.weight"]);
    all.destroy();
    head.destroy();
  });
});
