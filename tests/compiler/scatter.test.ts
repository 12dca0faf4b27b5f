// Sums whose terms land where data say, on the device: against f64 sums, the same in every run, and honest about what is no number.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drawValue } from "../../compiler/ir/draw.ts";
import { apply, draw, index, int, makeAxis, read, real, reduce } from "../../compiler/ir/expr.ts";
import { define, source, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { compileDefinitions } from "../../compiler/pipeline.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { execute } from "./execute.ts";
import { noise } from "./noise.ts";

const origin = { span: undefined, path: "test" };
let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

/** `y[c, j…] = Σ[i where at[a, i] == j_a] v[c, i]` over a grid of any rank; `at` has one row per axis of the grid. */
function landed(channels: number, grid: readonly number[], count: number): { at: Tensor; v: Tensor; y: Tensor } {
  const at = source("at", [grid.length, count], origin);
  const v = source("v", [channels, count], origin);
  const c = makeAxis("c", channels);
  const j = grid.map((n, k) => makeAxis(`j${k}`, n));
  const i = makeAxis("i", count);
  const where = j.map((a, k) => apply("eq", apply("floor", read(at, [int(k), index(i)])), index(a)));
  return { at, v, y: define("y", [c, ...j], reduce("sum", [i], where, read(v, [index(c), index(i)])), origin) };
}

interface Problem {
  readonly channels: number;
  readonly grid: readonly number[];
  readonly at: Float32Array;
  readonly v: Float32Array;
}

/** The sums in f64, and of the sizes of what landed. */
function reference({ channels, grid, at, v }: Problem): { sums: Float64Array; sizes: Float64Array } {
  const count = at.length / grid.length;
  const points = grid.reduce((n, e) => n * e, 1);
  const sums = new Float64Array(channels * points);
  const sizes = new Float64Array(channels * points);
  for (let i = 0; i < count; i++) {
    const place = grid.map((_, k) => Math.floor(at[k * count + i] as number));
    if (place.some((p, k) => p < 0 || p >= (grid[k] as number))) continue;
    const flat = place.reduce((sum, p, k) => sum * (grid[k] as number) + p, 0);
    for (let c = 0; c < channels; c++) {
      const term = v[c * count + i] as number;
      sums[c * points + flat] = (sums[c * points + flat] as number) + term;
      sizes[c * points + flat] = (sizes[c * points + flat] as number) + Math.abs(term);
    }
  }
  return { sums, sizes };
}

/** The device's sums, from each of several runs. */
async function run({ channels, grid, at, v }: Problem, times = 1): Promise<readonly Float32Array[]> {
  const problem = landed(channels, grid, at.length / grid.length);
  const { plan, kernels } = compileDefinitions("landed", [problem.at, problem.v], [{ name: "y", tensor: problem.y }], device.profile);
  expect(kernels.map((k) => k.schedule.strategy)).toContain("scatter");
  const session = await Session.create(device, plan);
  try {
    session.poison();
    session.write("at", at);
    session.write("v", v);
    const results: Float32Array[] = [];
    for (let n = 0; n < times; n++) {
      await session.run();
      results.push((await session.read("y")).slice());
    }
    return results;
  } finally {
    session.destroy();
  }
}

/** Terms that land anywhere in the grid and up to a tenth of it outside. */
function scattered(channels: number, grid: readonly number[], count: number): Problem {
  const at = Float32Array.from(grid.flatMap((n, k) => [...noise(count, 5 + k)].map((r) => (r * 0.6 + 0.5) * n)));
  return { channels, grid, at, v: Float32Array.from(noise(channels * count, 3)) };
}

/** Every sum is right to f32 rounding of its terms' sizes. */
function expectClose(got: Float32Array, { sums, sizes }: ReturnType<typeof reference>): void {
  let worst = 0;
  sums.forEach((want, i) => (worst = Math.max(worst, Math.abs((got[i] as number) - want) / (sizes[i] || 1e-30))));
  expect(worst).toBeLessThan(2e-7);
}

describe("terms that land where data say", () => {
  it.each([
    ["one axis", scattered(1, [7], 40)],
    ["three axes that differ, and channels", scattered(3, [5, 7, 4], 900)],
    ["more terms than fit one launch axis", scattered(2, [11, 6], 70_001)],
    ["48 cubed", scattered(1, [48, 48, 48], 110_592)],
    ["96 cubed", scattered(1, [96, 96, 96], 200_003)],
  ])("add up: %s", async (_, problem) => {
    const [got] = await run(problem);
    expectClose(got as Float32Array, reference(problem));
  });

  it("add up where all land on one point and nearly cancel", async () => {
    const count = 60_000;
    const v = Float32Array.from(noise(count, 9), (x, i) => (i % 2 === 0 ? 1000 + x : -1000));
    const problem = { channels: 1, grid: [3], at: new Float32Array(count).fill(1.5), v };
    const [got] = await run(problem);
    const { sums } = reference(problem);
    expect(Math.abs((got?.[1] as number) - (sums[1] as number))).toBeLessThan(1e-5 * Math.abs(sums[1] as number));
    expect([got?.[0], got?.[2]]).toEqual([0, 0]);
  });

  it("keep small sums beside large ones", async () => {
    const problem = { channels: 1, grid: [2], at: Float32Array.from([0, 1, 1]), v: Float32Array.from([1e6, 3e-5, -1e-5]) };
    const [got] = await run(problem);
    expect((got?.[1] as number) / 2e-5).toBeCloseTo(1, 5);
    expect(got?.[0]).toBeCloseTo(1e6, 0);
  });

  it("are the same in every run, bit by bit", async () => {
    const results = await run(scattered(2, [5, 6], 30_000), 4);
    for (const other of results.slice(1)) expect(other).toEqual(results[0]);
  });

  it("add up sample by sample, where every sample says so for itself", () => {
    const [samples, points, count] = [3, 5, 40];
    const at = source("at", [samples, count], origin);
    const v = source("v", [samples, count], origin);
    const [n, j, i] = [makeAxis("n", samples), makeAxis("j", points), makeAxis("i", count)];
    const where = apply("eq", apply("add", apply("floor", read(at, [index(n), index(i)])), int(-1)), index(j));
    const y = define("y", [n, j], reduce("sum", [i], [where], read(v, [index(n), index(i)])), origin);
    const made = compileDefinitions("landed", [at, v], [{ name: "y", tensor: y }], leastProfile);
    expect(made.kernels.map((k) => k.schedule.strategy)).toContain("scatter");
    const values = new Map([[at, noise(samples * count, 5).map((r) => (r * 0.6 + 0.5) * points)], [v, noise(samples * count, 3)]]);
    const got = execute(made, new Map([...values].map(([t, x]) => [t.name, x]))).get("y");
    interpret(y, { values }).forEach((want, k) => expect(got?.[k]).toBeCloseTo(want, 12));
  });

  it("add up where data are drawn for one sample", () => {
    const count = 7;
    const ways = [0, 1, 2, 3].map((site) => {
      const v = source("v", [1, count], origin);
      const [j, n, i, own] = [makeAxis("j", count), makeAxis("n", 1), makeAxis("i", count), makeAxis("n", 1)];
      const flag = define("flag", [own], draw(site, index(own)), origin);
      const place = apply("select", apply("lt", read(flag, [index(n)]), real(0.5)), apply("sub", int(count - 1), index(i)), index(i));
      const y = define("y", [j], reduce("sum", [n, i], [apply("eq", place, index(j))], read(v, [index(n), index(i)])), origin);
      const values = noise(count, 3);
      const made = compileDefinitions("landed", [v], [{ name: "y", tensor: y }], leastProfile);
      const got = execute(made, new Map([["v", values]])).get("y") ?? [];
      const turned = drawValue(0, 0, site, 0) < 0.5;
      values.forEach((_, k) => expect(got[k]).toBeCloseTo(values[turned ? count - 1 - k : k] as number, 12));
      return turned;
    });
    expect(new Set(ways).size).toBe(2);
  });

  it("are no number where a term is none", async () => {
    const { channels, grid, at, v } = scattered(1, [6], 50);
    for (const bad of [NaN, Infinity]) {
      const [got] = await run({ channels, grid, at: at.fill(2, 7, 8), v: Float32Array.from(v, (x, i) => (i === 7 ? bad : x)) });
      expect(Number.isFinite(got?.[2])).toBe(false);
    }
  });

  it("give zeros where nothing lands", async () => {
    const [got] = await run({ channels: 2, grid: [3], at: new Float32Array(8).fill(-4), v: Float32Array.from(noise(16, 2)) });
    expect([...(got as Float32Array)]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
