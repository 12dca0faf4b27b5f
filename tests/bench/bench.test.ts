// The benchmark itself: what a launch is said to cost, which part of a step it belongs to, and what the command tells.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Report } from "../../cli/bench/measure.ts";
import { agree, comparison, type PeerRow } from "../../cli/bench/peers.ts";
import { dispatch } from "../../cli/dispatch.ts";
import { loadFile, trainingRun } from "../../cli/compile.ts";
import { terminalOn } from "../../cli/terminal.ts";
import { apply, index, int, makeAxis, read, reduce } from "../../compiler/ir/expr.ts";
import { flopsOf } from "../../compiler/ir/flops.ts";
import { define, source } from "../../compiler/ir/graph.ts";
import { compileTraining } from "../../compiler/pipeline.ts";
import type { Plan, Step } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";

const here = import.meta.dirname;
const origin = { span: undefined, path: "" };

describe("flops", () => {
  const flops = (axes: Parameters<typeof define>[1], body: Parameters<typeof define>[2]): number => flopsOf(define("y", axes, body, origin), body);

  it("of a matrix product are two for each multiply-add", () => {
    const [i, j, k] = [makeAxis("i", 5), makeAxis("j", 7), makeAxis("k", 11)];
    const [a, b] = [source("a", [5, 11], origin), source("b", [11, 7], origin)];
    expect(flops([i, j], reduce("sum", [k], [], apply("mul", read(a, [index(i), index(k)]), read(b, [index(k), index(j)]))))).toBe(2 * 5 * 7 * 11);
  });

  it("count a part where its axes are known, once", () => {
    const [i, j] = [makeAxis("i", 5), makeAxis("j", 7)];
    const [a, b] = [source("a", [5], origin), source("b", [7], origin)];
    const row = apply("exp", read(a, [index(i)]));
    expect(flops([i], apply("mul", row, reduce("sum", [j], [], apply("exp", read(b, [index(j)])))))).toBe(5 + 5 + 5 * 7 + 5 * 7);
  });

  it("leave out the points that tests of indices leave out", () => {
    const [t, k] = [makeAxis("t", 8), makeAxis("k", 3)];
    const x = source("x", [3], origin);
    const even = apply("eq", apply("imod", apply("sub", apply("add", index(t), int(3)), index(k)), int(2)), int(0));
    expect(flops([t], reduce("sum", [k], [even], read(x, [index(k)])))).toBe(4 * 1 + 4 * 2);
  });

  it("count a term once that looks for its place itself", () => {
    const [j, k] = [makeAxis("j", 50), makeAxis("k", 100)];
    const [place, x] = [source("place", [100], origin, "int"), source("x", [100], origin)];
    const lands = apply("eq", read(place, [index(k)]), index(j));
    expect(flops([j], reduce("sum", [k], [lands], apply("widen", read(x, [index(k)]))))).toBe(2 * 100);
  });
});

type Dispatch = Extract<Step, { kind: "dispatch" }>;
const launches = ({ steps }: Plan): readonly Dispatch[] => steps.flatMap((s) => (s.kind === "dispatch" ? [s] : []));

describe("a launch", () => {
  const plan = (file: string, budget?: number): Plan => compileTraining(trainingRun(loadFile(join(here, file)), undefined, {}).training, leastProfile, budget).plan;

  it("belongs to the pass that needs it", () => {
    const all = launches(plan("tiny.net"));
    const names = (phase: string): readonly string[] => all.filter((s) => s.phase === phase).map((s) => s.name);
    expect(names("update")).toEqual(["w_next"]);
    expect(names("backward").filter((n) => !n.startsWith("d_"))).toEqual([]);
    expect(names("backward")).toEqual(expect.arrayContaining(["d_w1", "d_b1", "d_w2"]));
    expect(names("forward").filter((n) => n.startsWith("d_"))).toEqual([]);
    expect(names("forward").flatMap((n) => n.split(", "))).toContain("loss");
  });

  it("belongs to the backward pass when it makes a value again", () => {
    const again = launches(plan("peers.net", 0.9 * plan("peers.net").bytes)).filter((s) => s.name.endsWith("_again"));
    expect(again.length).toBeGreaterThan(0);
    expect(new Set(again.map((s) => s.phase))).toEqual(new Set(["backward"]));
  });

  it("moves what it reads and writes, once", () => {
    const { cost } = launches(plan("tiny.net")).find((s) => s.name === "w_next") as Dispatch;
    // The flat weights, each padded to 256 bytes, read and written, and their gradients.
    expect(cost.bytes).toBe(3 * (512 + 256 + 256));
    expect(cost.flops).toBe(2 * 256);
  });
});

async function netc(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const code = await dispatch(argv, terminalOn({ write: (text) => (out += text) }, { write: (text) => (err += text) }, {}));
  return { code, out, err };
}

describe("netc bench", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "netc-bench-"));
    vi.stubEnv("TORCH_PYTHON", undefined);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
    vi.unstubAllEnvs();
  });

  it("measures a step from given numbers, beside the peers that run", async () => {
    const zeros = "const zeros = (n) => ({ data: new Float32Array(n) });";
    writeFileSync(join(folder, "nets.mjs"), `${zeros}
const edge = Number(process.env.PEER_EDGE);
export const net = (name) => {
  if (name !== "tiny") throw new Error("no such network");
  return { params: { w1: zeros(108), b1: zeros(4), w2: zeros(64) }, x: zeros(edge ** 3), labels: new Int32Array(edge ** 3) };
};`);
    const line = `{ peer: "other", version: "1", device: "d", first_ms: 3, median_ms: 2, min_ms: 1, cpu_ms: 1, edge: process.env.PEER_EDGE, reps: process.env.PEER_REPS, losses: [0.693147] }`;
    writeFileSync(join(folder, "jaxjs.mjs"), `console.log("hello"); console.log(JSON.stringify(${line}));`);
    writeFileSync(join(folder, "tfjs.mjs"), `import "not-there";`);
    writeFileSync(join(folder, "torch_cpu.py"), "");
    const { code, out } = await netc("bench", `${join(here, "tiny.net")}#tiny`, "--repeat", "2", "--warmup", "1", "--against", folder, "--json");
    expect(code).toBe(0);
    const { ceiling, reports, peers } = JSON.parse(out) as { ceiling: { bytes: number; flops: number }; reports: readonly Report[]; peers: readonly PeerRow[] };
    expect(Math.min(ceiling.bytes, ceiling.flops)).toBeGreaterThan(1e6);
    const [report] = reports;
    expect(report).toMatchObject({ name: "tiny", network: "Tiny", parameters: 176, step: { count: 2 } });
    // Two classes, and nothing that tells them apart.
    expect(report?.losses).toHaveLength(3);
    expect(report?.losses[0]).toBeCloseTo(Math.log(2), 6);
    if (report?.kernels && report.phases) {
      expect(report.kernels).toHaveLength(report.dispatches);
      const { forward, backward, update } = report.phases;
      expect(forward + backward + update).toBeCloseTo(report.kernels.reduce((n, k) => n + k.time, 0), 6);
    }
    expect(peers).toMatchObject([
      { file: "jaxjs.mjs", result: { peer: "other", edge: "8", reps: "2" } },
      { file: "tfjs.mjs", missing: expect.stringContaining("`not-there` is not installed") },
      { file: "ort.mjs", missing: "the folder does not have it" },
      { file: "torch_cpu.py", missing: expect.stringContaining("TORCH_PYTHON is not set") },
    ]);
    const text = comparison(report as Report, peers);
    expect(text).toMatch(/^other 1 +2\.00 ms/m);
    expect(text).not.toContain("differ");
    expect(text).toContain("not measured:\n  tfjs.mjs: `not-there`");
  });

  it("tells of a network that has no run, and of peers that are not there", async () => {
    expect(await netc("bench", "nets/mednext.net#MedNeXtS")).toMatchObject({ code: 2, err: expect.stringContaining("its runs are k3, k5; `--predict`") });
    expect(await netc("bench", "nets/mednext.net#Nowhere")).toMatchObject({ code: 2, err: expect.stringContaining("there is no network and no `train` run `Nowhere`") });
    const missing = await netc("bench", `${join(here, "tiny.net")}#tiny`, "--against", folder);
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining("error[N1091]") });
  });

  it("prints a prediction's launches, all of them forward", async () => {
    const { code, out } = await netc("bench", `${join(here, "tiny.net")}#Tiny`, "--predict", "--repeat", "1", "--top", "1");
    expect(code).toBe(0);
    expect(out).toContain("Tiny: image [1, 1, 8, 8, 8]");
    expect(out).toMatch(/in kernels +.*: all forward|in kernels +not known/);
  });
});

describe("losses", () => {
  it("agree when five digits do", () => {
    expect(agree([1.14548, 1.14487], [1.145483, 1.144868])).toBe(true);
    expect(agree([1.14548, 1.14487], [1.14548, 1.1459])).toBe(false);
  });
});
