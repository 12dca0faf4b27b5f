// What the process takes of the host's memory while a tiny network trains for 2,000 steps: `tsx tests/bench/memory.ts [STEPS]`.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { dispatch } from "../../cli/dispatch.ts";
import { packageRoot } from "../../cli/files.ts";
import { table, type Terminal } from "../../cli/terminal.ts";

const steps = Number(process.argv[2] ?? 2000);
const every = Math.max(1, Math.floor(steps / 20));
const folder = mkdtempSync(join(tmpdir(), "netc-memory-"));

// What is garbage by then is not counted.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const columns = ["rss", "heapUsed", "external", "arrayBuffers"] as const;
const rows: string[][] = [["step", "resident", "heap", "external", "of that in arrays"]];
let next = 0;

/** Takes a row at every `every`th step, as the progress line tells it; all that a run does is done as always. */
function watch(text: string): void {
  const [, step] = /^step (\d+)\//.exec(text) ?? [];
  if (step === undefined || Number(step) < next) return;
  next = Number(step) + every;
  collect();
  const used = process.memoryUsage();
  rows.push([step, ...columns.map((name) => `${(used[name] / 2 ** 20).toFixed(1)} MiB`)]);
  process.stderr.write(`${rows.at(-1)?.join("  ") ?? ""}\n`);
}

const terminal: Terminal = {
  print: (text) => void process.stdout.write(`${text}\n`),
  say: (text) => void process.stderr.write(`${text}\n`),
  colour: false,
  progress: () => ({ update: watch, log: () => undefined, done: () => undefined }),
};
try {
  const root = packageRoot();
  process.exitCode = await dispatch([
    "train", join(root, "tests", "train", "nets", "tiny.net"), "--data", join(root, "tests", "data", "Dataset001_TotalSegSample"), "--out", join(folder, "run"),
    "--steps", String(steps), "--validate-every", String(2 * every), "--save-every", String(2 * every), "--no-final",
  ], terminal);
  process.stdout.write(`${table(rows, [0, 1, 2, 3, 4])}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
