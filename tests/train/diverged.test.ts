// A run that stops being numbers says where: the first tensor, its line, and the case that brought it.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadFile, trainingRun } from "../../cli/compile.ts";
import { writtenIn } from "../../cli/written-in.ts";
import { compileTraining } from "../../compiler/pipeline.ts";
import { Fault } from "../../compiler/report/diagnostic.ts";
import type { Case } from "../../runtime/data/case.ts";
import { choosePatch, indexed } from "../../runtime/data/patches.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { hasCheckpoint, loadCheckpoint } from "../../runtime/train/checkpoint.ts";
import { isStep, readLog } from "../../runtime/train/log.ts";
import { Trainer } from "../../runtime/train/trainer.ts";
import { madeCase } from "./made.ts";

const root = join(import.meta.dirname, "..", "..");
let device: Device;
let session: Session;
/** The same step, worked through patch by patch. */
let parted: Session;
let within: ReturnType<typeof writtenIn>;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "netc-diverged-"));
  device = await openDevice();
  const text = loadFile(join(root, "tests", "train", "nets", "run.net"));
  const { training } = trainingRun(text, "fragile", { channels: 1, classes: 2 });
  const { plan, launches } = compileTraining(training, device.profile);
  within = writtenIn(launches);
  session = await Session.create(device, plan);
  const parts = trainingRun(text, "fragile", { channels: 1, classes: 2, set: { accumulate: "2" } }).training;
  parted = await Session.create(device, compileTraining(parts, device.profile).plan);
});
afterAll(() => {
  session?.destroy();
  parted?.destroy();
  device?.close();
  rmSync(folder, { recursive: true, force: true });
});

const sampling = { seed: 5, batch: 2, patch: [4, 4, 4] } as const;

/** Trains until it breaks; what is said then. */
async function broken(name: string, cases: readonly Case[], saveEvery: number, on = session): Promise<{ readonly step: number; readonly said: string }> {
  const own = join(folder, name);
  mkdirSync(own);
  const trainer = new Trainer({
    session: on, validation: undefined, cases: cases.map((one) => indexed(one)), sampling, length: { total: 40, steps: 40, epochs: 1 }, folder: own,
    validateEvery: 0, saveEvery, within, classes: ["rest", "thing"], meta: {}, teller: { update: () => undefined, log: () => undefined },
  });
  await trainer.begin(1, undefined);
  const thrown = await trainer.run(() => false).then(() => undefined, (error: unknown) => error);
  if (!(thrown instanceof Fault)) throw new Error(`nothing was told: ${String(thrown)}`);
  expect(thrown.findings.map(({ code }) => code)).toEqual(["N1061"]);
  return { step: trainer.step, said: thrown.findings.flatMap(({ headline, facts }) => [headline, ...facts]).join("\n") };
}

const even = (n: number): Case => madeCase(`even_${n}`, (at) => (at % 7) / 7);
const steep = madeCase("steep", (at) => (at === 21 ? 5 : 0.5));

describe("a value that is no number", () => {
  it("is found where it first is, with its line and its case", async () => {
    // Of many cases one is too steep; it comes in some step, beside another.
    const cases = [even(1), even(2), even(3), even(4), even(5), steep];
    const meets = (step: number): boolean => [0, 1].some((sample) => choosePatch(cases.map((one) => indexed(one)), sampling, step, sample).from === 5);
    const first = Array.from({ length: 40 }, (_, step) => step).find(meets) ?? -1;
    expect(first).toBeGreaterThan(0);
    const { step, said } = await broken("case", cases, 1);
    expect(step).toBe(first);
    expect(said).toContain(`the loss is NaN at step ${first + 1}`);
    expect(said).toMatch(new RegExp(`The first is a NaN in .* of step ${first + 1}: `));
    // The root that there is none of, stored or within what is.
    expect(said).toMatch(/dipped\S*, \S*run\.net:\d+:\d+/);
    expect(said).toContain("It comes with the patch of steep alone; the batch was ");
    // What was good stays, and the log ends with the last good step.
    expect(loadCheckpoint(join(folder, "case"), "latest").meta["step"]).toBe(first);
    expect(readLog(join(folder, "case")).filter(isStep)).toHaveLength(first);
  });

  it("is found by steps from the beginning, where nothing was saved", async () => {
    const { step, said } = await broken("unsaved", [even(1), even(2), even(3), steep], 1000);
    expect(step).toBeGreaterThan(0);
    expect(hasCheckpoint(join(folder, "unsaved"), "latest")).toBe(false);
    expect(said).toContain("It comes with the patch of steep alone");
  });

  it("is found in the part of a batch that it came with", async () => {
    const { step, said } = await broken("parts", [even(1), even(2), even(3), steep], 1, parted);
    expect(said).toMatch(new RegExp(`The first is a NaN in .* of step ${step + 1}: `));
    expect(said).toContain("The batch was steep.");
    expect(loadCheckpoint(join(folder, "parts"), "latest").meta["step"]).toBe(step);
  });

  it("in an image is told of as such", async () => {
    const { said } = await broken("image", [madeCase("hollow", () => Number.NaN)], 1000);
    expect(said).toContain("The image of hollow has values that are no numbers.");
  });
});
