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
  /** Whether its elements, reals, lie in memory as halves (f16). Arithmetic never is in halves. */
  readonly half: boolean;
}

let nextTensor = 1;

/** A tensor without a body: an input, a weight or a state. */
export function source(name: string, shape: readonly number[], origin: Origin, type: Type = "real"): Tensor {
  const axes = shape.map((extent, i) => makeAxis(`i${i}`, extent));
  return { id: nextTensor++, name, axes, type, body: undefined, origin, half: false };
}

/** A tensor defined by a body over its own axes. */
export function define(name: string, axes: readonly Axis[], body: Expr, origin: Origin, half = false): Tensor {
  return { id: nextTensor++, name, axes, type: body.type, body, origin, half };
}

export const shapeOf = (t: Tensor): readonly number[] => t.axes.map((a) => a.extent);
export function sizeOf({ axes }: Tensor): number {
  let size = 1;
  for (let k = 0; k < axes.length; k++) size *= (axes[k] as Axis).extent;
  return size;
}

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
 * How a step works in half precision: values in between lie in memory as halves, and the loss is multiplied by a scale, a memory
 * of the step, so that small gradients keep their digits. `good` counts steps since the scale changed, `total` is the sum of
 * the squares of the whole gradient, by which a lost one shows. Gradients are flat; all else are scalars.
 */
export interface Scaling {
  /** The scale of the first step. */
  readonly start: number;
  readonly unscaled: (gradient: Tensor, scale: Tensor) => Tensor;
  readonly square: (gradient: Tensor) => Tensor;
  /** What replaces a flat value, which stays as it is where the gradient was lost. */
  readonly kept: (now: Tensor, next: Tensor, total: Tensor) => Tensor;
  readonly next: (scale: Tensor, good: Tensor, total: Tensor) => { readonly scale: Tensor; readonly good: Tensor };
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
  /** The weights that a step changes: all but the frozen ones. */
  readonly learned: readonly Weight[];
  /** Of how many batches of the graph's size the gradients are averaged before the weights change. */
  readonly parts: number;
  readonly update: (weights: Tensor, gradient: Tensor) => Update;
  readonly clip: { readonly square: (gradient: Tensor) => Tensor; readonly scaled: (gradient: Tensor, total: Tensor) => Tensor } | undefined;
  /** Undefined for single precision. */
  readonly scaling: Scaling | undefined;
}
