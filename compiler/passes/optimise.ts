// From a loss to a whole training step: gradients, clipping and the optimiser's update over flat stretches of weights.

import { apply, index, makeAxis, read } from "../ir/expr.ts";
import { define, type State, type Tensor, type TrainingGraph, type Weight } from "../ir/graph.ts";
import { pack, stretches, type Pack } from "../plan/layout.ts";
import { differentiate } from "./differentiate.ts";
import { separate } from "./separate.ts";

/** A training step before solving: what to compute, and where weights, gradients and memories lie. */
export interface StepGraph {
  readonly packs: readonly Pack[];
  /** Gradients in the order in which the backward pass meets them, each a part of a pack. */
  readonly gradients: readonly Tensor[];
  /** Flat values that are replaced at the end of the step. */
  readonly updates: readonly { readonly now: Tensor; readonly next: Tensor }[];
  /** Memories of the optimiser, one entry per weight. */
  readonly memories: readonly { readonly name: string; readonly weight: Weight; readonly flat: Tensor; readonly offset: number }[];
  readonly outputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  readonly states: readonly State[];
}

/** `limit` is the longest stretch in elements that one binding takes. */
export function optimise(training: TrainingGraph, limit: number): StepGraph {
  const { graph } = training;
  const weights = graph.weights;
  const results = graph.outputs.map((o) => o.tensor);
  const nexts = graph.states.map((s) => s.next).filter((t) => t !== undefined);
  const separated = separate([training.loss, ...results, ...nexts]);
  const now = (t: Tensor): Tensor => separated.get(t) as Tensor;
  const gradients = differentiate(now(training.loss), weights.map((w) => w.tensor));

  const packs: Pack[] = [];
  const flats: { weights: Tensor; gradient: Tensor }[] = [];
  const memories: StepGraph["memories"][number][] = [];
  const updates: { now: Tensor; next: Tensor }[] = [];
  const groups = stretches(weights.map((w) => w.tensor), limit);
  groups.forEach((g, i) => {
    const suffix = groups.length > 1 ? String(i) : "";
    const values = pack(`weights${suffix}`, g.tensors, g.offsets, g.length);
    const slopes = pack(`gradient${suffix}`, g.tensors.map((t) => gradients.get(t) as Tensor), g.offsets, g.length);
    packs.push(values, slopes);
    flats.push({ weights: values.flat, gradient: slopes.flat });
  });

  const clip = training.clip;
  const total = clip && flats.map((f) => clip.square(f.gradient)).reduce((a, b) =>
    define("total", [], apply("add", read(a, []), read(b, [])), a.origin));
  flats.forEach((f, i) => {
    const gradient = clip && total ? clip.scaled(f.gradient, total) : f.gradient;
    const update = training.update(f.weights, gradient);
    for (const m of update.memories) {
      updates.push({ now: m.now, next: m.next });
      const group = groups[i];
      group?.tensors.forEach((t, k) => {
        const weight = weights.find((w) => w.tensor === t) as Weight;
        memories.push({ name: m.name, weight, flat: m.now, offset: group.offsets[k] as number });
      });
    }
    updates.push({ now: f.weights, next: update.next });
  });
  return {
    packs,
    gradients: weights.map((w) => gradients.get(w.tensor) as Tensor).reverse(),
    updates,
    memories,
    outputs: graph.outputs.map((o) => ({ name: o.name, tensor: now(o.tensor) })),
    states: graph.states.map((s) => ({ ...s, next: s.next && now(s.next) })),
  };
}

/** A definition that only repeats another tensor, for a value that must lie in two places. */
export function copyOf(t: Tensor, name: string): Tensor {
  const axes = t.axes.map((a) => makeAxis(a.name, a.extent));
  return define(name, axes, read(t, axes.map(index)), t.origin);
}
