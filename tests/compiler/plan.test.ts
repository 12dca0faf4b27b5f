// Memory, order of launches and the tiling of kernels, apart from any device.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apply, index, int, makeAxis, read, real, reduce, type Expr, type Read } from "../../compiler/ir/expr.ts";
import { define, source, type Tensor } from "../../compiler/ir/graph.ts";
import { fuse } from "../../compiler/kernels/fuse.ts";
import { isOwnPoint } from "../../compiler/kernels/kernel.ts";
import { tilesFor } from "../../compiler/kernels/tile.ts";
import { compileDefinitions } from "../../compiler/pipeline.ts";
import { assign } from "../../compiler/plan/memory.ts";
import { orderLaunches } from "../../compiler/plan/schedule-steps.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { allCases } from "./cases.ts";

const origin = { span: undefined, path: "test" };

describe("memory", () => {
  const life = fc.record({ bytes: fc.integer({ min: 1, max: 3000 }), first: fc.nat(20), length: fc.nat(6), apart: fc.array(fc.nat(29), { maxLength: 2 }) })
    .map((l) => ({ bytes: l.bytes, first: l.first, last: l.first + l.length, apart: l.apart }));

  it("never lays two values that live at the same time over each other, nor two together that must be apart", () => {
    fc.assert(fc.property(fc.array(life, { maxLength: 30 }), (given) => {
      const lives = given.map((l, i) => ({ ...l, apart: l.apart.filter((k) => k < given.length && k !== i) }));
      const { buffer, offset, bytes } = assign(lives);
      lives.forEach((a, i) => {
        const from = offset[i] as number;
        expect(from % 256).toBe(0);
        expect(bytes[buffer[i] as number]).toBeGreaterThanOrEqual(from + a.bytes);
        for (const k of a.apart) expect(buffer[i]).not.toBe(buffer[k]);
        lives.forEach((b, k) => {
          if (k <= i || buffer[i] !== buffer[k] || a.first > b.last || b.first > a.last) return;
          const other = offset[k] as number;
          expect(from + a.bytes <= other || other + b.bytes <= from).toBe(true);
        });
      });
    }));
  });

  it("takes one buffer for a chain of values that follow each other, and lays small ones side by side", () => {
    const value = (bytes: number, first: number, last: number) => ({ bytes, first, last, apart: [] });
    expect(assign([value(512, 0, 1), value(512, 2, 3), value(256, 4, 5), value(200, 4, 5)]).bytes).toEqual([512]);
  });
});

describe("order of launches", () => {
  const t = (name: string): Tensor => source(name, [1], origin);

  it("puts writers before readers and overwriting after the last reader", () => {
    const [w, g, loss, next] = [t("w"), t("g"), t("loss"), t("next")] as [Tensor, Tensor, Tensor, Tensor];
    const launches = [{ writes: next, reads: [w, g] }, { writes: g, reads: [w] }, { writes: loss, reads: [w] }];
    const order = orderLaunches(launches, new Map(), new Map([[next, [w]]]));
    expect(order.indexOf(0)).toBe(2);
  });

  it("waits for all parts of a pack", () => {
    const [a, b, flat, norm] = [t("a"), t("b"), t("flat"), t("norm")] as [Tensor, Tensor, Tensor, Tensor];
    const order = orderLaunches([{ writes: norm, reads: [flat] }, { writes: a, reads: [] }, { writes: b, reads: [] }], new Map([[flat, [a, b]]]), new Map());
    expect(order.indexOf(0)).toBe(2);
  });

  it("says so when two launches wait for each other", () => {
    const [a, b] = [t("a"), t("b")] as [Tensor, Tensor];
    expect(() => orderLaunches([{ writes: a, reads: [b] }, { writes: b, reads: [a] }], new Map(), new Map())).toThrow(/wait for each other/);
  });
});

describe("fusion", () => {
  it("writes a chain of element-wise definitions into one kernel, and stores what is dear and read often", () => {
    const x = source("x", [64, 64], origin);
    const pointwise = (name: string, of: Tensor, fn: "neg" | "erf"): Tensor => {
      const axes = [makeAxis("i", 64), makeAxis("j", 64)];
      return define(name, axes, apply(fn, read(of, axes.map(index))), origin);
    };
    const a = pointwise("a", x, "neg");
    const b = pointwise("b", a, "neg");
    expect(fuse([b], { mustStore: new Set(), maxBindings: 8, bindingsOf: () => 1, nested: "cheap", isCard: false }).map((k) => k.root.name)).toEqual(["b"]);
    const dear = pointwise("dear", x, "erf");
    const [i, j, k] = [makeAxis("i", 64), makeAxis("j", 64), makeAxis("k", 64)];
    const product = define("product", [i, j], reduce("sum", [k], [], apply("mul", read(dear, [index(i), index(k)]), read(x, [index(k), index(j)]))), origin);
    expect(fuse([product], { mustStore: new Set(), maxBindings: 8, bindingsOf: () => 1, nested: "cheap", isCard: false }).map((f) => f.root.name)).toEqual(["dear", "product"]);
  });

  it("never lets a kernel touch more tensors than may be bound", () => {
    const axis = makeAxis("i", 8);
    const many = Array.from({ length: 20 }, (_, n) => source(`x${n}`, [8], origin));
    const squares = many.map((m) => {
      const own = makeAxis("i", 8);
      return define(`s_${m.name}`, [own], apply("mul", read(m, [index(own)]), real(2)), origin);
    });
    const pairs = Array.from({ length: 4 }, (_, n) => {
      const own = makeAxis("i", 8);
      const body = squares.slice(n * 5, n * 5 + 5).map((s) => read(s, [index(own)])).reduce((p, q) => apply("add", p, q));
      return define(`p${n}`, [own], body, origin);
    });
    const all = define("all", [axis], pairs.map((p) => read(p, [index(axis)])).reduce((p, q) => apply("add", p, q)), origin);
    const { plan } = compileDefinitions("sum", many, [{ name: "all", tensor: all }], { ...leastProfile, maxBindings: 6 });
    for (const s of plan.steps) if (s.kind === "dispatch") expect(s.bindings.length).toBeLessThanOrEqual(6);
  });
});

describe("a read", () => {
  it("is of a launch's own point where each long axis has its index, in order, and a short one 0", () => {
    const t = source("t", [1, 4, 5], origin);
    const [i, j] = [makeAxis("i", 4), makeAxis("j", 5)];
    const of = (...at: readonly Expr[]): Read => read(t, at, "zero") as Read;
    expect(isOwnPoint(of(int(0), index(i), index(j)), [i, j])).toBe(true);
    expect(isOwnPoint(of(apply("sub", index(i), int(1)), index(i), index(j)), [i, j])).toBe(false);
    expect(isOwnPoint(of(int(0), index(i), apply("add", index(j), int(1))), [i, j])).toBe(false);
    expect(isOwnPoint(of(int(0), index(i), index(j)), [j, i])).toBe(false);
    expect(isOwnPoint(of(int(0), index(i), index(j)), [i, j, makeAxis("k", 2)])).toBe(false);
  });
});

describe("tiles", () => {
  it("begin with the one that is made where no more are asked for", () => {
    for (const c of allCases()) {
      if (!c.result.body) continue;
      const group = { axes: c.result.axes, results: [{ root: c.result, body: c.result.body, inlined: [], why: "", covered: [] }], covered: [], joined: [] };
      for (const lanes of [{ wanted: 4 }, { wanted: 4, mates: 8 }]) expect(tilesFor(group, lanes, 1)).toEqual(tilesFor(group, lanes).slice(0, 1));
    }
  });

  it("are no wider than their axes and leave enough invocations", () => {
    for (const c of allCases()) {
      if (!c.result.body) continue;
      const offered = tilesFor({ axes: c.result.axes, results: [{ root: c.result, body: c.result.body, inlined: [], why: "", covered: [] }], covered: [], joined: [] }, { wanted: 4 });
      expect(offered.length).toBeGreaterThan(0);
      for (const { tile } of offered) {
        for (const [a, w] of tile) expect(w).toBeLessThanOrEqual(a.extent);
        const width = [...tile.values()].reduce((n, w) => n * w, 1);
        if (width > 1) expect(c.result.axes.reduce((n, a) => n * a.extent, 1) / width).toBeGreaterThanOrEqual(4);
      }
    }
  });

  it("prints a small kernel as it will run", () => {
    const x = source("x", [4, 6], origin);
    const [i, k] = [makeAxis("i", 4), makeAxis("k", 6)];
    const y = define("y", [i], reduce("sum", [k], [apply("lt", index(k), int(5))], read(x, [index(i), index(k)])), origin);
    const { plan } = compileDefinitions("rows", [x], [{ name: "y", tensor: y }], leastProfile);
    expect(plan.shaders.map((s) => s.wgsl).join("\n")).toMatchInlineSnapshot(`
      "@group(0) @binding(1) var<storage, read_write> buf0: array<f32>;
      @group(0) @binding(2) var<storage, read> buf1: array<f32>;
      @compute @workgroup_size(16)
      fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
        let id = i32(gid.x);
        if (id >= 4) { return; }
        let at0_i = id;
        let v0 = buf1[at0_i];
        let v1 = buf1[(at0_i + 4)];
        let v2 = (v0 + v1);
        let v3 = buf1[(at0_i + 8)];
        let v4 = (v2 + v3);
        let v5 = buf1[(at0_i + 12)];
        let v6 = (v4 + v5);
        let v7 = buf1[(at0_i + 16)];
        let v8 = (v6 + v7);
        buf0[at0_i] = v8;
      }
      "
    `);
  });
});
