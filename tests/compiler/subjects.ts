// Definitions with all their gradients, made ready to be compiled and compared.

import { apply, index, makeAxis, read, reduce, type Expr } from "../../compiler/ir/expr.ts";
import { define, shapeOf, sizeOf, source, type Output, type Tensor } from "../../compiler/ir/graph.ts";
import { differentiate } from "../../compiler/passes/differentiate.ts";
import { separate } from "../../compiler/passes/separate.ts";
import { noise } from "./noise.ts";

const origin = { span: undefined, path: "subject" };

/** Results with their gradients, and what they are made from. */
export interface Subject {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Output[];
}

/** Some results, and the gradients of `Σ result · seed`. */
export function withGradients(name: string, inputs: readonly Tensor[], results: readonly Output[]): Subject {
  const seeds = results.map((r) => source(`seed_${r.name}`, shapeOf(r.tensor), origin));
  const terms = results.map(({ tensor }, i): Expr => {
    const axes = tensor.axes.map((a) => makeAxis(a.name, a.extent));
    const at = axes.map(index);
    return reduce("sum", axes, [], apply("mul", read(tensor, at), read(seeds[i] as Tensor, at)));
  });
  const loss = define("loss", [], terms.reduce((a, b) => apply("add", a, b)), origin);
  const made = separate([loss, ...results.map((r) => r.tensor)]);
  const slopes = differentiate(made.get(loss) as Tensor, inputs);
  const outputs = [
    ...results.map((r) => ({ name: r.name, tensor: made.get(r.tensor) as Tensor })), ...inputs.map((t) => ({ name: `d_${t.name}`, tensor: slopes.get(t) as Tensor })),
  ];
  return { name, inputs: [...inputs, ...seeds], outputs };
}

/** Values for the inputs, the same in every run. */
export const valuesOf = ({ inputs }: Subject): ReadonlyMap<Tensor, Float64Array> => new Map(inputs.map((t, i) => [t, noise(sizeOf(t), 3 + i)]));

/** How far a value is from another, against the size of that. */
export function distance(want: Float64Array, got: ArrayLike<number> | undefined): number {
  let [off, size] = [0, 1e-24];
  want.forEach((v, i) => {
    off += (v - (got?.[i] ?? NaN)) ** 2;
    size += v * v;
  });
  return Math.sqrt(off / size);
}
