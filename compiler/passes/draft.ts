// A program on its way to kernels: its root tensors with their roles, carried through every pass together.

import type { Graph, Tensor, TrainingGraph } from "../ir/graph.ts";
import { shapeOf } from "../ir/graph.ts";
import type { Job, Ordered } from "../plan/assemble.ts";
import { pack, stretches } from "../plan/layout.ts";
import { arrange } from "./arrange.ts";
import { differentiate } from "./differentiate.ts";
import { copyOf, optimise } from "./optimise.ts";
import { separate } from "./separate.ts";

type Pass = (roots: readonly Tensor[]) => Map<Tensor, Tensor>;

/** Roots and their roles. `through` applies a pass to all of them; `settled` gives each exclusive role a tensor of its own. */
export class Draft {
  readonly #job: Job;
  /** Roots that are not results but must be computed, in the order in which they are wanted. */
  readonly #first: readonly Tensor[];

  constructor(job: Job, first: readonly Tensor[]) {
    this.#job = job;
    this.#first = first;
  }

  job(): Job {
    return this.#job;
  }

  roots(): readonly Tensor[] {
    const all = [...this.#job.outputs.map((o) => o.tensor), ...this.#first, ...this.#job.updates.map((u) => u.next)];
    return [...new Set(all)].filter((t) => t.body);
  }

  through(pass: Pass): Draft {
    const made = pass(this.roots());
    return this.#renamed((t) => made.get(t) ?? t);
  }

  /** After merging, one tensor may have to lie in two places, or a result be an input: such roles get copies. */
  settled(): Draft {
    const taken = new Set<Tensor>();
    const own = (t: Tensor): Tensor => {
      const mine = t.body && !taken.has(t) ? t : copyOf(t, `${t.name}_copy`);
      taken.add(mine);
      return mine;
    };
    const isGradient = new Set(this.#first);
    const packs = this.#job.packs.map((p) => ({
      ...p, parts: p.parts.map((part) => (isGradient.has(part.tensor) ? { ...part, tensor: own(part.tensor) } : part)),
    }));
    const gradients = packs.flatMap((p) => p.parts.map((x) => x.tensor)).filter((t) => taken.has(t)).reverse();
    const updates = this.#job.updates.map((u) => ({ ...u, next: own(u.next) }));
    const outputs = this.#job.outputs.map((o) => ({ ...o, tensor: o.tensor.body ? o.tensor : copyOf(o.tensor, o.name) }));
    return new Draft({ ...this.#job, packs, updates, outputs }, gradients);
  }

  /** Every value with its best axis innermost. Ports keep the order of their axes, but for weights and what goes with them. */
  arranged(): { readonly draft: Draft; readonly now: (t: Tensor) => Tensor } {
    const job = this.#job;
    const isWeight = new Set(job.weights.map((w) => w.tensor));
    const [weights, gradients] = [true, false].map((wanted) =>
      job.packs.filter((p) => p.parts.some((x) => isWeight.has(x.tensor)) === wanted).flatMap((p) => p.parts.map((x) => x.tensor))) as [Tensor[], Tensor[]];
    const kept = new Set(gradients);
    const fixed = new Set([
      ...job.outputs.map((o) => o.tensor), ...job.states.map((s) => s.tensor), ...job.packs.map((p) => p.flat),
      ...job.updates.flatMap((u) => [u.now, u.next]),
    ].filter((t) => !kept.has(t)));
    const alike = [...weights.map((w, i) => [w, ...gradients.slice(i, i + 1)]), ...job.inputs.map((t) => [t])];
    const { tensors, orders } = arrange(this.roots(), { fixed, alike });
    const now = (t: Tensor): Tensor => tensors.get(t) ?? t;
    const draft = this.#renamed(now);
    const orderOf = new Map(job.weights.map((w) => [w.path, orders.get(w.tensor)]));
    const ordered = <T extends object>(port: T, path: string): T & Ordered => {
      const order = orderOf.get(path);
      return order ? { ...port, order } : port;
    };
    const arrangedJob: Job = {
      ...draft.#job,
      inputs: job.inputs.map(now),
      inputOrders: new Map(job.inputs.flatMap((t) => { const order = orders.get(t); return order ? [[now(t), order]] : []; })),
      weights: job.weights.map((w) => ordered({ ...w, tensor: now(w.tensor) }, w.path)),
      memories: job.memories.map((m) => ordered(m, m.path.split("/").slice(2).join("/"))),
    };
    return { draft: new Draft(arrangedJob, draft.#first), now };
  }

  #renamed(now: (t: Tensor) => Tensor): Draft {
    const job: Job = {
      ...this.#job,
      outputs: this.#job.outputs.map((o) => ({ ...o, tensor: now(o.tensor) })),
      updates: this.#job.updates.map((u) => ({ ...u, next: now(u.next) })),
      packs: this.#job.packs.map((p) => ({ ...p, parts: p.parts.map((x) => ({ ...x, tensor: now(x.tensor) })) })),
    };
    return new Draft(job, this.#first.map(now));
  }
}

/** A forward pass: weights in packs, outputs, and states that stay as they are. `limit` is the longest stretch in elements. */
export function inference(graph: Graph, limit: number): Draft {
  const packs = stretches(graph.weights.map((w) => w.tensor), limit).map((g, i) => pack(`weights${i}`, g.tensors, g.offsets, g.length));
  const updates = graph.states.flatMap((s) => (s.next ? [{ now: s.tensor, next: s.next, phase: "forward" as const }] : []));
  return new Draft({ name: graph.name, inputs: graph.inputs, weights: graph.weights, states: graph.states, outputs: graph.outputs, packs, updates, memories: [] }, []);
}

/** A training step. */
export function differentiated(training: TrainingGraph, limit: number): Draft {
  const { graph } = training;
  const step = optimise(training, limit);
  const updates = [...step.states.flatMap((s) => (s.next ? [{ now: s.tensor, next: s.next, phase: "forward" as const }] : [])), ...step.updates];
  const memories = step.memories.map((m) => ({
    path: `memory/${m.name}/${m.weight.path}`, flat: m.flat, offset: m.offset, shape: shapeOf(m.weight.tensor), start: 0,
  }));
  const counters = step.counters.map((c) => ({ path: `memory/${c.name}`, flat: c.now, offset: 0, shape: [], start: c.start }));
  const job: Job = { name: graph.name, inputs: graph.inputs, weights: graph.weights, states: graph.states, outputs: step.outputs, packs: step.packs, updates, memories: [...memories, ...counters], scale: step.scale };
  return new Draft(job, step.gradients);
}

/** The network forwards, and the gradients of its loss by every weight and input as outputs. */
export function gradients(training: TrainingGraph, limit: number): Draft {
  const { graph, loss } = training;
  const results = [...graph.outputs, ...training.heads];
  const made = separate([loss, ...results.map((o) => o.tensor), ...graph.states.flatMap((s) => s.next ?? [])]);
  const now = (t: Tensor): Tensor => made.get(t) as Tensor;
  const targets = [...graph.weights.map((w) => w.tensor), ...graph.inputs];
  const slopes = differentiate(now(loss), targets);
  const outputs = [
    ...results.map((o) => ({ name: o.name, tensor: now(o.tensor) })),
    ...graph.weights.map((w) => ({ name: `grad/${w.path}`, tensor: slopes.get(w.tensor) as Tensor })).reverse(),
    ...graph.inputs.map((t) => ({ name: `grad_input/${t.name}`, tensor: slopes.get(t) as Tensor })),
  ];
  return inference({ ...graph, outputs, states: graph.states.map((s) => ({ ...s, next: s.next && now(s.next) })) }, limit);
}
