// Kernels brought to another size: by hand in one axis, and MedNeXt's transfer against its published code.

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { instantiate, officialNames, parseNames } from "../../compiler/front/front.ts";
import { shapeOf } from "../../compiler/ir/graph.ts";
import type { Wanted, Weights } from "../../runtime/train/checkpoint.ts";
import { resizeKernels } from "../../runtime/weights/upkern.ts";
import { program } from "../front/library.ts";
import { stored } from "../front/stored.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const there = existsSync(`${golden}/mednext-upkern.json`);
if (!there) console.warn(`skipped: no mednext-upkern in ${golden}`);

const tensor = (shape: readonly number[], ...values: number[]): Weights => ({ shape, data: Float32Array.from(values) });

function resized(from: Weights, to: readonly number[], rank: number): { shape: readonly number[]; values: number[]; touched: boolean } {
  const { tensors, resized: names } = resizeKernels(new Map([["w", from]]), [{ name: "w", shape: to }], rank);
  const got = tensors.get("w");
  return { shape: got?.shape ?? [], values: [...(got?.data ?? [])], touched: names.length > 0 };
}

describe("a kernel", () => {
  it("of three becomes one of five by half-pixel centres, clamped", () => {
    const { shape, values } = resized(tensor([2, 3], 1, 2, 4, 10, 20, 40), [2, 5], 1);
    expect(shape).toEqual([2, 5]);
    // Source places 0 (clamped), 0.4, 1, 1.6 and 2 (clamped).
    [1, 1.4, 2, 3.2, 4, 10, 14, 20, 32, 40].forEach((wanted, n) => expect(values[n]).toBeCloseTo(wanted, 5));
  });

  it("is resized axis by axis, each by its own extents", () => {
    // f(z, y) = 100 z + y is linear, so every inner place is met exactly.
    const from = tensor([1, 1, 3, 4], ...[0, 1, 2].flatMap((z) => [0, 1, 2, 3].map((y) => 100 * z + y)));
    const place = (t: number, n: number, m: number): number => Math.min(Math.max(((t + 0.5) * n) / m - 0.5, 0), n - 1);
    const { values } = resized(from, [1, 1, 5, 2], 2);
    expect(values.length).toBe(10);
    values.forEach((v, i) => expect(v).toBeCloseTo(100 * place(Math.floor(i / 2), 3, 5) + place(i % 2, 4, 2), 4));
  });

  it("is left alone where other axes differ, or there is nothing but kernel axes", () => {
    expect(resized(tensor([2, 1, 3], 1, 2, 3, 4, 5, 6), [3, 1, 5], 1).touched).toBe(false);
    expect(resized(tensor([3], 1, 2, 3), [5], 1).touched).toBe(false);
    expect(resized(tensor([1, 3], 1, 2, 3), [1, 1, 5], 1).touched).toBe(false);
  });
});

describe.skipIf(!there)("MedNeXt from small to large kernels", () => {
  const json = there ? (JSON.parse(readFileSync(`${golden}/mednext-upkern.json`, "utf8")) as {
    config: { in_channels: number; n_channels: number; n_classes: number; exp_r: number; block_counts: number[] };
    parameters_copied_unchanged: readonly string[];
  }) : undefined;
  const data = there ? stored(`${golden}/mednext-upkern.safetensors`) : new Map<never, never>();

  /** The weights of the network of the sidecar with one kernel. */
  function weightsOf(kernel: number): readonly Wanted[] {
    const c = json?.config;
    const { graph } = instantiate(program("nets/mednext.net"), "MedNeXt", {
      set: { width: String(c?.n_channels), classes: String(c?.n_classes), ratio: `[${c?.exp_r}; 9]`, depth: JSON.stringify(c?.block_counts), kernel: String(kernel) },
      inputs: [[1, c?.in_channels ?? 0, 32, 32, 32]], training: true,
    });
    return (graph?.weights ?? []).map(({ path, tensor: t }) => ({ name: path, shape: shapeOf(t) }));
  }

  /** The kernel's edge in a stored tensor. */
  const edge = (part: "small" | "large"): number => [...data].flatMap(([name, { shape }]) => (name.startsWith(`${part}/`) ? [shape.at(-1) ?? 0] : []))[0] ?? 0;

  it("resizes the stored kernels and copies everything else", () => {
    const [small, large] = [weightsOf(edge("small")), weightsOf(edge("large"))];
    const official = officialNames(parseNames(readFileSync("nets/mednext.names", "utf8")), small.map(({ name }) => name));
    const named = (name: string): string => official.get(name) ?? "";
    let seed = 1;
    const before = new Map(small.map(({ name, shape }): [string, Weights] => {
      const known = data.get(`small/${named(name)}`)?.values;
      const size = shape.reduce((a, b) => a * b, 1);
      return [name, { shape, data: known === undefined ? Float32Array.from({ length: size }, () => Math.sin(seed++)) : Float32Array.from(known) }];
    }));
    const { tensors, resized: touched } = resizeKernels(before, large, 3);

    const kernels = [...data.keys()].flatMap((name) => (name.startsWith("large/") ? [name.slice(6)] : []));
    expect(kernels.length).toBeGreaterThan(0);
    expect(touched.map(named).sort()).toEqual([...kernels].sort());
    for (const name of touched) {
      const wanted = data.get(`large/${named(name)}`);
      const got = tensors.get(name);
      expect(got?.shape, name).toEqual(wanted?.shape);
      expect(Math.max(...[...(got?.data ?? [])].map((v, i) => Math.abs(v - (wanted?.values[i] ?? NaN)))), name).toBeLessThan(1e-6);
    }
    const unchanged = [...tensors].filter(([name, { data: values }]) => values === before.get(name)?.data).map(([name]) => named(name));
    // A parameter of the list that our network does not have reaches no output.
    const have = new Set([...official.values()]);
    expect(unchanged.sort()).toEqual(json?.parameters_copied_unchanged.filter((name) => have.has(name)).sort());
    expect(large.map(({ name }) => named(name)).sort()).toEqual([...unchanged, ...touched.map(named)].sort());
  });
});
