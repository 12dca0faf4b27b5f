// Ctrl-C as a shell sends it: the process saves, says so, and ends with 130.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadCheckpoint } from "../../runtime/train/checkpoint.ts";

const root = join(import.meta.dirname, "..", "..");
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-signals-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each(["SIGINT", "SIGTERM"] as const)("%s ends a run after its step", async (signal) => {
  const out = join(folder, signal);
  const child = spawn(process.execPath, [
    "--import", "tsx", join(root, "cli", "main.ts"), "train", join(root, "tests", "train", "nets", "tiny.net"),
    "--data", join(root, "tests", "data", "Dataset001_TotalSegSample"), "--out", out, "--steps", "100000", "--validate-every", "0",
  ], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (text: Buffer) => { said += text.toString(); });
  child.stderr.on("data", (text: Buffer) => { said += text.toString(); });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const stepsLogged = (): number => (existsSync(join(out, "log.jsonl")) ? readFileSync(join(out, "log.jsonl"), "utf8").trimEnd().split("\n").length : 0);
  while (stepsLogged() < 2 && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 50));
  child.kill(signal);
  expect(await ended).toBe(130);
  expect(said).toMatch(/stopped after step \d+ of 100000/);
  expect(said).not.toMatch(/\n\s+at /);
  expect(loadCheckpoint(out, "latest").meta["step"]).toBe(stepsLogged());
});
