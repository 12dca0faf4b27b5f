// `netc verify`: a network and a dump of it that the interpreter made, whole and with single mistakes.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadFile } from "../../cli/compile.ts";
import { graphsOf } from "../../cli/verify/graphs.ts";
import { shapeOf, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { ordered } from "../../compiler/ir/order.ts";
import { encodeTensors, type Writable } from "../../runtime/safetensors.ts";
import { netc, type Said } from "../train/cli.ts";

const text = `
network Little(image: [N, M, *S], classes: int, width: int = 2) {
  deep = image |> Conv(width, 3) as mix |> BatchNorm as norm |> gelu |> Conv(width) as last
  out logits = deep |> gelu |> Conv(classes) as head
}
`;
const names = `
kind conv weight=weight, bias=offset
kind bn weight=gain, bias=bias, running_mean=seen_mu, running_var=seen_var
conv layers.mix = mix
bn layers.bn = norm
conv layers.last = last
conv head = head
`;
const official: Readonly<Record<string, string>> = {
  "mix.weight": "layers.mix.weight", "mix.offset": "layers.mix.bias", "norm.gain": "layers.bn.weight", "norm.bias": "layers.bn.bias",
  "norm.seen_mu": "layers.bn.running_mean", "norm.seen_var": "layers.bn.running_var",
  "last.weight": "layers.last.weight", "last.offset": "layers.last.bias", "head.weight": "head.weight", "head.offset": "head.bias",
};
const loss = "dice_ce(logits, label, batch = false)";
const input = [2, 1, 4, 4, 4] as const;

let folder: string;
let whole: ReadonlyMap<string, Writable>;
const float = (shape: readonly number[], data: Iterable<number>): Writable => ({ shape, data: Float32Array.from(data) });

/** Values between -1 and 1 that follow no pattern. */
let state = 1;
const some = (length: number): Float32Array => Float32Array.from({ length }, () => ((state = (state * 48271) % 2147483647) / 2147483647) * 2 - 1);

/** Everything in float64, gradients by differences: no pass but the definitions themselves. */
function dump(): Map<string, Writable> {
  const image = float(input, some(128));
  const bare = { path: "", sidecar: { headWeights: undefined, outputs: [], loss: 0, gradInput: 0, gradients: new Map<string, number>(), largestGradient: undefined },
    tensors: new Map([["input", { shape: input, values: Float64Array.from(image.data, Number) }], ["out.0", { shape: [2, 3, 4, 4, 4], values: new Float64Array() }], ["eval.out.0", { shape: [2, 3, 4, 4, 4], values: new Float64Array() }]]) };
  const { training, evaluating } = graphsOf({ program: loadFile(join(folder, "little.net")).program, network: "Little", loss: { text: loss }, set: {} }, bare);
  if (!training || !evaluating) throw new Error("no graph");
  const label = Int32Array.from({ length: 128 }, (_, i) => (i * 7) % 3);
  const stored = new Map<string, Writable>([["input", image], ["target.0", { shape: input, data: label }]]);
  const weights = new Map<string, Float64Array>();
  for (const { path, tensor } of [...training.graph.weights, ...training.graph.states]) {
    const made = some(shapeOf(tensor).reduce((a, b) => a * b, 1)).map((v) => (path.endsWith("seen_var") ? 1 + v / 2 : v));
    weights.set(path, Float64Array.from(made));
    stored.set(`${path.includes("seen") ? "buffer" : "param"}/${official[path]}`, float(shapeOf(tensor), made));
  }
  const values = (of: typeof evaluating): Map<Tensor, Float64Array> => new Map([
    ...[...of.weights, ...of.states].map(({ path, tensor }) => [tensor, weights.get(path) ?? new Float64Array()] as const),
    ...of.inputs.map((t) => [t, Float64Array.from(t.name === "label" ? label : image.data, Number)] as const),
  ]);
  const put = (name: string, tensor: Tensor, known: Map<Tensor, Float64Array>): void => void stored.set(name, float(shapeOf(tensor), interpret(tensor, { values: known })));
  const known = values(training.graph);
  const [head] = training.heads;
  const [plain] = evaluating.outputs;
  if (!head || !plain) throw new Error("no head");
  put("out.0", head.tensor, known);
  put("loss", training.loss, known);
  put("eval.out.0", plain.tensor, values(evaluating));
  for (const { path, next } of training.graph.states) if (next) put(`buffer_after/${official[path]}`, next, known);
  const inside = ordered([head.tensor]);
  for (const [path, module] of [["mix", "layers.mix"], ["last", "layers.last"], ["head", "head"]] as const) {
    const found = inside.filter((t) => t.origin.path === path && t.body).at(-1);
    if (found) put(`mid/${module}`, found, known);
  }
  // As tokens, channels last.
  const norm = inside.filter((t) => t.origin.path === "norm" && t.body).at(-1);
  if (norm) stored.set("mid/layers.bn", float([2, 64, 2], tokens(interpret(norm, { values: known }))));
  stored.set("mid/layers.act", float([1], [0]));
  for (const path of ["norm.gain", "head.weight"]) {
    const at = weights.get(path) ?? new Float64Array();
    const slope = [...at].map((value, i) => {
      const [above = 0, below = 0] = [1e-5, -1e-5].map((step) => {
        at[i] = value + step;
        return interpret(training.loss, { values: values(training.graph) })[0];
      });
      at[i] = value;
      return (above - below) / 2e-5;
    });
    stored.set(`grad/${official[path]}`, float(stored.get(`param/${official[path]}`)?.shape ?? [], slope));
  }
  return stored;
}

/** [2, 2, 64] as [2, 64, 2]. */
const tokens = (v: Float64Array): number[] => Array.from({ length: v.length }, (_, i) => v[Math.floor(i / 128) * 128 + (i % 2) * 64 + Math.floor((i % 128) / 2)] ?? NaN);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-verify-"));
  writeFileSync(join(folder, "little.net"), text);
  writeFileSync(join(folder, "little.names"), names);
  whole = dump();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function verify(change: (tensors: Map<string, Writable>) => void, ...more: readonly string[]): Promise<Said> {
  const tensors = new Map(whole);
  change(tensors);
  const path = join(folder, "dump.safetensors");
  writeFileSync(path, encodeTensors(tensors));
  return netc(["verify", `${join(folder, "little.net")}#Little`, path, "--adapter", "embedded", ...more]);
}
/** One element of a tensor moved by `by`. */
const moved = (name: string, by: number) => (tensors: Map<string, Writable>): void => {
  const { shape, data } = tensors.get(name) as Writable;
  tensors.set(name, float(shape, (data as Float32Array).map((v, i) => v + (i === 1 ? by : 0))));
};
const nothing = (): void => undefined;

describe("netc verify", { timeout: 60_000 }, () => {
  it("ends with 0 when outputs, loss, running values and gradients agree, and tells how far they are apart", async () => {
    const { code, out } = await verify(nothing, "--loss", loss, "--all");
    for (const name of ["out.0", "loss", "buffer_after/layers.bn.running_mean", "buffer_after/layers.bn.running_var", "grad/layers.bn.weight", "grad/head.weight", "eval.out.0"]) {
      expect(out).toMatch(new RegExp(`^${name.replaceAll(".", "\\.")} .*e[+-]\\d.* 1\\.0e-[45]  ok$`, "m"));
    }
    expect(out).toContain("all 7 tensors agree");
    expect(code).toBe(0);
  });

  it("names the block in which a wrong weight sits, and ends with 1", async () => {
    const { code, out } = await verify(moved("param/layers.last.weight", 0.25), "--loss", loss);
    expect(code).toBe(1);
    expect(out).toMatch(/^out\.0 .*differs$/m);
    expect(out).toContain("It begins in `last` (mid/layers.last), or between it and `norm` (mid/layers.bn), which agrees.");
    expect(out).toContain("1 module could not be placed: layers.act (no weights below it)");
  });

  it("gives machines every tensor, and outputs alone when asked", async () => {
    const { code, out } = await verify(moved("param/layers.mix.weight", 0.25), "--outputs-only", "--set", "classes=3", "--json");
    expect(code).toBe(1);
    const json = JSON.parse(out) as { ok: boolean; tensors: { name: string; ok: boolean }[]; modules: { name: string; ok: boolean }[] };
    expect(json.tensors.map((t) => [t.name, t.ok])).toEqual([["out.0", false], ["buffer_after/layers.bn.running_mean", false], ["buffer_after/layers.bn.running_var", false], ["eval.out.0", false]]);
    expect(json.modules.map((t) => [t.name, t.ok])).toEqual(["mid/layers.mix", "mid/layers.bn", "mid/layers.last", "mid/head"].map((name) => [name, false]));
  });

  it("sees a gradient that differs while all outputs agree, unless that much is allowed", async () => {
    const wrong = moved("grad/head.weight", 1e-3);
    const { code, out } = await verify(wrong, "--loss", loss);
    expect([code, out.match(/differs$/gm)?.length]).toEqual([1, 1]);
    expect(out).toMatch(/^grad\/head\.weight .*differs$/m);
    expect((await verify(wrong, "--loss", loss, "--rtol", "0.1")).code).toBe(0);
  });

  it("tells what the dump lacks or what it is not, before anything is computed", async () => {
    expect(await verify(nothing)).toMatchObject({ code: 2, err: expect.stringContaining("of which loss?") });
    const lacking = await verify((t) => t.delete("param/head.bias"), "--loss", loss);
    expect(lacking).toMatchObject({ code: 1, err: expect.stringContaining("`head.bias` [3] is not in the file") });
    const extra = await verify((t) => t.set("param/dummy", float([1], [0])), "--loss", loss);
    expect(extra).toMatchObject({ code: 1, err: expect.stringContaining("`dummy` [1] of the file has no place in the network") });
    expect(await verify((t) => ["out.0", "eval.out.0"].forEach((name) => t.delete(name)))).toMatchObject({ code: 1, err: expect.stringContaining("N1047") });
    expect(await verify((t) => t.delete("input"), "--loss", loss)).toMatchObject({ code: 1, err: expect.stringContaining("has no `input`") });
    expect(await verify((t) => t.delete("target.0"), "--loss", loss)).toMatchObject({ code: 1, err: expect.stringContaining("has no `target.0`") });
  });
});
