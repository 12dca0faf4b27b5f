// What a run leaves behind for people: its report, seen in a browser, its pictures, and when it ends early.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadCheckpoint } from "../../runtime/train/checkpoint.ts";
import { isStep, isValidation, readLog } from "../../runtime/train/log.ts";
import { carrier, withPage } from "./browser.ts";
import { netc } from "./cli.ts";

const root = join(import.meta.dirname, "..", "..");
const data = join(root, "tests", "data", "Dataset001_TotalSegSample");
const nets = join(root, "tests", "train", "nets");

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "netc-report-"));
  const { code } = await netc(["train", join(nets, "run.net"), "early", "--data", data, "--out", join(folder, "early"), "--hold-out", "1"]);
  expect(code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const early = (...names: readonly string[]): string => join(folder, "early", ...names);
const json = (path: string): Record<string, unknown> => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;

describe("early stopping", () => {
  it("waits as many epochs as it is told to, and validates as often", () => {
    const log = readLog(early());
    // Weights do not change: the first validation is the best one.
    expect(log.filter(isValidation).map(({ step }) => step)).toEqual([4, 8, 12]);
    expect(log.filter(isStep)).toHaveLength(12);
    expect(loadCheckpoint(early(), "final").meta).toMatchObject({ step: 12, bestStep: 4 });
  });

  it("is over until it is told otherwise", async () => {
    const resumed = await netc(["train", join(nets, "run.net"), "early", "--data", data, "--out", early(), "--resume"]);
    expect(resumed.code).toBe(0);
    expect(resumed.out).toContain("has ended at step 12");
    expect(readLog(early()).filter(isStep)).toHaveLength(12);
  });

  it.each([["stop=patience(0)", "N0804"], ["stop=patience()", "N0804"], ["best=validate(often = 2)", "N0804"], ["stop=patients(3)", "N0804"]])("%s is told of", async (set, code) => {
    const { code: exit, err } = await netc(["train", join(nets, "run.net"), "early", "--data", data, "--out", join(folder, "odd"), "--set", set]);
    expect(exit).toBe(1);
    expect(err).toContain(code);
  });

  it("takes either epochs or steps", async () => {
    expect((await netc(["train", join(nets, "run.net"), "--data", data, "--out", join(folder, "odd"), "--epochs", "2", "--steps", "4"])).code).toBe(2);
  });
});

describe("the folder", () => {
  it("tells the values of the dials at each step", () => {
    expect(readLog(early()).filter(isStep).map(({ dials }) => dials?.["sharpness"])).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
  });

  it("tells what was planned, adding up", () => {
    const { training, device } = json(early("plan.json")) as { training: Record<string, number>; device: Record<string, unknown> };
    const { bytes, weights, optimizer, running, ports, activations, rest } = training as Record<"bytes" | "weights" | "optimizer" | "running" | "ports" | "activations" | "rest", number>;
    expect(weights + optimizer + running + ports + activations + rest).toBe(bytes);
    expect(weights).toBe(4 * (json(early("run.json"))["parameters"] as number));
    expect(activations).toBeGreaterThan(0);
    expect(device["name"]).toEqual(expect.any(String));
  });

  it("keeps what was said, with the time of day", () => {
    const text = readFileSync(early("training.log"), "utf8");
    expect(text).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}device /);
    expect(text).toMatch(/largest binding +\d+ \w+ of at most/);
    expect(text).toMatch(/\n\S+ \S+ {2}ended after step 12 of 100, as nothing got better for 4 epochs/);
    expect(text).not.toContain("\u001b");
  });

  it("has the scores of the held-out case, whole, as nnU-Net writes them", () => {
    const { metric_per_case } = json(early("validation", "summary.json")) as { metric_per_case: { metrics: Record<string, { TP: number; FN: number; TN: number; FP: number }>; prediction_file: string }[] };
    expect(metric_per_case).toHaveLength(1);
    const [one] = metric_per_case;
    expect(existsSync(one?.prediction_file ?? "")).toBe(true);
    expect(Object.keys(one?.metrics ?? {})).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("says little when it is asked to, and only in its log all", async () => {
    const quiet = join(folder, "quiet");
    const { code, err, out } = await netc(["train", join(nets, "run.net"), "early", "--data", data, "--out", quiet, "--epochs", "1", "-q"]);
    expect(code).toBe(0);
    expect(err).toBe("");
    expect(out).toMatch(/^trained 2 steps/);
    expect(readFileSync(join(quiet, "training.log"), "utf8")).toContain("largest binding");
  });
});

describe("the report", () => {
  const archives = carrier();
  if (archives === undefined) console.warn("the browser test is left out: the optional package @sparticuz/chromium is not installed");

  it("is made anew by its command, and needs nothing from elsewhere", async () => {
    rmSync(early("report.html"));
    rmSync(early("progress.png"));
    const { code, out } = await netc(["report", early()]);
    expect({ code, out }).toEqual({ code: 0, out: early("report.html") });
    const page = readFileSync(early("report.html"), "utf8");
    expect(page.match(/(src|href|url)\s*[=(]\s*["']?(?!data:)[\w/.]+/g) ?? []).toEqual([]);
    expect(readFileSync(early("progress.png")).subarray(1, 4).toString()).toBe("PNG");
  });

  it("of a folder that holds no run is refused", async () => {
    const { code, err } = await netc(["report", join(folder, "nowhere")]);
    expect(code).toBe(1);
    expect(err).toContain("N1063");
  });

  it.skipIf(archives === undefined)("shows curves, slices and values in a browser", async () => {
    await withPage(archives ?? "", early("report.html"), { width: 1180, height: 1000 }, async (page) => {
      expect(page.errors).toEqual([]);
      expect(page.requests.filter((url) => !/^(file|data):/.test(url))).toEqual([]);
      expect(await page.evaluate("[...document.querySelectorAll('figure.chart h3')].map((one) => one.textContent)")).toEqual(["Loss", "Pseudo-Dice", "Learning rate", "sharpness", "Seconds per step"]);
      // Nothing sticks out.
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(1180);
      expect(await page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth === 16)")).toBe(true);
      expect(await page.evaluate("document.images.length % 3 === 0 && document.images.length > 0")).toBe(true);
      expect(await page.evaluate("[...document.querySelectorAll('td')].some((one) => /^ct_\\d+$/.test(one.textContent))")).toBe(true);

      // The value under the pointer is the one of the log.
      const { x, y } = (await page.evaluate("(() => { const { left, right, top, height } = document.querySelector('svg.linear').getBoundingClientRect(); return { x: right - 20, y: top + height / 2 }; })()")) as { x: number; y: number };
      await page.point(x, y);
      const last = readLog(early()).filter(isStep).at(-1);
      const tip = String(await page.evaluate("document.querySelector('.tip').textContent"));
      expect(tip).toContain("step 12, epoch 6");
      expect(tip).toContain(String(Number(last?.loss.toPrecision(4))));
      await page.evaluate("document.querySelector('svg.linear').focus()");
      await page.press("Home");
      expect(await page.evaluate("document.querySelector('.tip b').textContent")).toBe("step 1, epoch 1");
      await page.press("ArrowRight");
      expect(await page.evaluate("document.querySelector('.tip b').textContent")).toBe("step 2, epoch 1");

      const shown = "[...document.querySelector('figure').querySelectorAll('svg')].map((one) => getComputedStyle(one).display)";
      expect(await page.evaluate(shown)).toEqual(["block", "none"]);
      await page.evaluate("document.querySelector('.toggle input').click()");
      expect(await page.evaluate(shown)).toEqual(["none", "block"]);

      const paper = "getComputedStyle(document.body).backgroundColor";
      await page.prefer("light");
      const light = await page.evaluate(paper);
      await page.prefer("dark");
      expect(await page.evaluate(paper)).not.toBe(light);
      await page.evaluate("document.querySelector('#theme').click()");
      expect(await page.evaluate(paper)).toBe(light);
      expect((await page.screenshot()).length).toBeGreaterThan(10_000);
    });
  });
});
