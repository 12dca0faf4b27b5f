// A graph: tensors, each defined by its axes and the value at every point.

import type { Span } from "../source.ts";
import type { Start } from "../plan/plan.ts";
import { makeAxis, type Axis, type Dial, type Expr, type Type } from "./expr.ts";

/** Where a tensor came from: the `.net` text that defines it and the path of its instantiation, e.g. `e[1].0.MedNeXtBlock`. */
export interface Origin {
  readonly span: Span | undefined;
  readonly path: string;
}

/** A tensor is its axes and the value at each point; inputs, weights and states have no body. */
export interface Tensor {
  readonly id: number;
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly type: Type;
  readonly body: Expr | undefined;
  readonly origin: Origin;
}

let nextTensor = 1;

/** A tensor without a body: an input, a weight or a state. */
export function source(name: string, shape: readonly number[], origin: Origin, type: Type = "real"): Tensor {
  const axes = shape.map((extent, i) => makeAxis(`i${i}`, extent));
  return { id: nextTensor++, name, axes, type, body: undefined, origin };
}

/** A tensor defined by a body over its own axes. */
export function define(name: string, axes: readonly Axis[], body: Expr, origin: Origin): Tensor {
  return { id: nextTensor++, name, axes, type: body.type, body, origin };
}

export const shapeOf = (t: Tensor): readonly number[] => t.axes.map((a) => a.extent);
export const sizeOf = (t: Tensor): number => t.axes.reduce((n, a) => n * a.extent, 1);

/** A learned tensor; its path is its name in checkpoints. */
export interface Weight {
  readonly tensor: Tensor;
  readonly path: string;
  readonly start: Start;
}

/** A running value; `next` is what it becomes after the step, undefined where nothing updates it. */
export interface State extends Weight {
  readonly next: Tensor | undefined;
}

/** A named result; `logits[0]` has the name `logits[0]`. */
export interface Output {
  readonly name: string;
  readonly tensor: Tensor;
}

export interface Graph {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly weights: readonly Weight[];
  readonly states: readonly State[];
  readonly outputs: readonly Output[];
  readonly dials: readonly Dial[];
  /** What was summed over a single point: a definition does not show such a sum, yet it counts as work. */
  readonly pointSums: ReadonlySet<Expr>;
}

/** What an optimiser makes of one flat stretch of weights: its next value and its memories. All have the weights' one axis. */
export interface Update {
  readonly next: Tensor;
  readonly memories: readonly { readonly name: string; readonly now: Tensor; readonly next: Tensor }[];
}

/**
 * A network with its loss, and the optimiser as the language states it. `clip` undefined means no clipping;
 * `square` gives the sum of squares of a flat gradient as a scalar tensor, `scaled` the gradient clipped by the total of those.
 */
export interface TrainingGraph {
  /** Outputs include `loss`, a scalar, and what the run monitors (`rate`, say), scalars too. */
  readonly graph: Graph;
  /** What the network itself gives, all its heads. */
  readonly heads: readonly Output[];
  readonly loss: Tensor;
  readonly update: (weights: Tensor, gradient: Tensor) => Update;
  readonly clip: { readonly square: (gradient: Tensor) => Tensor; readonly scaled: (gradient: Tensor, total: Tensor) => Tensor } | undefined;
}
