// Weights whose axes lie in another order in memory: there and back.

import { describe, expect, it } from "vitest";
import { fromMemory, toMemory } from "../../runtime/order.ts";

describe("axes in another order", () => {
  const port = { shape: [2, 3, 4], order: [2, 0, 1] };
  const values = Float32Array.from({ length: 24 }, (_, i) => i);

  it("put each element where the order says", () => {
    const there = toMemory(port, values);
    for (let a = 0; a < 2; a++) for (let b = 0; b < 3; b++) for (let c = 0; c < 4; c++) {
      expect(there[(c * 2 + a) * 3 + b]).toBe((a * 3 + b) * 4 + c);
    }
  });

  it("come back as they were", () => {
    expect(fromMemory(port, new Float32Array(toMemory(port, values)))).toEqual(values);
    expect(toMemory({ shape: [24] }, values)).toBe(values);
  });
});
