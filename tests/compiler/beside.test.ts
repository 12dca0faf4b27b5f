// Launches of different shapes that share one, values that are written over others, and results at all points of an axis.

import { describe, expect, it } from "vitest";
import { apply, index, int, makeAxis, read, real, reduce, type Axis, type Expr } from "../../compiler/ir/expr.ts";
import { define, sizeOf, source, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { printLoops } from "../../compiler/kernels/loops.ts";
import { compileDefinitions, compileTraining, type Compiled } from "../../compiler/pipeline.ts";
import { replaceable } from "../../compiler/plan/lives.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { trainingOf } from "../front/library.ts";
import { execute } from "./execute.ts";
import { noise } from "./noise.ts";

const origin = { span: undefined, path: "beside" };
const at = (t: Tensor, ...axes: readonly Axis[]): Expr => read(t, axes.map(index));
/** `y[i] = sum[k](x[i, k])` */
function rows(x: Tensor, name: string): Tensor {
  const [i, k] = x.axes.map((a) => makeAxis(a.name, a.extent)) as [Axis, Axis];
  return define(name, [i], reduce("sum", [k], [], at(x, i, k)), origin);
}
/** `y[i] = f(x[i])` of a vector. */
function mapped(x: Tensor, name: string, f: (v: Expr) => Expr): Tensor {
  const i = makeAxis("i", x.axes[0]?.extent ?? 1);
  return define(name, [i], f(at(x, i)), origin);
}
const plus = (n: number) => (v: Expr): Expr => apply("add", v, real(n));

/** Compiles outputs, and holds what they come to against the interpreter. */
function checked(sources: readonly Tensor[], tensors: readonly Tensor[], profile: Partial<Profile> = {}, everything = false): Compiled {
  const made = compileDefinitions("beside", sources, tensors.map((tensor) => ({ name: tensor.name, tensor })), { ...leastProfile, lanes: 4, maxBindings: 12, ...profile }, { everything });
  const values = new Map(sources.map((t, n) => [t, Float64Array.from(noise(sizeOf(t), n + 3))]));
  const got = execute(made, new Map([...values].map(([t, v]) => [t.name, v])));
  for (const t of tensors) {
    const expected = interpret(t, { values });
    expected.forEach((v, n) => expect(got.get(t.name)?.[n], `${t.name}[${n}]`).toBeCloseTo(v, 9));
  }
  return made;
}

const names = ({ launches }: Compiled): readonly string[] => launches.map((l) => l.kernels.map((k) => k.name).sort().join(" | "));

describe("launches beside each other", () => {
  const [p, q] = [source("p", [33, 5], origin), source("q", [70, 40], origin)];

  it("have ranges of their own, of whole workgroups", () => {
    const made = checked([p, q], [rows(p, "a"), rows(q, "b")]);
    expect(names(made)).toEqual(["a | b"]);
    expect(made.plan.steps).toHaveLength(1);
    const [launch] = made.launches;
    const starts = [...(launch ? printLoops(launch.loops) : "").matchAll(/if and\(le\((\d+), /g)].map((m) => Number(m[1]));
    const size = Number(/@workgroup_size\((\d+)\)/.exec(made.plan.shaders[0]?.wgsl ?? "")?.[1]);
    expect(starts).toHaveLength(1);
    expect([...starts, launch?.loops.invocations ?? 1].map((n) => n % size)).toEqual([0, 0]);
    expect(launch?.beside).toHaveLength(1);
    // What the launch costs is what both cost.
    const apart = checked([p, q], [rows(p, "a"), rows(q, "b")], { apart: true });
    expect(names(apart)).toEqual(["a", "b"]);
    const costs = (c: Compiled): readonly number[] => c.plan.steps.map((s) => (s.kind === "dispatch" ? s.cost.flops : 0));
    expect(costs(made)).toEqual([costs(apart).reduce((x, y) => x + y, 0)]);
  });

  it("need nothing of each other", () => {
    const a = rows(p, "a");
    const total = define("b", [makeAxis("i", 3)], (() => {
      const k = makeAxis("k", 33);
      return reduce("sum", [k], [], at(a, k));
    })(), origin);
    const made = checked([p, q], [a, total, rows(q, "c")]);
    expect(made.launches).toHaveLength(2);
    const [first, second] = names(made);
    expect(first).toContain("a");
    expect(second).toContain("b");
  });

  it("are as many as an adapter binds at once", () => {
    const all = Array.from({ length: 6 }, (_, n) => source(`p${n}`, [n + 2, 9], origin));
    const made = checked(all, all.map((t, n) => rows(t, `s${n}`)), { maxBindings: 4 });
    expect(made.launches.map((l) => l.kernels.length)).toEqual([2, 2, 2]);
  });

  it("share a program with others that differ only in their tensors", () => {
    const sources = [source("x", [20], origin), source("z", [30], origin)];
    const mirrored = (t: Tensor, name: string): Tensor => {
      const i = makeAxis("i", sizeOf(t));
      return define(name, [i], apply("add", read(t, [apply("sub", int(sizeOf(t) - 1), index(i))]), real(2)), origin);
    };
    const chains = sources.map((t, n) => mirrored(mirrored(mirrored(t, `a${n}`), `b${n}`), `c${n}`));
    const made = checked(sources, chains, {}, true);
    expect(names(made)).toEqual(["a0 | a1", "b0 | b1", "c0 | c1"]);
    expect(made.plan.shaders).toHaveLength(1);
  });

  it("may load for each other, a whole number of subgroups in each range", () => {
    /** `y[o, i] = sum[c](w[o, c] * x[c, i])` */
    const mixed = (name: string, channels: number, points: number): { readonly given: readonly Tensor[]; readonly y: Tensor } => {
      const [w, x] = [source(`w${name}`, [3, channels], origin), source(`x${name}`, [channels, points], origin)];
      const [o, i, c] = [makeAxis("o", 3), makeAxis("i", points), makeAxis("c", channels)];
      return { given: [w, x], y: define(name, [o, i], reduce("sum", [c], [], apply("mul", at(w, o, c), at(x, c, i))), origin) };
    };
    const choose = (_: string, offered: readonly string[]): string | undefined => offered.find((o) => o.includes("subgroup"));
    const parts = [mixed("a", 24, 40), mixed("b", 40, 24)];
    const made = checked([...parts.flatMap((m) => m.given), p], [...parts.map((m) => m.y), rows(p, "s")], { lanes: 64, subgroup: 8, choose });
    expect(names(made)).toEqual(["a | b | s"]);
    const text = printLoops((made.launches[0] as Compiled["launches"][number]).loops);
    expect(text).toMatch(/^[^\n]* in subgroups of 8\n/);
    expect(text).toMatch(/of mate [1-7]/);
    const starts = [...text.matchAll(/if and\(le\((\d+), /g)].map((m) => Number(m[1]));
    expect(starts.map((n) => n % 8)).toEqual([0, 0]);
  });

  it("stay apart where all lanes would pass through much of each other, though not on a card", () => {
    const long = source("x", [1 << 17], origin);
    const dear = (v: Expr): Expr => Array.from({ length: 12 }, () => 0).reduce((e) => apply("sin", e), v);
    const given = [mapped(long, "y", plus(1)), mapped(source("z", [1 << 14], origin), "w", dear)];
    const of = (lanes: number): number => compileDefinitions("x", [long], given.map((tensor) => ({ name: tensor.name, tensor })), { ...leastProfile, lanes }).launches.length;
    expect(of(128)).toBe(2);
    expect(of(32768)).toBe(1);
  });

  it("stay apart where much more would live at once", () => {
    const total = (x: Tensor): Tensor => define(`${x.name}_total`, [], (() => { const k = makeAxis("k", x.axes[0]?.extent ?? 1); return reduce("sum", [k], [], at(x, k)); })(), origin);
    const long = (name: string, extent: number): Tensor => mapped(source(name, [extent], origin), `${name}_`, plus(1));
    const sharesOf = (extent: number): readonly string[] => {
      const kept = long("kept", 2 * extent);
      const [a, b] = [long("a", extent), long("b", extent + 1000)];
      const [first, second] = [total(a), total(b)];
      const end = define("end", kept.axes.map((x) => makeAxis(x.name, x.extent)), real(0), origin);
      const last = define("last", end.axes, apply("mul", at(kept, ...end.axes), apply("add", read(first, []), read(second, []))), origin);
      const sources = [kept, a, b].map((t) => (t.body?.kind === "apply" && t.body.args[0]?.kind === "read" ? t.body.args[0].tensor : t));
      return names(compileDefinitions("beside", sources, [{ name: "last", tensor: last }], { ...leastProfile, lanes: 4096, maxBindings: 12 }, { everything: true }));
    };
    expect(sharesOf(5000)).toContain("a_ | b_");
    expect(sharesOf(60000)).toContain("a_");
    expect(sharesOf(60000)).toContain("b_");
  });

  it("belong to the update, all or none", () => {
    const { plan, launches } = compileTraining(trainingOf(`
network Two(image: [N, M, *S], classes: int) { out logits = image |> Conv(4, 3) |> InstanceNorm |> gelu |> Conv(classes) }
train for Two(classes = 3) { patch = [8, 8]  batch = 2  loss = cross_entropy(logits, label)  optimizer = sgd(lr = 0.1, momentum = 0.9)  clip = 1 }`), { ...leastProfile, lanes: 64, maxBindings: 12 });
    const steps = plan.steps.filter((s) => s.kind === "dispatch");
    expect(steps).toHaveLength(launches.length);
    steps.forEach((s, n) => {
      const isUpdate = launches[n]?.kernels.map((k) => k.results.some(({ root }) => root.name.endsWith("_next")));
      expect(new Set(isUpdate).size, s.name).toBe(1);
      expect(isUpdate?.[0], s.name).toBe(s.phase === "update" && s.name.includes("_next"));
    });
    expect(launches.some((l) => l.kernels.length > 2)).toBe(true);
  });
});

describe("a value", () => {
  it("is written where another one lies that is read for the last time, at the same points only", () => {
    const x = source("x", [64], origin);
    /** `y[i] = f(a[63 - i], b[i])` */
    const mirrored = (name: string, a: Tensor, b: Tensor): Tensor => {
      const i = makeAxis("i", 64);
      return define(name, [i], apply("add", apply("mul", read(a, [apply("sub", int(63), index(i))]), real(3)), at(b, i)), origin);
    };
    const a = mapped(x, "a", plus(1));
    const b = mirrored("b", a, x);
    const c = mirrored("c", b, a);
    expect(replaceable([{ root: c, body: c.body ?? real(0) }]).get(c)).toEqual([a]);
    // Whoever reads `b` mirrored finds it whole, and `a` is needed until `c` is made.
    expect([...checked([x], [mirrored("d", c, c)], {}, true).over].map(([next, old]) => `${next.name} over ${old.name}`)).toEqual(["c over a"]);
    expect([...checked([x], [mirrored("d", c, a)], {}, true).over].map(([next, old]) => `${next.name} over ${old.name}`)).toEqual([]);
  });

  it("is written over another one by tiles that overlap, each point by one of them", () => {
    const [x, w] = [source("x", [13, 6], origin), source("w", [6, 6], origin)];
    const axes = (): [Axis, Axis, Axis] => [makeAxis("i", 13), makeAxis("c", 6), makeAxis("k", 6)];
    /** `y[i, c] = base[i, c] + sum[k](w[c, k] * x[12 - i, k])` */
    const mixed = (name: string, from: Tensor, base: Tensor | undefined): Tensor => {
      const [i, c, k] = axes();
      const sum = reduce("sum", [k], [], apply("mul", at(w, c, k), read(from, [apply("sub", int(12), index(i)), index(k)])));
      return define(name, [i, c], base ? apply("add", at(base, i, c), sum) : sum, origin);
    };
    const a = mixed("a", x, undefined);
    const y = mixed("y", mixed("m", a, undefined), a);
    const tiles = new Set<string>();
    for (let n = 0; n < 10; n++) {
      const made = checked([x, w], [mixed("z", y, undefined)], { choose: (_, offer) => offer[Math.min(n, offer.length - 1)] }, true);
      expect([...made.over].map(([next, old]) => `${next.name} over ${old.name}`)).toEqual(["y over a"]);
      for (const { results, schedule } of made.kernels) if (schedule.strategy === "map" && results[0]?.root.name === "y") tiles.add([...schedule.tile].map(([e, width]) => `${width} of ${e.extent}`).join());
    }
    for (const overlapping of ["8 of 13", "2 of 6,4 of 13"]) expect(tiles).toContain(overlapping);
  });

  it("may lack an axis of which an invocation takes all points", () => {
    const [c, s, k] = [makeAxis("c", 3), makeAxis("s", 50), makeAxis("k", 3)];
    const raw = source("raw", [3, 50], origin);
    const y = define("y", [c, s], apply("sin", at(raw, c, s)), origin);
    const top = define("top", [s], reduce("max", [k], [], at(y, k, s)), origin);
    const z = define("z", [c, s], apply("sub", at(y, c, s), at(top, s)), origin);
    const made = checked([raw], [y, top, z], {}, true);
    expect(names(made)).toEqual(["y, top, z"]);
    expect(made.kernels[0]?.results.map((r) => r.root.name)).toEqual(["y", "y", "y", "top", "z", "z", "z"]);
    expect(made.kernels[0]?.axes.map((a) => a.extent)).toEqual([50]);
    // Too few invocations would be left to keep a card busy, if there were much to do.
    const many = source("many", [8, 1 << 15], origin);
    const [d, t, m] = [makeAxis("d", 8), makeAxis("t", 1 << 15), makeAxis("m", 8)];
    const wide = define("y", [d, t], apply("sin", at(many, d, t)), origin);
    const least = define("least", [t], reduce("min", [m], [], at(wide, m, t)), origin);
    const of = (lanes: number): number => compileDefinitions("x", [many], [wide, least].map((tensor) => ({ name: tensor.name, tensor })), { ...leastProfile, lanes }, { everything: true }).launches.length;
    expect([of(128), of(1 << 17)]).toEqual([1, 2]);
  });
});
