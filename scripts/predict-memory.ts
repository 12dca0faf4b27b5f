// Measures the memory of this process while a large volume is predicted: `npx tsx scripts/predict-memory.ts [SLICES ROWS COLUMNS]`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dispatch } from "../cli/dispatch.ts";
import type { Terminal } from "../cli/terminal.ts";
import { encodeImage } from "../runtime/data/nifti.ts";
import type { StoredGrid } from "../runtime/data/volume.ts";

const root = join(import.meta.dirname, "..");
const [slices = 400, rows = 512, columns = 512] = process.argv.slice(2).map(Number);
const folder = mkdtempSync(join(tmpdir(), "netc-memory-"));
const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

/** What the progress line last said of windows, and what memory was when it began to say so. */
let told = "";
let peak = 0;
const shown = new Set<number>();
function look(text: string): void {
  const [, done = 0, of = 0] = (/window (\d+) of (\d+)/.exec(text) ?? []).map(Number);
  const { rss, arrayBuffers, heapUsed } = process.memoryUsage();
  peak = Math.max(peak, rss);
  const tenth = of === 0 ? -1 : Math.floor((10 * done) / of);
  if (tenth >= 0 && !shown.has(tenth)) {
    shown.add(tenth);
    console.log(`window ${String(done).padStart(4)} of ${of}: resident ${mebibytes(rss)}, of which arrays ${mebibytes(arrayBuffers)}, heap ${mebibytes(heapUsed)}`);
  }
  told = text;
}

const terminal: Terminal = { print: console.log, say: console.error, colour: false, progress: () => ({ update: look, log: console.log, done: () => undefined }) };

async function netc(...argv: readonly string[]): Promise<void> {
  const code = await dispatch(argv, terminal);
  if (code !== 0) throw new Error(`netc ${argv[0] ?? ""} ended with ${code} after: ${told}`);
}

try {
  const grid: StoredGrid = {
    size: [columns, rows, slices], affine: [[3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 3, 0]],
    sources: [{ axis: 0, flipped: false }, { axis: 1, flipped: false }, { axis: 2, flipped: false }], sformCode: 1, qformCode: 0, version: 1,
  };
  const image = join(folder, "large_0000.nii");
  writeFileSync(image, encodeImage(Float32Array.from({ length: slices * rows * columns }, (_, n) => 1000 * Math.sin(n / 977)), grid, false));
  await netc("train", join(root, "tests", "train", "nets", "tiny.net"), "--data", join(root, "tests", "data", "Dataset001_TotalSegSample"), "--out", join(folder, "run"), "--steps", "1", "--batch", "1", "--patch", "64,128,128", "--validate-every", "0");
  console.log(`before: resident ${mebibytes(process.memoryUsage().rss)}; the image takes ${mebibytes(4 * slices * rows * columns)} as float32`);
  const started = performance.now();
  await netc("predict", "--run", join(folder, "run"), image, "-o", join(folder, "out"), "--overlap", "0");
  console.log(`${slices} x ${rows} x ${columns} in ${Math.round((performance.now() - started) / 1000)} s, at most ${mebibytes(peak)} resident`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
