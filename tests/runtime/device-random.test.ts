// Starting values: the generator is the published one, and the values have the promised distribution.

import { describe, expect, it } from "vitest";
import { startValues, threefry } from "../../runtime/random.ts";

describe("threefry", () => {
  // From the known-answer file of the authors' library, threefry2x32 with 20 rounds.
  it.each([
    [[0, 0], [0, 0], [0x6b200159, 0x99ba4efe]],
    [[0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x1cb996fc, 0xbb002be7]],
    [[0x243f6a88, 0x85a308d3], [0x13198a2e, 0x03707344], [0xc4923a9c, 0x483df7a0]],
  ])("encrypts %j under %j", (counter, key, expected) => {
    const words = Uint32Array.from(counter);
    threefry(words, key[0] ?? 0, key[1] ?? 0);
    expect([...words]).toEqual(expected);
  });
});

describe("start values", () => {
  const moments = (values: Float32Array): { mean: number; deviation: number; kurtosis: number } => {
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const power = (p: number): number => values.reduce((a, b) => a + (b - mean) ** p, 0) / values.length;
    return { mean, deviation: Math.sqrt(power(2)), kurtosis: power(4) / power(2) ** 2 };
  };
  const count = 200_001;

  it("are normal", () => {
    const { mean, deviation, kurtosis } = moments(startValues({ kind: "normal", deviation: 3 }, count, 1, "a"));
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(deviation).toBeCloseTo(3, 1);
    expect(kurtosis).toBeCloseTo(3, 1);
  });

  it("are uniform within their bound", () => {
    const values = startValues({ kind: "uniform", bound: 0.1 }, count, 1, "a");
    const { mean, deviation, kurtosis } = moments(values);
    expect(Math.abs(mean)).toBeLessThan(0.001);
    expect(deviation).toBeCloseTo(0.1 / Math.sqrt(3), 3);
    expect(kurtosis).toBeCloseTo(1.8, 1);
    expect(values.every((v) => v >= -Math.fround(0.1) && v < Math.fround(0.1))).toBe(true);
  });

  it("depend on seed, path and index, and on nothing else", () => {
    const values = (seed: number, path: string, n = 101): number[] => [...startValues({ kind: "normal", deviation: 1 }, n, seed, path)];
    expect(values(5, "e[0].weight").slice(0, 50)).toEqual(values(5, "e[0].weight", 50));
    const all = new Set([...values(5, "e[0].weight"), ...values(6, "e[0].weight"), ...values(5, "e[1].weight"), ...values(5, "e[0].offset")]);
    expect(all.size).toBeGreaterThan(400);
    expect(values(5, "e[0].weight").slice(0, 3)).toMatchInlineSnapshot(`
      [
        -1.1328216791152954,
        1.6446200609207153,
        1.0475742816925049,
      ]
    `);
  });
});
