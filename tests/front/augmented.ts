// Runs a call of an augmenting op through the interpreter.

import { instantiate } from "../../compiler/front/front.ts";
import { shapeOf, type Graph, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { written } from "./library.ts";

/** Row-major values and their shape. */
export interface Box {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** Values by their indices. */
export function box(shape: readonly number[], of: (...at: number[]) => number): Box {
  const values = new Float64Array(shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < values.length; i++) values[i] = of(...unravel(i, shape));
  return { shape, values };
}

/** The indices of element `i`. */
export function unravel(i: number, shape: readonly number[]): number[] {
  const at: number[] = [];
  for (const extent of [...shape].reverse()) {
    at.unshift(i % extent);
    i = Math.floor(i / extent);
  }
  return at;
}

/** The element at an index; 0 outside. */
export function at({ shape, values }: Box, where: readonly number[]): number {
  let flat = 0;
  for (const [axis, i] of where.entries()) {
    const extent = shape[axis] ?? 0;
    if (i < 0 || i >= extent) return 0;
    flat = flat * extent + i;
  }
  return values[flat] ?? Number.NaN;
}

/** A graph of one call, whose inputs are in the order of `inputs`. */
export function graphOfCall(call: string, inputs: readonly Box[], results = 1): Graph {
  const ports = inputs.map((b, i) => `x${i}: [${b.shape.map((_, axis) => `A${i}${axis}`).join(", ")}]`);
  const names = Array.from({ length: results }, (_, i) => `y${i}`);
  const outs = names.map((y) => `  out ${y}_out = ${y}\n`).join("");
  const text = `network Case(${ports.join(", ")}) {\n  ${results === 1 ? "y0" : `(${names.join(", ")})`} = ${call}\n${outs}}\n`;
  const { graph, findings } = instantiate(written(text), "Case", { inputs: inputs.map((b) => b.shape), training: true });
  if (!graph) throw new Error(findings.map((f) => `${f.code} ${f.headline} ${f.labels.map((l) => l.text).join("; ")}`).join("\n"));
  return graph;
}

/** What a call gives of `inputs`, named `x0`, `x1`, … in it. */
export function results(call: string, inputs: readonly Box[], { seed = 0, step = 0, count = 1 } = {}): readonly Box[] {
  const graph = graphOfCall(call, inputs, count);
  const values = new Map<Tensor, Float64Array>(graph.inputs.map((t, i) => [t, inputs[i]?.values ?? new Float64Array()]));
  return graph.outputs.map(({ tensor }) => ({ shape: shapeOf(tensor), values: interpret(tensor, { values, seed, step }) }));
}

/** The one result of a call on an image. */
export function toned(call: string, image: Box, when: { seed?: number; step?: number } = {}): Box {
  const [made] = results(call.replace("(", "(x0, "), [image], when);
  if (!made) throw new Error("no result");
  return made;
}

/** Image and labels as a call moves them. */
export function moved(call: string, image: Box, label: Box, when: { seed?: number; step?: number } = {}): readonly [Box, Box] {
  const [a, b] = results(call.replace("(", "(x0, x1, "), [image, label], { ...when, count: 2 });
  if (!a || !b) throw new Error("no results");
  return [a, b];
}
