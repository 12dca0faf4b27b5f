// The parts of training that need no device: progress texts, splits, logs, dials, interrupts.

import { EventEmitter } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Port } from "../../compiler/plan/plan.ts";
import { fillBatch, indexed } from "../../runtime/data/patches.ts";
import { decide } from "../../runtime/infer/decide.ts";
import type { Session } from "../../runtime/session.ts";
import { Feed } from "../../runtime/train/feed.ts";
import { splitCases } from "../../runtime/train/hold-out.ts";
import { Interrupt } from "../../runtime/train/interrupt.ts";
import { logPath, readLog, RunLog } from "../../runtime/train/log.ts";
import { dialsAt } from "../../runtime/train/loop.ts";
import { durationText, progressLine, Smoothed } from "../../runtime/train/progress.ts";
import { runningScore, validationSeed } from "../../runtime/train/validate.ts";
import { madeCase } from "./made.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-pieces-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("progress", () => {
  it("tells times with two digits", () => {
    expect([0.035, 0.9999, 1.94, 9.99, 61, 100, 3600, 12_000, 400_000].map(durationText)).toEqual(["35 ms", "1.0 s", "1.9 s", "10 s", "61 s", "2 min", "1 h", "3 h 20 min", "5 days"]);
  });

  it("tells what is left, and nothing of it at the end", () => {
    const scores = [{ name: "bone", dice: 0.5 }, { name: "liver", dice: null }];
    expect(progressLine({ step: 10, total: 40, loss: 0.51234, scores, secondsPerStep: 2 })).toBe("step 10/40  loss 0.5123  bone 0.500  liver n/a  2.0 s/step  60 s left");
    expect(progressLine({ step: 40, total: 40, loss: 1, scores: [], secondsPerStep: 2 })).toBe("step 40/40  loss 1.0000  2.0 s/step");
    expect(progressLine({ step: 0, total: 40, loss: undefined, scores: [], secondsPerStep: undefined })).toBe("step 0/40");
  });

  it("smooths without a bias to zero at the beginning", () => {
    const loss = new Smoothed(0.9);
    expect(loss.value).toBeUndefined();
    loss.add(3);
    expect(loss.value).toBeCloseTo(3, 12);
    loss.add(1);
    expect(loss.value).toBeCloseTo((0.9 * 3 + 1) / 1.9, 12);
  });
});

describe("held-out cases", () => {
  const names = Array.from({ length: 12 }, (_, n) => `case_${n}`);

  it("are a fifth of ten or more, none of fewer, and never all", () => {
    expect(splitCases(names, undefined, 0).heldOut).toHaveLength(2);
    expect(splitCases(names.slice(0, 9), undefined, 0).heldOut).toEqual([]);
    expect(splitCases(names.slice(0, 2), 5, 0).training).toHaveLength(1);
    expect(splitCases(names, 0, 0).heldOut).toEqual([]);
  });

  it("depend on the seed alone, and share no case with those for training", () => {
    const { training, heldOut } = splitCases(names, 4, 7);
    expect(splitCases(names, 4, 7).heldOut).toEqual(heldOut);
    expect([...training, ...heldOut].sort()).toEqual([...names].sort());
    const others = Array.from({ length: 10 }, (_, seed) => splitCases(names, 4, seed).heldOut.join());
    expect(new Set(others).size).toBeGreaterThan(5);
  });
});

describe("the log", () => {
  const step = (n: number) => ({ step: n, loss: 1 / n, seconds: 0.1 });

  it("grows by lines and loses those after a step, broken ones too", () => {
    const own = join(folder, "log");
    const log = new RunLog(own, -1);
    for (const n of [1, 2]) log.add(step(n));
    log.add({ step: 2, dice: { bone: 0.5, liver: null }, mean: 0.5, score: 0.5, seconds: 1 });
    log.add(step(3));
    const text = readFileSync(logPath(own), "utf8");
    const kept = readLog(own).slice(0, 3);
    expect(kept[0]).toMatchObject(step(1));
    writeFileSync(logPath(own), `${text}{"step":4,"lo`);
    expect(readLog(own)).toHaveLength(4);
    new RunLog(own, 2);
    expect(readLog(own)).toEqual(kept);
    expect(text.startsWith(readFileSync(logPath(own), "utf8"))).toBe(true);
  });

  it("says N1007 where it cannot be written", () => {
    const own = join(folder, "lost");
    const log = new RunLog(own, -1);
    rmSync(own, { recursive: true });
    expect(() => log.add(step(1))).toThrow(/N1007/);
  });
});

describe("dials", () => {
  it("count steps done and whole epochs", () => {
    const length = { total: 100, steps: 10, epochs: 10 };
    expect(dialsAt(25, length, 3)).toEqual({ step: 25, epoch: 2, epochs: 10, steps: 10, draw_step: 25, draw_seed: 3, "gradient/part": 0 });
    // Each part of a step draws by itself.
    expect(dialsAt(25, length, 3, { part: 2, parts: 4 })).toEqual({ step: 25, epoch: 2, epochs: 10, steps: 10, draw_step: 102, draw_seed: 3, "gradient/part": 2 });
  });
});

describe("a feed", () => {
  const cases = [1, 2, 3].map((n) => indexed(madeCase(`case_${n}`, (at) => at * n)));
  const sampling = { seed: 3, batch: 4, patch: [2, 4, 2] } as const;
  const port = (name: string): Port => ({ name, shape: [2, 1, 2, 4, 2], slice: { buffer: 0, offset: 0, bytes: 2 * 16 * 4 } });

  function fed(): { readonly feed: Feed; readonly given: Map<string, number[]> } {
    const given = new Map<string, number[]>();
    const session = { plan: { inputs: [port("image"), port("label")] }, write: (name: string, values: Float32Array) => void given.set(name, [...values]) };
    return { feed: new Feed(session as unknown as Session, cases, sampling), given };
  }

  it("gives each part its samples of the whole batch, prepared or not", async () => {
    const { feed, given } = fed();
    expect(feed.parts).toBe(2);
    for (const [part, prepared] of [[5, 5], [5, undefined], [4, 7]] as const) {
      const [images, labels] = [new Float32Array(64), new Float32Array(64)];
      const draws = fillBatch(cases, sampling, 2, images, labels);
      if (prepared !== undefined) feed.prepare(prepared);
      if (prepared === 7) await feed.close();
      await feed.give(part);
      const from = (part % 2) * 32;
      expect(given.get("image")).toEqual([...images.subarray(from, from + 32)]);
      expect(given.get("label")).toEqual([...labels.subarray(from, from + 32)]);
      expect(feed.given.draws).toEqual(draws.slice((part % 2) * 2, (part % 2) * 2 + 2));
    }
  });

  it("has sent what is prepared before it is wanted, and tells what the making of a sample may have hidden", async () => {
    const { feed, given } = fed();
    feed.prepare(0);
    await feed.close();
    expect([...given.keys()]).toEqual(["image", "label"]);
    given.clear();
    await feed.give(0);
    expect(given.size).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(feed.unseen()).toBe(0);
    // On a busy machine the moment after it may be long.
    let hidden = 0;
    for (let part = 1; part < 20 && hidden === 0; part++) {
      feed.prepare(part);
      hidden = feed.unseen();
      await feed.close();
    }
    expect(hidden).toBeGreaterThan(0);
  });
});

describe("interrupts", () => {
  it("ask once, then leave; afterwards nobody listens", () => {
    const signals = new EventEmitter();
    const seen: string[] = [];
    const interrupt = new Interrupt(signals, () => seen.push("first"), () => seen.push("again"));
    expect(interrupt.asked).toBe(false);
    signals.emit("SIGINT");
    expect(interrupt.asked).toBe(true);
    signals.emit("SIGTERM");
    expect(seen).toEqual(["first", "again"]);
    interrupt.dispose();
    expect(signals.listenerCount("SIGINT") + signals.listenerCount("SIGTERM")).toBe(0);
  });
});

describe("pseudo-Dice", () => {
  it("takes the first of the largest classes", () => {
    // Two samples, three classes, two voxels.
    const logits = Float32Array.of(1, 5, 2, 5, 0, 0, -3, 0, -2, 0, -1, 9);
    expect([...decide(logits, 2, 3, 3)]).toEqual([1, 0, 2, 2]);
  });

  it("runs with a tenth of the new score, on patches of a seed of their own", () => {
    expect(runningScore(undefined, 0.5)).toBe(0.5);
    expect(runningScore(0.5, 1)).toBeCloseTo(0.55, 12);
    expect(validationSeed(0)).not.toBe(0);
    expect(validationSeed(1)).not.toBe(validationSeed(2));
  });
});
