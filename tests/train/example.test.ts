// The example of the documentation: one user's file with an op, a block and a loss of its own, trained from the command line.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadCheckpoint } from "../../runtime/train/checkpoint.ts";
import { netc } from "./cli.ts";

const root = join(import.meta.dirname, "..", "..");
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-example-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("learns, its own block and its own loss too", async () => {
  const steps = 60;
  const { code, err } = await netc([
    "train", join(root, "docs", "examples", "sharpen.net"), "--data", join(root, "tests", "data", "Dataset001_TotalSegSample"),
    "--out", join(folder, "run"), "--steps", String(steps), "--patch", "4,24,24", "--set", "width=4", "--validate-every", "0",
  ]);
  expect(err).toContain("Sharp, ");
  expect(code).toBe(0);
  const losses = readFileSync(join(folder, "run", "log.jsonl"), "utf8").trimEnd().split("\n").map((line) => Number((JSON.parse(line) as { loss: number }).loss));
  const mean = (some: readonly number[]): number => some.reduce((a, b) => a + b, 0) / some.length;
  expect(losses).toHaveLength(steps);
  expect(mean(losses.slice(-15))).toBeLessThan(mean(losses.slice(0, 15)) - 0.15);
  const amount = loadCheckpoint(join(folder, "run"), "latest").tensors.get("fine.Sharpen.amount");
  expect(Math.abs((amount?.data[0] ?? 0.5) - 0.5)).toBeGreaterThan(1e-3);
});
