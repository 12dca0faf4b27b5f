// Row-major reinterpretation of a tensor, written with as few and as small divisions as the two shapes allow.

import { apply, index, int, makeAxis, read, type Expr } from "../ir/expr.ts";
import { define, shapeOf, type Origin, type Tensor } from "../ir/graph.ts";
import { axisName } from "./pointwise.ts";

/** The same elements in the same order under another shape of equal size. */
export function reshape(x: Tensor, to: readonly number[], origin: Origin): Tensor {
  const axes = to.map((extent, i) => makeAxis(axisName(i, to.length), extent));
  const from = shapeOf(x);
  const at: Expr[] = from.map(() => int(0));
  for (const group of groups(from, to)) {
    const flat = joined(group.to.map((i) => ({ digit: index(axes[i] as (typeof axes)[number]), extent: to[i] ?? 1 })));
    for (const [i, digit] of split(flat, group.from.map((i) => from[i] ?? 1)).entries()) at[group.from[i] as number] = digit;
  }
  return define(x.name, axes, read(x, at), origin);
}

interface Digit {
  readonly digit: Expr;
  readonly extent: number;
}

/** Runs of axes with equal products on both sides; axes of extent 1 take no part. */
function groups(from: readonly number[], to: readonly number[]): readonly { from: readonly number[]; to: readonly number[] }[] {
  const sources = from.flatMap((n, i) => (n === 1 ? [] : [i]));
  const targets = to.flatMap((n, i) => (n === 1 ? [] : [i]));
  const out: { from: number[]; to: number[] }[] = [];
  let [i, j] = [0, 0];
  while (i < sources.length && j < targets.length) {
    const group = { from: [sources[i] as number], to: [targets[j] as number] };
    let [a, b] = [from[sources[i++] as number] as number, to[targets[j++] as number] as number];
    while (a !== b) {
      if (a < b) {
        const next = sources[i++] as number;
        group.from.push(next);
        a *= from[next] as number;
      } else {
        const next = targets[j++] as number;
        group.to.push(next);
        b *= to[next] as number;
      }
    }
    out.push(group);
  }
  return out;
}

function joined(digits: readonly Digit[]): Digit {
  return digits.reduce((high, low) => ({
    digit: apply("add", apply("mul", high.digit, int(low.extent)), low.digit),
    extent: high.extent * low.extent,
  }));
}

function split(flat: Digit, extents: readonly number[]): readonly Expr[] {
  const out: Expr[] = [];
  let stride = flat.extent;
  for (const [i, extent] of extents.entries()) {
    stride /= extent;
    const high = apply("idiv", flat.digit, int(stride));
    out.push(i === 0 ? high : apply("imod", high, int(extent)));
  }
  return out;
}
