// A run that is killed at any moment: its files stay readable, and it ends with the bits of one that was not.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readRecord } from "../../cli/run-folder.ts";
import { hasCheckpoint, loadCheckpoint } from "../../runtime/train/checkpoint.ts";
import { isStep, readLog } from "../../runtime/train/log.ts";
import { netc } from "./cli.ts";

const root = join(import.meta.dirname, "..", "..");
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-kill-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const total = 60;
const command = (out: string): readonly string[] => [
  "train", join(root, "tests", "train", "nets", "tiny.net"), "--data", join(root, "tests", "data", "Dataset001_TotalSegSample"), "--out", out,
  "--set", "steps=10", "--steps", String(total), "--save-every", "3", "--validate-every", "20",
];

/** Starts or goes on, and kills the process `after` milliseconds after its first new line in the log; says whether it was still running. */
async function killed(out: string, resume: boolean, after: number): Promise<boolean> {
  const child = spawn(process.execPath, ["--import", "tsx", join(root, "cli", "main.ts"), ...command(out), ...(resume ? ["--resume"] : [])], { cwd: root, stdio: "ignore" });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on("close", (_, signal) => resolve(signal)));
  const lines = (): number => readLog(out).length;
  const before = lines();
  while (lines() <= before && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, after));
  child.kill("SIGKILL");
  return (await ended) === "SIGKILL";
}

const bits = (out: string, which: "latest" | "best"): unknown => {
  const { tensors, meta } = loadCheckpoint(out, which);
  return { meta, tensors: [...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex")]) };
};

it("loses at most what came after its last checkpoint", { timeout: 240_000 }, async () => {
  const out = join(folder, "killed");
  const whole = join(folder, "whole");
  expect((await netc([...command(whole)])).code).toBe(0);

  let kills = 0;
  for (const n of [0, 1, 2]) {
    // Somewhere within a few saves and validations; another place each time the test runs.
    if (!(await killed(out, n > 0, Math.random() * 300))) break;
    kills++;
    readRecord(out);
    const steps = readLog(out).filter(isStep).map(({ step }) => step);
    expect(steps).toEqual(steps.map((_, k) => k + 1));
    for (const name of readdirSync(out).filter((one) => one.endsWith(".json"))) JSON.parse(readFileSync(join(out, name), "utf8"));
    if (!hasCheckpoint(out, "latest")) continue;
    const saved = Number(loadCheckpoint(out, "latest").meta["step"]);
    expect(saved % 3 === 0).toBe(true);
    // Steps 1 to 3 after a save may have been done when the next one was under way.
    expect((steps.at(-1) ?? 0) - saved).toBeLessThanOrEqual(3);
    if (hasCheckpoint(out, "best")) loadCheckpoint(out, "best");
  }
  expect(kills).toBeGreaterThan(0);

  const { code, err } = await netc([...command(out), "--resume"]);
  expect(err).not.toContain("W1071");
  expect(code).toBe(0);
  expect(bits(out, "latest")).toEqual(bits(whole, "latest"));
  expect(bits(out, "best")).toEqual(bits(whole, "best"));
  const plain = (of: string): unknown => readLog(of).map((entry) => ({ ...entry, wait: 0, time: 0, seconds: 0 }));
  expect(plain(out)).toEqual(plain(whole));
  // What was half-written is gone.
  expect(readdirSync(out).filter((name) => name.includes(".tmp"))).toEqual([]);
  expect(readdirSync(out).filter((name) => name.startsWith("events."))).toHaveLength(1);
  expect(existsSync(join(out, "report.html"))).toBe(true);
});
