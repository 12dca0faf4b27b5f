// The optimiser a run names: a std op on one flat stretch of weights, and the clipping before it.

import type { Op, Port, Term } from "../../grammar/ast.ts";
import { apply, dial, real, type Expr } from "../ir/expr.ts";
import { shapeOf, source, type Scaling, type Tensor, type TrainingGraph, type Update } from "../ir/graph.ts";
import { isTensorPort } from "./calls.ts";
import { fault } from "./env.ts";
import { evaluate, givenOf, valueOfName } from "./evaluate.ts";
import { callOp } from "./op.ts";
import type { Module } from "./module.ts";
import { describe, float, realOf, scalar, tensorOf, type Env, type Given, type Value } from "./values.ts";
import { bare } from "./walk.ts";

/** What a run's `optimizer = …` means. */
export interface Optimizer {
  readonly name: string;
  readonly update: TrainingGraph["update"];
  /** The rate, where the op has a port `lr`. */
  readonly rate: Expr | undefined;
}

/**
 * By convention the first two ports are the weight and its gradient, every further tensor port `v` is a memory whose next
 * value is the result `v_next`, the first result is the next weight, and `step` counts from 1.
 */
export function optimizerOf(term: Term, env: Env): Optimizer {
  const call = bare(term);
  const head = call.kind === "call" ? evaluate(call.head, env) : undefined;
  if (call.kind !== "call" || head?.kind !== "function" || head.item.kind !== "op") {
    throw fault(env, "N0804", "an optimizer is a call of an op", term.span, "e.g. `adamw(lr = poly(1e-3, power = 0.9))`");
  }
  const op: Op = head.item;
  const { module } = head;
  const [w, grad, ...memories] = op.ports.filter(isTensorPort);
  if (!w || !grad) throw fault(env, "N0804", `\`${op.name.text}\` is not an optimizer`, call.head.span, "its first two ports are not a weight and a gradient");
  const results = memories.map((m) => resultOf(op, m, env, call.head));
  const given = givenOf(call.args, env);
  const update = (weights: Tensor, gradient: Tensor): Update => {
    const nows = memories.map((m) => source(m.name.text, shapeOf(weights), { span: m.span, path: `memory/${m.name.text}` }));
    const all: Given[] = [
      bind(w, tensorOf(weights), call), bind(grad, tensorOf(gradient), call),
      ...memories.map((m, i) => bind(m, tensorOf(nows[i] as Tensor), call)), ...given, ...stepOf(op, given, env, call),
    ];
    const made = tensors(callOp(op, module, all, env, call.span), env, call);
    return {
      next: made[0] as Tensor,
      memories: memories.map((m, i) => ({ name: m.name.text, now: nows[i] as Tensor, next: made[results[i] as number] as Tensor })),
    };
  };
  const lr = given.find((g) => g.name === "lr")?.value;
  return { name: op.name.text, update, rate: lr && realOf(lr) };
}

function bind(port: Port, value: Value, call: Term): Given {
  return { name: port.name.text, value, span: call.span, term: undefined, env: undefined };
}

function resultOf(op: Op, memory: Port, env: Env, head: Term): number {
  const at = op.results.findIndex((r) => r.name?.text === `${memory.name.text}_next`);
  if (at > 0) return at;
  throw fault(env, "N0804", `\`${op.name.text}\` never says what \`${memory.name.text}\` becomes`, head.span, `no result \`${memory.name.text}_next\``, {
    also: [{ span: memory.span, text: "a memory" }],
  });
}

/** A port `step` that nobody gives is the number of this step, from 1. */
function stepOf(op: Op, given: readonly Given[], env: Env, call: Term): readonly Given[] {
  const port = op.ports.find((p) => p.name.text === "step" && !isTensorPort(p));
  if (!port || given.some((g) => g.name === "step")) return [];
  const now = realOf(valueOfName("step", call.span, env)) ?? dial({ name: "step", value: 0 });
  return [bind(port, scalar(apply("add", now, real(1))), call)];
}

function tensors(v: Value, env: Env, call: Term): readonly Tensor[] {
  const items = v.kind === "tuple" ? v.items : [v];
  return items.map((x) => {
    if (x.kind === "tensor") return x.tensor;
    throw fault(env, "N0804", `an optimizer gives tensors, this gives ${describe(x)}`, call.span, "");
  });
}

/** An op of the standard library as a function from values to its results, for a setting that stands at `term`. */
function standard(name: string, library: Module["library"], term: Term, env: Env): (...values: readonly Value[]) => readonly Tensor[] {
  const meaning = library.get(name);
  if (meaning?.kind !== "item" || meaning.item.kind !== "op") throw fault(env, "N0201", `the standard library has no op \`${name}\``, term.span, "");
  const { item, module } = meaning;
  const given = (value: Value): Given => ({ name: undefined, value, span: term.span, term: undefined, env: undefined });
  return (...values) => tensors(callOp(item, module, values.map(given), env, term.span), env, term);
}

/** Clipping by the length of the whole gradient, through the std ops `square_norm` and `clip_norm`. */
export function clipOf(limit: number, library: Module["library"], term: Term, env: Env): NonNullable<TrainingGraph["clip"]> {
  const square = standard("square_norm", library, term, env);
  const scaled = standard("clip_norm", library, term, env);
  return {
    square: (gradient) => square(tensorOf(gradient))[0] as Tensor,
    scaled: (gradient, total) => scaled(tensorOf(gradient), tensorOf(total), float(limit))[0] as Tensor,
  };
}

/** The scale of the loss in half precision, through the std ops `unscaled`, `square_norm`, `unless_lost` and `next_scale`. */
export function scalingOf(library: Module["library"], term: Term, env: Env): Scaling {
  const op = (name: string): ((...given: readonly Tensor[]) => readonly Tensor[]) => {
    const run = standard(name, library, term, env);
    return (...given) => run(...given.map(tensorOf));
  };
  const [unscaled, square, kept, next] = [op("unscaled"), op("square_norm"), op("unless_lost"), op("next_scale")];
  return {
    start: 2 ** 16,
    unscaled: (gradient, scale) => unscaled(gradient, scale)[0] as Tensor,
    square: (gradient) => square(gradient)[0] as Tensor,
    kept: (now, after, total) => kept(now, after, total)[0] as Tensor,
    next: (now, good, total) => {
      const [scale, counted] = next(now, good, total);
      return { scale: scale as Tensor, good: counted as Tensor };
    },
  };
}
