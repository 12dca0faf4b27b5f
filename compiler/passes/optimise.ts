// From a loss to a whole training step: gradients, clipping and the optimiser's update over flat stretches of weights.

import { apply, dial, index, makeAxis, read, real } from "../ir/expr.ts";
import { define, shapeOf, source, type State, type Tensor, type TrainingGraph, type Weight } from "../ir/graph.ts";
import type { Job } from "../plan/assemble.ts";
import { pack, stretches, type Pack } from "../plan/layout.ts";
import { differentiate } from "./differentiate.ts";
import { separate } from "./separate.ts";

/** A training step before solving: what to compute, and where weights, gradients and memories lie. */
export interface StepGraph {
  readonly packs: readonly Pack[];
  /** Gradients in the order in which the backward pass meets them, each a part of a pack. */
  readonly gradients: readonly Tensor[];
  /** Flat values that are replaced: sums of gradients in every part of a step, weights and memories at its end. */
  readonly updates: Job["updates"];
  /** Memories of the optimiser, one entry per weight. */
  readonly memories: readonly { readonly name: string; readonly weight: Weight; readonly flat: Tensor; readonly offset: number }[];
  /** What the loss is multiplied by in half precision. */
  readonly scale: Tensor | undefined;
  /** What a step remembers besides: single numbers. */
  readonly counters: readonly { readonly name: string; readonly now: Tensor; readonly start: number }[];
  readonly outputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  readonly states: readonly State[];
}

/** The dial that tells which part of its batch a step works through, from 0. */
const partDial = { name: "gradient/part", value: 0 };

const nowhere = { span: undefined, path: "" };

/** `limit` is the longest stretch in elements that one binding takes. */
export function optimise(training: TrainingGraph, limit: number): StepGraph {
  const { graph, learned, parts, clip, scaling } = training;
  const results = graph.outputs.map((o) => o.tensor);
  const nexts = graph.states.map((s) => s.next).filter((t) => t !== undefined);
  const separated = separate([training.loss, ...results, ...nexts]);
  const now = (t: Tensor): Tensor => separated.get(t) as Tensor;
  const scale = source("loss_scale", [], nowhere);
  const good = source("good_steps", [], nowhere);
  const gradients = differentiate(now(training.loss), learned.map((w) => w.tensor), scaling && read(scale, []));

  const packs: Pack[] = [];
  const flats: { weights: Tensor; gradient: Tensor }[] = [];
  const memories: StepGraph["memories"][number][] = [];
  const updates: Job["updates"][number][] = [];
  const groups = stretches(learned.map((w) => w.tensor), limit);
  groups.forEach((g, i) => {
    const suffix = groups.length > 1 ? String(i) : "";
    const values = pack(`weights${suffix}`, g.tensors, g.offsets, g.length);
    const slopes = pack(`gradient${suffix}`, g.tensors.map((t) => gradients.get(t) as Tensor), g.offsets, g.length);
    packs.push(values, slopes);
    if (parts === 1) {
      flats.push({ weights: values.flat, gradient: slopes.flat });
      return;
    }
    const sum = source(`gradients${suffix}`, shapeOf(slopes.flat), slopes.flat.origin);
    const next = added(sum, slopes.flat, parts);
    updates.push({ now: sum, next, phase: "backward" });
    flats.push({ weights: values.flat, gradient: next });
  });
  const isLearned = new Set(learned.map((w) => w.tensor));
  const frozen = stretches(graph.weights.flatMap(({ tensor }) => (isLearned.has(tensor) ? [] : [tensor])), limit);
  frozen.forEach((g, i) => packs.push(pack(`frozen${frozen.length > 1 ? i : ""}`, g.tensors, g.offsets, g.length)));

  const plain = flats.map((f) => (scaling ? scaling.unscaled(f.gradient, scale) : f.gradient));
  const square = (scaling ?? clip)?.square;
  const total = square && plain.map(square).reduce((a, b) => define("total", [], apply("add", read(a, []), read(b, [])), a.origin));
  const replace = (now: Tensor, next: Tensor): void => {
    updates.push({ now, next: scaling && total ? scaling.kept(now, next, total) : next, phase: "update" });
  };
  flats.forEach((f, i) => {
    const gradient = plain[i] as Tensor;
    const update = training.update(f.weights, clip && total ? clip.scaled(gradient, total) : gradient);
    for (const m of update.memories) {
      replace(m.now, m.next);
      const group = groups[i];
      group?.tensors.forEach((t, k) => {
        const weight = learned.find((w) => w.tensor === t) as Weight;
        memories.push({ name: m.name, weight, flat: m.now, offset: group.offsets[k] as number });
      });
    }
    replace(f.weights, update.next);
  });
  const counters: StepGraph["counters"][number][] = [];
  if (scaling && total) {
    const next = scaling.next(scale, good, total);
    updates.push({ now: scale, next: next.scale, phase: "update" }, { now: good, next: next.good, phase: "update" });
    counters.push({ name: "loss_scale", now: scale, start: scaling.start }, { name: "good_steps", now: good, start: 0 });
  }
  return {
    packs,
    gradients: learned.map((w) => gradients.get(w.tensor) as Tensor).reverse(),
    updates,
    memories,
    scale: scaling && scale,
    counters,
    outputs: [...graph.outputs.map((o) => ({ name: o.name, tensor: now(o.tensor) })), ...(scaling ? [{ name: "scale", tensor: scale }] : [])],
    states: graph.states.map((s) => ({ ...s, next: s.next && now(s.next) })),
  };
}

/** The mean of the gradients of `parts` parts, as far as it is known: the first part begins it anew. */
function added(sum: Tensor, gradient: Tensor, parts: number): Tensor {
  const axes = sum.axes.map((a) => makeAxis(a.name, a.extent));
  const at = axes.map(index);
  const before = apply("select", apply("eq", dial(partDial), real(0)), real(0), read(sum, at));
  return define(`${sum.name}_next`, axes, apply("add", before, apply("mul", read(gradient, at), real(1 / parts))), sum.origin);
}

/** A definition that only repeats another tensor, for a value that must lie in two places. */
export function copyOf(t: Tensor, name: string): Tensor {
  const axes = t.axes.map((a) => makeAxis(a.name, a.extent));
  return define(name, axes, read(t, axes.map(index)), t.origin);
}
