// The benchmark itself: what a launch is said to cost, which part of a step it belongs to, and what the command tells.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Report } from "../../cli/bench/measure.ts";
import { agree, comparison, peerRows, type PeerRow } from "../../cli/bench/peers.ts";
import { summaryText } from "../../cli/bench/report.ts";
import { dispatch } from "../../cli/dispatch.ts";
import { loadFile, trainingRun } from "../../cli/compile.ts";
import { terminalOn } from "../../cli/terminal.ts";
import { apply, index, int, makeAxis, read, reduce } from "../../compiler/ir/expr.ts";
import { flopsOf } from "../../compiler/ir/flops.ts";
import { define, source } from "../../compiler/ir/graph.ts";
import { compileTraining } from "../../compiler/pipeline.ts";
import type { Plan, Step } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { findAdapter } from "../../runtime/adapters/find.ts";

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
    expect(names("backward").flatMap((n) => n.split(", "))).toEqual(expect.arrayContaining(["d_w1", "d_b1", "d_w2"]));
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
      { file: "tiny_wgsl.mjs", missing: "the folder does not have it" },
      { file: "torch_cpu.py", missing: expect.stringContaining("TORCH_PYTHON is not set") },
    ]);
    const text = comparison(report as Report, peers);
    expect(text).toMatch(/^other 1 +2\.00 ms/m);
    expect(text).not.toContain("differ");
    expect(text).toContain("not measured:\n  tfjs.mjs: `not-there`");
  });

  it("leads peers to its adapter, and has one write what another runs", async () => {
    // Whether the system has a loader is known once an adapter was looked for.
    await findAdapter("auto", { unchecked: false });
    vi.stubEnv("TORCH_PYTHON", process.execPath);
    const line = (device: string): string => `console.log(JSON.stringify({ peer: "p", version: "1", device: ${device}, median_ms: 1, losses: [] }));`;
    writeFileSync(join(folder, "jaxjs.mjs"), `let said = "";
try { process.dlopen({ exports: {} }, "libvulkan.so.1"); } catch (error) { said = error.message.slice(0, 28); }
${line("process.env.DAWN_OPTIONS + ', ' + said")}`);
    // As Python would be, called by its variable.
    writeFileSync(join(folder, "tiny.py"), `require("node:fs").writeFileSync(process.argv[3], process.env.DEV + " for " + process.argv[2]);`);
    writeFileSync(join(folder, "tiny_wgsl.mjs"), `import { readFileSync } from "node:fs"; ${line("readFileSync(process.argv[3], 'utf8')")}`);
    writeFileSync(join(folder, "torch_cpu.py"), `throw new Error("ModuleNotFoundError: No module named 'torch'");`);
    const report = { name: "tiny", inputs: [{ name: "image", shape: [1, 1, 8, 8, 8] }] } as unknown as Report;
    const round = { device: { kind: "system", name: "mesa llvmpipe (LLVM)" }, repeat: 1, tell: () => undefined, stop: new AbortController().signal } as const;
    const [jax, tiny, torch] = (await peerRows(folder, report, round)).filter(({ file }) => ["jaxjs.mjs", "tiny_wgsl.mjs", "torch_cpu.py"].includes(file));
    expect(jax).toMatchObject({ result: { device: expect.stringMatching(process.platform === "linux" ? /^adapter=llvmpipe, Module did not self-register/ : /^adapter=llvmpipe, /) as string } });
    expect(tiny).toMatchObject({ result: { device: "NULL:WGSL for tiny" } });
    expect(torch).toMatchObject({ missing: "the Python in TORCH_PYTHON has no `torch`" });
    writeFileSync(join(folder, "tiny.py"), `throw new Error("RuntimeError: no such device");`);
    expect((await peerRows(folder, report, round)).find(({ file }) => file === "tiny_wgsl.mjs")).toMatchObject({ missing: "Error: RuntimeError: no such device" });
  });

  it("tells of a network that has no run, and of peers that are not there", async () => {
    expect(await netc("bench", "nets/mednext.net#MedNeXtS")).toMatchObject({ code: 2, err: expect.stringContaining("its runs are k3, k5; `--predict`") });
    expect(await netc("bench", "nets/mednext.net#Nowhere")).toMatchObject({ code: 2, err: expect.stringContaining("there is no network and no `train` run `Nowhere`") });
    const missing = await netc("bench", `${join(here, "tiny.net")}#tiny`, "--against", folder);
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining("error[N1091]") });
  });

  it("prints a prediction's launches, all of them forward", async () => {
    const { code, out } = await netc("bench", `${join(here, "tiny.net")}#Tiny`, "--predict", "--repeat", "1", "--top", "1", "--input", "1,1,8,8,8", "--edges", "8,16");
    expect(code).toBe(0);
    // A summary of both: the second tells how far from linear it is, and what the process takes.
    expect(out).toMatch(/^Tiny +8 x 8 x 8 +[\d.]+ m?s +[\d.]+ m?s +[\d.]+ m?s /m);
    expect(out).toMatch(/^Tiny +16 x 16 x 16 +[\d.]+ m?s +[\d.]+ m?s +\d+\.\d\d +.*( +[\d.]+ [MG]iB){2} /m);
    expect(await netc("bench", `${join(here, "tiny.net")}#tiny`, "--edges", "8")).toMatchObject({ code: 2, err: expect.stringContaining("edges of which input?") });
    expect(out).toContain("Tiny: image [1, 1, 8, 8, 8]");
    expect(out).toMatch(/in kernels +.*: all forward|in kernels +not known/);
  });
});

describe("a summary", () => {
  it("tells time by voxels in shares of the same subject's first", () => {
    const of = (name: string, edge: number, median: number): Report => ({
      name, inputs: [{ name: "image", shape: [2, 3, edge, edge, edge] }], step: { min: median, median, max: median, count: 1 },
      dispatches: 1, pipelines: 1, bytes: 1, resident: { now: 2 ** 30, most: 2 ** 31 }, cold: 1, warm: 1,
    } as unknown as Report);
    const lines = summaryText([of("a", 2, 10), of("b", 2, 10), of("a", 4, 120), of("b", 4, 40)]).split("\n");
    expect(lines.map((line) => /ms +(\d+\.\d\d) +1 /.exec(line)?.[1])).toEqual([undefined, undefined, undefined, "1.50", "0.50"]);
  });
});

describe("losses", () => {
  it("agree when five digits do", () => {
    expect(agree([1.14548, 1.14487], [1.145483, 1.144868])).toBe(true);
    expect(agree([1.14548, 1.14487], [1.14548, 1.1459])).toBe(false);
  });
});
