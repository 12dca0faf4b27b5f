// Which part of a step a stored definition belongs to: what the results need, then what the gradients need, then the rest.

import type { Tensor } from "../ir/graph.ts";
import { readsOf } from "../ir/rewrite.ts";
import type { Definition } from "../kernels/kernel.ts";
import type { Job } from "./assemble.ts";
import type { Phase } from "./plan.ts";

/**
 * The phase of each stored definition. Results and running values of the network are made by the forward pass; what
 * only the parts of flat values (the gradients) and sums of gradients need belongs to the backward pass, values made again for it
 * too; new weights and memories are the update.
 */
export function phasesOf(job: Job, definitions: readonly Definition[]): ReadonlyMap<Tensor, Phase> {
  const made = new Map(definitions.map((k) => [k.root, k]));
  const phases = new Map<Tensor, Phase>();
  const reach = (roots: readonly Tensor[], phase: Phase): void => {
    const pending = [...roots];
    for (let t = pending.pop(); t; t = pending.pop()) {
      const definition = made.get(t);
      if (!definition || phases.has(t)) continue;
      phases.set(t, phase);
      pending.push(...readsOf(definition.body).map((r) => r.tensor));
    }
  };
  const nexts = (phase: Phase): readonly Tensor[] => job.updates.flatMap((u) => (u.phase === phase ? [u.next] : []));
  reach([...job.outputs.map((o) => o.tensor), ...nexts("forward")], "forward");
  reach([...job.packs.flatMap((p) => p.parts.map((part) => part.tensor)), ...nexts("backward")], "backward");
  reach(definitions.map((k) => k.root), "update");
  return phases;
}
