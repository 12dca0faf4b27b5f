// Sums of products of all kinds that are staged in workgroup memory, and what they give, for tests of the ways to multiply them.

import { expect } from "vitest";
import { instantiate } from "../../compiler/front/front.ts";
import { apply, index, int, makeAxis, read, real, reduce, type Expr } from "../../compiler/ir/expr.ts";
import { define, source, type Output } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { solve } from "../../compiler/passes/solve.ts";
import { compileDefinitions, type Compiled } from "../../compiler/pipeline.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { written } from "../front/library.ts";
import type { Case } from "./cases.ts";
import { execute } from "./execute.ts";
import { distance, valuesOf, withGradients, type Subject } from "./subjects.ts";

const origin = { span: undefined, path: "contract" };
/** Lanes as few as a card may have: sums are split into few parts. */
const lanes = 4096;

export const ofCase = (c: Case): Subject => withGradients(c.name, c.inputs, [{ name: "y", tensor: c.result }]);

export function ofText(text: string, inputs: readonly (readonly number[])[]): Subject {
  const { graph, findings } = instantiate(written(text), "Net", { inputs, training: true });
  if (!graph) throw new Error(findings.map((f) => f.headline).join());
  return withGradients("text", graph.inputs, graph.outputs);
}

export const isContract = (text: string): boolean => text.startsWith("contract");

/** Which of an offer to take from, and whether values are stored in halves. */
export interface Manner {
  readonly wanted?: (text: string) => boolean;
  readonly half?: boolean;
}

/** Compiled with the `place`-th of the wanted blocks wherever any is offered. */
export function contracted({ name, inputs, outputs }: Subject, profile: Profile, place: number, { wanted = isContract, half = false }: Manner = {}): Compiled & { readonly blocks: readonly string[] } {
  const blocks: string[] = [];
  const choose = (_: string, offered: readonly string[]): string | undefined => {
    const all = offered.filter(wanted);
    const chosen = all[place % Math.max(1, all.length)];
    if (chosen) blocks.push(chosen);
    return chosen;
  };
  return { ...compileDefinitions(name, inputs, outputs, { ...profile, lanes, choose }, { half }), blocks };
}

const known = new Map<Subject, ReadonlyMap<string, Float64Array>>();

/** What the interpreter gives. Unsolved sums search, so larger ones are solved first. */
export function expected(subject: Subject, solved: boolean): ReadonlyMap<string, Float64Array> {
  const { outputs } = subject;
  const by = solved ? solve(outputs.map((o) => o.tensor)) : undefined;
  const values = valuesOf(subject);
  const made = known.get(subject) ?? new Map(outputs.map(({ name, tensor }) => [name, interpret(by?.get(tensor) ?? tensor, { values: new Map(values) })]));
  known.set(subject, made);
  return made;
}

/** What a compiled subject's loops give. */
export function executed(subject: Subject, made: Compiled): ReadonlyMap<string, Float64Array> {
  const values = valuesOf(subject);
  return execute(made, new Map(subject.inputs.map((t) => [t.name, values.get(t) as Float64Array])));
}

/** Compares what the loops give with blocks at these places of the offer, and says which blocks they were. */
export function compareLoops(subject: Subject, places: readonly number[], solved: boolean, profile: Profile, manner: Manner = {}): readonly string[] {
  return places.flatMap((place) => {
    const made = contracted(subject, profile, place, manner);
    if (made.blocks.length === 0) return [];
    const got = executed(subject, made);
    for (const [name, v] of expected(subject, solved)) expect(distance(v, got.get(name)), `${subject.name}: ${name} with ${made.blocks.join()}`).toBeLessThan(1e-9);
    return made.blocks;
  });
}

/**
 * Two results that share a factor and a launch: sums of several factors, tested by rows, by columns and by their own axes, read beyond
 * edges, backwards and in steps of two, with something beside them.
 */
export function awkward(): Subject {
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
export const odd = net(2, 6, 5, [5, 1, 7], 3, [2, 5, 7, 3]);
export const even = net(1, 8, 12, [4, 1, 6], 20, [3, 18, 9, 20]);

