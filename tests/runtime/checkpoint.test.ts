// Checkpoints and atomic files: nothing half-written, nothing of another network.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { readBytes, writeAtomic } from "../../runtime/files.ts";
import { checkpointPath, demandFit, hasCheckpoint, loadCheckpoint, mismatches, saveCheckpoint } from "../../runtime/train/checkpoint.ts";
import type { Checkpoint } from "../../runtime/train/checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "checkpoint-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function refusal(run: () => unknown): Diagnostic {
  try {
    run();
  } catch (error) {
    const finding = error instanceof Fault ? error.findings[0] : undefined;
    if (finding !== undefined) return finding;
    throw error;
  }
  throw new Error("nothing was wrong");
}

const checkpoint: Checkpoint = {
  tensors: new Map([
    ["e[0].Conv.weight", { shape: [2, 1, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ["e[0].Conv.offset", { shape: [2], data: Float32Array.of(0.1, 0.2) }],
    ["memory/v/e[0].Conv.offset", { shape: [2], data: Float32Array.of(-1, -2) }],
  ]),
  meta: { step: 250, seed: 7, best: 0.83, fingerprint: { channels: [{ name: "CT", low: -994 }] } },
};
const wanted = [...checkpoint.tensors].map(([name, { shape }]) => ({ name, shape }));

describe("checkpoints", () => {
  const run = join(scratch, "runs", "tiny");
  it("come back as they were", () => {
    expect(hasCheckpoint(run, "latest")).toBe(false);
    saveCheckpoint(run, "latest", checkpoint);
    const again = loadCheckpoint(run, "latest");
    expect(again.meta).toEqual(checkpoint.meta);
    expect(again.tensors).toEqual(checkpoint.tensors);
    expect(readdirSync(run)).toEqual(["checkpoint_latest.safetensors"]);
    demandFit("p", again, wanted);
  });
  it("best and latest are two files", () => {
    saveCheckpoint(run, "best", { ...checkpoint, meta: { step: 3 } });
    expect(loadCheckpoint(run, "best").meta).toEqual({ step: 3 });
    expect(loadCheckpoint(run, "latest").meta["step"]).toBe(250);
  });
  it("one that is not there, or cut", () => {
    expect(refusal(() => loadCheckpoint(scratch, "best"))).toMatchObject({ code: "N1043", headline: `there is no best checkpoint in ${scratch}` });
    truncateSync(checkpointPath(run, "best"), 300);
    expect(refusal(() => loadCheckpoint(run, "best")).code).toBe("N1041");
  });
});

describe("a checkpoint of another network", () => {
  it("missing, extra and misshapen tensors are told, every one", () => {
    const other = [
      { name: "e[0].Conv.weight", shape: [4, 1, 3] },
      { name: "e[1].Conv.offset", shape: [2] },
      { name: "head.weight", shape: [9, 9] },
      { name: "memory/v/e[0].Conv.offset", shape: [2] },
    ];
    expect(mismatches("best.safetensors", checkpoint, other)).toEqual([expect.objectContaining({
      code: "N1042",
      headline: "best.safetensors belongs to another network",
      facts: [
        "`e[0].Conv.weight` has another shape: the network has [4, 1, 3], the file [2, 1, 3].",
        "`e[1].Conv.offset` [2] is not in the file, which has `e[0].Conv.offset`.",
        "`head.weight` [9, 9] is not in the file.",
        "`e[0].Conv.offset` [2] of the file has no place in the network.",
      ],
    })]);
    expect(() => demandFit("best.safetensors", checkpoint, other)).toThrow(Fault);
  });
  it("a fitting one is silent", () => expect(mismatches("p", checkpoint, wanted)).toEqual([]));
});

describe("atomic files", () => {
  it("make folders, replace, and leave nothing behind", () => {
    const path = join(scratch, "a", "b", "c.txt");
    writeAtomic(path, "one");
    writeAtomic(path, new TextEncoder().encode("zwei ü"));
    expect(readFileSync(path, "utf8")).toBe("zwei ü");
    expect(readdirSync(join(scratch, "a", "b"))).toEqual(["c.txt"]);
  });
  it("a folder that is a file is told", () => {
    writeFileSync(join(scratch, "plain"), "");
    const finding = refusal(() => writeAtomic(join(scratch, "plain", "c.txt"), "x"));
    expect(finding).toMatchObject({ code: "N1007", headline: `cannot write ${join(scratch, "plain", "c.txt")}` });
  });
  it("a target that is a folder leaves no temporary file", () => {
    mkdirSync(join(scratch, "target", "inner"), { recursive: true });
    expect(refusal(() => writeAtomic(join(scratch, "target"), "x")).code).toBe("N1007");
    expect(readdirSync(scratch).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
  // The superuser may write anywhere, so there is nothing to see for it.
  it.skipIf(process.getuid?.() === 0)("an unwritable folder is told, the old content stays", () => {
    const folder = join(scratch, "locked");
    writeAtomic(join(folder, "c.txt"), "old");
    chmodSync(folder, 0o555);
    const finding = refusal(() => writeAtomic(join(folder, "c.txt"), "new"));
    chmodSync(folder, 0o755);
    expect(finding).toMatchObject({ code: "N1007", facts: ["This user may not do that there (permission denied)."] });
    expect(readFileSync(join(folder, "c.txt"), "utf8")).toBe("old");
  });
  it("reading what is not there", () => {
    expect(refusal(() => readBytes(join(scratch, "none")))).toMatchObject({ code: "N1006", facts: ["There is no such file or folder."] });
    expect(refusal(() => readBytes(scratch))).toMatchObject({ code: "N1006", facts: ["It is a folder, not a file."] });
    expect(existsSync(join(scratch, "none"))).toBe(false);
  });
  it("a large file is read in pieces, one that no array holds is told", () => {
    const path = join(scratch, "large");
    const bytes = Uint8Array.from({ length: 1000 }, (_, n) => (n * 7) % 256);
    writeFileSync(path, bytes);
    for (const piece of [999, 400, 1]) expect(Buffer.compare(readBytes(path, piece), bytes)).toBe(0);
    // Sparse: it takes no room on the disk.
    truncateSync(path, 6e9);
    expect(refusal(() => readBytes(path))).toMatchObject({ code: "N1006", facts: ["It has 5.6 GiB; 4 GiB can be read at once."] });
    rmSync(path);
  });
});
