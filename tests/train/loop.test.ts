// The loop gives the device the next step while the loss of the last one comes back, and stands still where somebody looks at the weights.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Port } from "../../compiler/plan/plan.ts";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { indexed } from "../../runtime/data/patches.ts";
import type { Session } from "../../runtime/session.ts";
import { trainLoop } from "../../runtime/train/loop.ts";
import { madeCase } from "./made.ts";

const cases = [1, 2].map((n) => indexed(madeCase(`case_${n}`, (at) => at * n)));
const sampling = { seed: 3, batch: 2, patch: [2, 4, 2] } as const;
const port = (name: string, samples: number): Port => ({ name, shape: [samples, 1, 2, 4, 2], slice: { buffer: 0, offset: 0, bytes: samples * 16 * 4 } });

let events: string[];
let now: number;
const { now: clock } = performance;
beforeEach(() => {
  events = [];
  now = 0;
  performance.now = () => now;
});
afterEach(() => {
  performance.now = clock;
});

interface How {
  readonly parts?: number;
  readonly total?: number;
  /** How long a step takes, in milliseconds. */
  readonly takes?: number;
  readonly lossOf?: (part: number) => number;
  readonly pauses?: (step: number) => boolean;
  readonly interrupted?: () => boolean;
}

/** Runs the loop on a device that is done with a part some turns after it was given it; `events` tells in which order what was done. */
async function looped({ parts = 1, total = 5, takes = 1, lossOf = (part) => part, pauses = () => false, interrupted = () => false }: How): Promise<number> {
  let given = 0;
  const session = {
    plan: { inputs: [port("image", 2 / parts), port("label", 2 / parts)], outputs: [port("loss", 1)], uniforms: [] },
    write: () => undefined,
    run: ({ update }: { readonly update: boolean }) => Promise.resolve(void events.push(`run ${++given}${update ? "" : " without update"}`)),
    readMany: async () => {
      const part = given;
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      now += takes;
      events.push(`back ${part}`);
      return new Map([["loss", Float32Array.of(lossOf(part))]]);
    },
  };
  return trainLoop({
    session: session as unknown as Session, cases, sampling, length: { total, steps: total, epochs: 1 }, from: 0, pauses, interrupted,
    onStep: ({ step, loss }) => void events.push(`step ${step} ${loss}`),
    afterStep: (step) => Promise.resolve(void (pauses(step) && events.push(`after ${step}`))),
  });
}

describe("a training loop", () => {
  it("begins the next step before the last one is told of, once it knows that steps are short", async () => {
    expect(await looped({ total: 4 })).toBe(4);
    expect(events).toEqual(["run 1", "back 1", "step 1 1", "run 2", "run 3", "back 2", "step 2 2", "run 4", "back 3", "step 3 3", "back 4", "step 4 4"]);
    events = [];
    await looped({ total: 3, takes: 2000 });
    expect(events).toEqual([1, 2, 3].flatMap((n) => [`run ${n}`, `back ${n}`, `step ${n} ${n}`]));
  });

  it("ends all that is under way before somebody looks at the weights", async () => {
    await looped({ pauses: (step) => step === 3 });
    expect(events.filter((event) => !event.startsWith("step"))).toEqual(["run 1", "back 1", "run 2", "run 3", "back 2", "back 3", "after 3", "run 4", "run 5", "back 4", "back 5"]);
  });

  it("ends at a loss that is no number, and tells of nothing behind it", async () => {
    const thrown: unknown = await looped({ lossOf: (part) => (part === 3 ? Number.NaN : 1), pauses: (step) => step === 5 }).catch((error: unknown) => error);
    expect(thrown instanceof Fault && thrown.findings.map(({ code, headline }) => [code, headline])).toEqual([["N1061", "the loss is NaN at step 3"]]);
    // The step that was under way has ended, so that the session can be used.
    expect(events).toEqual(["run 1", "back 1", "step 1 1", "run 2", "run 3", "back 2", "step 2 1", "run 4", "back 3", "back 4"]);
  });

  it("ends and tells what was begun when it is stopped", async () => {
    expect(await looped({ interrupted: () => events.includes("step 2 2") })).toBe(3);
    expect(events.slice(-2)).toEqual(["back 3", "step 3 3"]);
  });

  it("takes the mean over the parts of a step, all of which are given at once", async () => {
    await looped({ parts: 2, total: 2, takes: 2000 });
    expect(events.slice(0, 5)).toEqual(["run 1 without update", "run 2", "back 1", "back 2", "step 1 1.5"]);
  });
});
