// Launches that differ only in their tensors and axes share one program, and each keeps its own tensors.

import { describe, expect, it } from "vitest";
import { apply, index, makeAxis, read, real, reduce, type Expr } from "../../compiler/ir/expr.ts";
import { define, source, type Tensor } from "../../compiler/ir/graph.ts";
import { apart } from "../../compiler/kernels/join.ts";
import { printLoops } from "../../compiler/kernels/loops.ts";
import { Twins } from "../../compiler/kernels/twins.ts";

const origin = { span: undefined, path: "twins" };

/** `y[i] = factor + sum[k](x[i, k] * w[k])` over sources of its own; with `w` left out, `x` stands for it too. */
function rows({ factor = 2, n = 6, m = 5, half = false, own = true } = {}): Tensor {
  const x = { ...source("x", [n, m], origin), half };
  const w = source("w", [n, m], origin);
  const [i, k] = [makeAxis("i", n), makeAxis("k", m)];
  const at = (t: Tensor): Expr => read(t, [index(i), index(k)]);
  return define("y", [i], apply("add", real(factor), reduce("sum", [k], [], apply("mul", at(x), at(own ? w : x)))), origin);
}

function lowered(...all: readonly Tensor[]): ReturnType<Twins["of"]>[] {
  const twins = new Twins({ wanted: 1 });
  return apart(all.map((root) => ({ root, body: root.body as Expr, inlined: [], why: "", covered: [] }))).map((g) => twins.of(g));
}

describe("twins", () => {
  it("share a program and read their own tensors", () => {
    const [a, b] = [rows(), rows()];
    const [first, second] = lowered(a, b);
    expect(second?.loops.like).toBe(first?.loops);
    expect(second?.loops.writes).toEqual([b]);
    expect(second?.loops.reads.every((t) => !first?.loops.reads.includes(t))).toBe(true);
    // Written down, the program is the one that lowering would have made.
    const [alone] = lowered(b);
    expect(second && printLoops(second.loops)).toBe(alone && printLoops(alone.loops));
    expect(second?.loops.body).toEqual(alone?.loops.body);
    expect(second?.kernel.schedule).toEqual(alone?.kernel.schedule);
  });

  it.each([["a number", { factor: 3 }], ["an extent", { m: 7 }], ["how it lies in memory", { half: true }], ["which tensors are the same", { own: false }]])(
    "are none when %s differs", (_, other) => {
      expect(lowered(rows(), rows(other)).map(({ loops }) => loops.like)).toEqual([undefined, undefined]);
    });
});
