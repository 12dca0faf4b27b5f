// Which part of a step a launch belongs to: what the results need, then what the gradients need, then the rest.

import type { Tensor } from "../ir/graph.ts";
import { readsOf } from "../ir/rewrite.ts";
import type { Kernel } from "../kernels/kernel.ts";
import type { Job } from "./assemble.ts";
import type { Phase } from "./plan.ts";

/**
 * The phase of each launch, by what it writes. Results and running values of the network are made by the forward pass; what
 * only the parts of flat values (the gradients) need belongs to the backward pass, values made again for it too; new
 * weights and memories are the update.
 */
export function phasesOf(job: Job, kernels: readonly Kernel[]): ReadonlyMap<Tensor, Phase> {
  const made = new Map(kernels.map((k) => [k.root, k]));
  const phases = new Map<Tensor, Phase>();
  const reach = (roots: readonly Tensor[], phase: Phase): void => {
    const pending = [...roots];
    for (let t = pending.pop(); t; t = pending.pop()) {
      const kernel = made.get(t);
      if (!kernel || phases.has(t)) continue;
      phases.set(t, phase);
      pending.push(...readsOf(kernel.body).map((r) => r.tensor));
    }
  };
  const states = new Set(job.states.map((s) => s.tensor));
  reach([...job.outputs.map((o) => o.tensor), ...job.updates.flatMap((u) => (states.has(u.now) ? [u.next] : []))], "forward");
  reach(job.packs.flatMap((p) => p.parts.map((part) => part.tensor)), "backward");
  reach(kernels.map((k) => k.root), "update");
  return phases;
}
