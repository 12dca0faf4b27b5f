// Runs that begin with the weights of another: as they are, with larger kernels, and what does not fit.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeTensors } from "../../runtime/safetensors.ts";
import { checkpointPath, loadCheckpoint } from "../../runtime/train/checkpoint.ts";
import { netc, type Said } from "./cli.ts";

const root = join(import.meta.dirname, "..", "..");
const net = join(root, "tests", "train", "nets", "kernels.net");
const data = join(root, "tests", "data", "Dataset001_TotalSegSample");

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "netc-start-"));
  expect((await train("k3", "first")).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (...path: readonly string[]): string => join(folder, ...path);
const train = (run: string, out: string, ...more: readonly string[]): Promise<Said> => netc(["train", net, run, "--data", data, "--out", at(out), ...more]);
const start = (how: string, from: string): readonly string[] => ["--set", `start=${how}(${JSON.stringify(from)})`];
/** No step moves a weight at this rate, so what is saved is what the run began with. */
const still = ["--steps", "1", "--seed", "5", "--set", "steps=1", "--validate-every", "0"];
const learned = (out: string, which: "latest" | "best" = "latest"): Map<string, Float32Array> =>
  new Map([...loadCheckpoint(at(out), which).tensors].filter(([name]) => !name.startsWith("memory/")).map(([name, one]) => [name, one.data]));
const record = (out: string): Record<string, unknown> => JSON.parse(readFileSync(at(out, "run.json"), "utf8")) as Record<string, unknown>;
const firstLine = (out: string): unknown => JSON.parse(readFileSync(at(out, "log.jsonl"), "utf8").split("\n")[0] ?? "");

describe("a run that begins elsewhere", () => {
  it("takes weights and running values from the best checkpoint, not the optimiser's memories", async () => {
    const { code, err } = await train("frozen", "loaded", ...start("load", at("first")), ...still);
    expect(code).toBe(0);
    expect(err).toContain(`load from ${checkpointPath(at("first"), "best")}: 10 tensors`);
    const [before, after] = [learned("first", "best"), learned("loaded")];
    for (const [name, values] of before) if (!name.includes("seen_")) expect([...(after.get(name) ?? [])], name).toEqual([...values]);
    // One step with momentum 0.1 from where the run before stood, not from 0 and 1.
    const [was, is] = [before.get("normed.seen_mu") ?? [], after.get("normed.seen_mu") ?? []];
    expect(was.length).toBeGreaterThan(0);
    expect([...was].some((v) => v !== 0)).toBe(true);
    expect(is).not.toEqual(was);
    expect(record("loaded")["start"]).toEqual({ how: "load", from: checkpointPath(at("first"), "best") });
    expect(firstLine("loaded")).toMatchObject({ step: 0, start: "load", from: checkpointPath(at("first"), "best"), resized: 0 });
    const fresh = await train("frozen", "fresh", ...start("load", at("first")), ...still, "--set", "start=none");
    expect(fresh.code).toBe(0);
    expect(learned("fresh").get("logits.weight")).not.toEqual(after.get("logits.weight"));
    expect(record("fresh")["start"]).toBeUndefined();
  });

  it("with `upkern` resizes the kernels", async () => {
    const { code, err } = await train("frozen", "large", ...start("upkern", checkpointPath(at("first"), "latest")), ...still, "--set", "kernel=5");
    expect(code).toBe(0);
    expect(err).toContain("10 tensors, resized: 1");
    const [before, after] = [learned("first"), learned("large")];
    const [small, wide] = [before.get("depthwise.weight") ?? [], after.get("depthwise.weight") ?? []];
    expect([small.length, wide.length]).toEqual([4 * 27, 4 * 125]);
    // Corners and middles of both kernels are the same voxels.
    for (let c = 0; c < 4; c++) {
      expect(wide[c * 125]).toBeCloseTo(small[c * 27] ?? NaN, 6);
      expect(wide[c * 125 + 62]).toBeCloseTo(small[c * 27 + 13] ?? NaN, 6);
      expect(wide[c * 125 + 124]).toBeCloseTo(small[c * 27 + 26] ?? NaN, 6);
    }
    expect(after.get("logits.weight")).toEqual(before.get("logits.weight"));
  });

  it("does so once: a resumed run goes on from its own checkpoint, even when the source is gone", async () => {
    const where = at("gone.safetensors");
    writeFileSync(where, encodeTensors(loadCheckpoint(at("first"), "latest").tensors, {}));
    expect((await train("k3", "twice", ...start("load", where), "--steps", "1")).code).toBe(0);
    const before = learned("twice");
    rmSync(where);
    const { code, err } = await train("k3", "twice", "--resume", "--steps", "2");
    expect(code).toBe(0);
    expect(err).not.toContain("load from");
    expect(learned("twice")).not.toEqual(before);
    expect(record("twice")["start"]).toEqual({ how: "load", from: where });
  });
});

describe("what does not fit", () => {
  it("is told tensor by tensor, and nothing is begun", async () => {
    const { code, err } = await train("k5", "new", ...start("load", at("first")));
    expect(code).toBe(1);
    expect(err).toContain("N1042");
    expect(err).toContain("`depthwise.weight` has another shape: the network has [4, 1, 5, 5, 5], the file [4, 1, 3, 3, 3].");
    expect(err).toContain("`upkern` would resize kernels");
    const wider = await train("k5", "new", ...start("upkern", at("first")), "--set", "width=5");
    expect(wider.code).toBe(1);
    for (const part of ["N1042", "`stem.weight` has another shape", "`depthwise.weight` has another shape", "`logits.weight` has another shape", "in all else"]) expect(wider.err).toContain(part);
    expect(() => readFileSync(at("new", "run.json"))).toThrow();
  });

  it("a missing and an extra tensor are named together", async () => {
    const tensors = new Map(loadCheckpoint(at("first"), "latest").tensors);
    const moved = tensors.get("logits.weight");
    if (moved === undefined) throw new Error("no such weight");
    tensors.delete("logits.weight");
    tensors.set("logit.weight", moved);
    writeFileSync(at("odd.safetensors"), encodeTensors(tensors, {}));
    const { code, err } = await train("k3", "new", ...start("load", at("odd.safetensors")));
    expect(code).toBe(1);
    expect(err).toContain("`logits.weight` [6, 4, 1, 1, 1] is not in the file, which has `logit.weight`");
    expect(err).toContain("`logit.weight` [6, 4, 1, 1, 1] of the file has no place");
  });

  it.each([
    { what: "a run that is not there", how: "load", from: "runs/nowhere", says: ["N1043", "runs/nowhere", "--set start=none"] },
    { what: "a folder without a checkpoint", how: "upkern", from: join(root, "docs"), says: ["N1043", "no checkpoint"] },
    { what: "another file", how: "load", from: join(root, "package.json"), says: ["N1041", "package.json"] },
  ])("$what", async ({ how, from, says }) => {
    const { code, err } = await train("k3", "new", ...start(how, from));
    expect(code).toBe(1);
    for (const part of says) expect(err).toContain(part);
    expect(err).not.toMatch(/\n\s+at /);
  });

  it.each(["load()", "load(3)", 'load("a", "b")', "lode(\"a\")", '"a"'])("`start = %s` is refused", async (text) => {
    const { code, err } = await train("k3", "new", "--set", `start=${text}`);
    expect(code).toBe(1);
    expect(err).toContain("N0804");
  });
});
