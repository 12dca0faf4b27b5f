// Sums of products staged in workgroup memory against the interpreter: at sizes that no block divides, forwards and backwards.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { instantiate } from "../../compiler/front/front.ts";
import { apply, index, int, makeAxis, read, real, reduce, type Expr } from "../../compiler/ir/expr.ts";
import { define, source, type Output } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { printLoops } from "../../compiler/kernels/loops.ts";
import { solve } from "../../compiler/passes/solve.ts";
import { compileDefinitions, type Compiled } from "../../compiler/pipeline.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { written } from "../front/library.ts";
import { allCases, type Case } from "./cases.ts";
import { execute } from "./execute.ts";
import { distance, valuesOf, withGradients, type Subject } from "./subjects.ts";

const origin = { span: undefined, path: "contract" };
/** Lanes as few as a card may have: sums are split into few parts. */
const lanes = 4096;

const ofCase = (c: Case): Subject => withGradients(c.name, c.inputs, [{ name: "y", tensor: c.result }]);

function ofText(text: string, inputs: readonly (readonly number[])[]): Subject {
  const { graph, findings } = instantiate(written(text), "Net", { inputs, training: true });
  if (!graph) throw new Error(findings.map((f) => f.headline).join());
  return withGradients("text", graph.inputs, graph.outputs);
}

const isContract = (text: string): boolean => text.startsWith("contract");

/** Compiled with the `place`-th block wherever one is offered. */
function contracted({ name, inputs, outputs }: Subject, profile: Profile, place: number): Compiled & { readonly blocks: readonly string[] } {
  const blocks: string[] = [];
  const choose = (_: string, offered: readonly string[]): string | undefined => {
    const all = offered.filter(isContract);
    const chosen = all[place % Math.max(1, all.length)];
    if (chosen) blocks.push(chosen);
    return chosen;
  };
  return { ...compileDefinitions(name, inputs, outputs, { ...profile, lanes, choose }), blocks };
}

const known = new Map<Subject, ReadonlyMap<string, Float64Array>>();

/** What the interpreter gives. Unsolved sums search, so larger ones are solved first. */
function expected(subject: Subject, solved: boolean): ReadonlyMap<string, Float64Array> {
  const { outputs } = subject;
  const by = solved ? solve(outputs.map((o) => o.tensor)) : undefined;
  const values = valuesOf(subject);
  const made = known.get(subject) ?? new Map(outputs.map(({ name, tensor }) => [name, interpret(by?.get(tensor) ?? tensor, { values: new Map(values) })]));
  known.set(subject, made);
  return made;
}

/** Compares what the loops give with blocks at these places of the offer, and says which blocks they were. */
function compareLoops(subject: Subject, places: readonly number[], solved = false): readonly string[] {
  const values = valuesOf(subject);
  const inputs = new Map(subject.inputs.map((t) => [t.name, values.get(t) as Float64Array]));
  return places.flatMap((place) => {
    const made = contracted(subject, leastProfile, place);
    if (made.blocks.length === 0) return [];
    const got = execute(made, inputs);
    for (const [name, v] of expected(subject, solved)) expect(distance(v, got.get(name)), `${subject.name}: ${name} with ${made.blocks.join()}`).toBeLessThan(1e-9);
    return made.blocks;
  });
}

/**
 * Two results that share a factor and a launch: sums of several factors, tested by rows, by columns and by their own axes, read beyond
 * edges, backwards and in steps of two, with something beside them.
 */
function awkward(): Subject {
  const [x, w, v, bias] = [source("x", [2, 9, 5], origin), source("w", [5, 11, 7], origin), source("v", [5, 11, 4], origin), source("bias", [11, 2], origin)];
  const results = [0, 1].map((r): Output => {
    const axes = [makeAxis("b", 2), makeAxis("i", 6), makeAxis("j", 11)];
    const over = [makeAxis("k", 5), makeAxis("m", 7)];
    const [b, i, j, k, m] = [...axes, ...over].map(index) as [Expr, Expr, Expr, Expr, Expr];
    const left = read(x, [b, apply("sub", apply("add", apply("mul", i, int(2)), m), int(3)), apply("sub", int(4), k)], "zero");
    const weight = apply("exp", read(v, [k, j, apply("idiv", m, int(2))]));
    const right = r === 0 ? apply("mul", weight, read(w, [k, j, m])) : weight;
    const tests = [apply("le", k, i), apply("lt", k, apply("add", j, int(2))), apply("ne", apply("imod", m, int(3)), int(1))];
    const sum = reduce("sum", over, tests, apply("mul", apply("neg", left), right));
    return { name: `y${r}`, tensor: define(`y${r}`, axes, apply("tanh", apply("add", apply("mul", sum, real(0.2)), read(bias, [j, b]))), origin) };
  });
  return withGradients("awkward sums", [x, w, v, bias], results);
}

/** Every input belongs to one result, so that its gradient is one sum. */
const text = `
op linear(x: [N, I, *S], w: [O, I]) -> y: [N, *S, O] {
  y[n, *s, o] = sum[i](x[n, i, *s] * w[o, i])
}
op scores(q: [H, T, D], k: [H, U, D]) -> y: [H, T, U] {
  y[h, t, u] = sum[d](q[h, t, d] * k[h, u, d])
}
op attended(y: [H, T, U], v: [H, U, D]) -> z: [H, T, D] {
  z[h, t, d] = sum[u](exp(y[h, t, u]) * v[h, u, d])
}
network Net(
  a: [N, C, *S], wa: [O, C, *K], b: [N, C, *S], wb: [O, C, 1, 1, 1], c: [N, C, *S], wc: [O, C, *K], d: [N, C, *S], wd: [O, C, *K],
  e: [N, C, *S], we: [O, E, *K], f: [N, C, *S], wf: [C, O, *K], g: [N, C, *S], wg: [F, C], q: [H, T, D], k: [H, U, D], v: [H, U, D],
) {
  out dense = conv(a, wa, pad = [1, 0, 1])
  out pointwise = conv(b, wb)
  out strided = conv(c, wc, stride = 2, pad = [1, 0, 1])
  out dilated = conv(d, wd, dilation = 2, pad = [2, 0, 2])
  out grouped = conv(e, we, pad = [1, 0, 1], groups = 2)
  out transposed = conv_transpose(f, wf, stride = 2)
  out line = linear(g, wg)
  out score = scores(q, k)
  out mixed = attended(score, v)
}
`;

function net(n: number, c: number, o: number, s: readonly number[], f: number, [h, t, u, d]: readonly [number, number, number, number]): Subject {
  const [x, w, kernel] = [[n, c, ...s], [o, c, 3, 1, 3], [3, 1, 3]];
  return ofText(text, [x, w, x, [o, c, 1, 1, 1], x, w, x, w, x, [o, c / 2, ...kernel], x, [c, o, ...kernel], x, [f, c], [h, t, d], [h, u, d], [h, u, d]]);
}

/** Sizes that no block divides, axes of one point, sums shorter than a chunk; and channels in fours, with sums in several chunks. */
const odd = net(2, 6, 5, [5, 1, 7], 3, [2, 5, 7, 3]);
const even = net(1, 8, 12, [4, 1, 6], 20, [3, 18, 9, 20]);

describe("contractions", () => {
  it("give what the interpreter gives: every case", () => {
    const blocks = allCases().map((c, i) => compareLoops(ofCase(c), [i % 4]));
    expect(blocks.filter((b) => b.length > 0).length).toBeGreaterThan(10);
    expect(new Set(blocks.flat()).size).toBeGreaterThan(3);
  });

  it("give what the interpreter gives: tests, views, several factors and results", () => {
    const subject = awkward();
    expect(compareLoops(subject, [0, 1, 2, 3]).length).toBeGreaterThan(4);
    const { loops } = contracted(subject, leastProfile, 0);
    // What both have in common is staged once.
    expect(loops.filter((l) => l.team && l.writes.some((t) => t.name.startsWith("y"))).map((l) => l.team?.staged.map((t) => t.name))).toEqual([["left0", "right0", "right1"]]);
  });

  it.each([["odd", odd, [0, 2]], ["even", even, [1, 3]]] as const)("give what the interpreter gives: convolutions, linear maps and attention at %s sizes", (_, subject, places) => {
    expect(new Set(compareLoops(subject, places, true)).size).toBeGreaterThan(2);
  });

  it("are offered, but not taken unasked, to cards alone, as far as their workgroup memory goes", () => {
    const { inputs, outputs } = even;
    const offers = (profile: Profile): readonly (readonly string[])[] => {
      const all: (readonly string[])[] = [];
      compileDefinitions("offers", inputs, outputs, { ...profile, choose: (_, offered) => void all.push(offered) });
      return all;
    };
    const card = offers(leastProfile).filter((o) => o.some(isContract));
    expect(card.length).toBeGreaterThan(10);
    for (const o of card) expect(isContract(o[0] as string)).toBe(false);
    for (const less of [{ lanes: 128 }, { maxShared: 256 }, { maxInvocations: 8 }]) expect(offers({ ...leastProfile, ...less }).flat().filter(isContract)).toEqual([]);
  });

  it("share what they stage behind barriers that all of a team come by", () => {
    const made = contracted(even, leastProfile, 0);
    const loops = made.loops.filter((l) => l.team);
    expect(loops.length).toBeGreaterThan(10);
    for (const l of loops) expect(printLoops(l)).toMatch(/in teams of \d+\n[^]*left0\[4 at [^]*barrier[^]*= left0\[4 at/);
    const { wgsl } = made.plan.shaders.find((s) => s.wgsl.includes("var<workgroup>")) ?? { wgsl: "" };
    expect(wgsl).toContain("workgroupBarrier();");
    // Who left before a barrier would be waited for: only whole teams leave.
    expect(wgsl).not.toContain("global_invocation_id");
  });
});

describe("contractions on the device", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device?.close());

  it.each([["odd", odd, false], ["even", even, true]] as const)("give what the interpreter gives at %s sizes", async (_, subject, ranges) => {
    const values = valuesOf(subject);
    const { plan } = contracted(subject, { ...device.profile, ranges, opaque: ranges }, 0);
    const session = await Session.create(device, plan, ranges ? { longest: 0.001 } : {});
    try {
      for (const [t, v] of values) session.write(t.name, Float32Array.from(v));
      session.poison();
      await session.run();
      for (const [name, v] of expected(subject, true)) expect(distance(v, await session.read(name)), name).toBeLessThan(2e-5);
    } finally {
      session.destroy();
    }
  });
});
