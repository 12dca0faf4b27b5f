// From graph to plan: the list of passes. Each is a pure function; what every stage made is kept for whoever wants to look.

import { differentiated, Draft, gradients, inference } from "./passes/draft.ts";
import { factor } from "./passes/factor.ts";
import { recompute, type Again } from "./passes/recompute.ts";
import { separate } from "./passes/separate.ts";
import { share } from "./passes/share.ts";
import { simplify } from "./passes/simplify.ts";
import { solve } from "./passes/solve.ts";
import { ordered } from "./ir/order.ts";
import { readsOf } from "./ir/rewrite.ts";
import { sizeOf, type Graph, type Tensor, type TrainingGraph } from "./ir/graph.ts";
import { bindingsNeeded, fuse, type Fused } from "./kernels/fuse.ts";
import type { Kernel } from "./kernels/kernel.ts";
import type { Loops } from "./kernels/loops.ts";
import { lower, schedule } from "./kernels/strategies/choose.ts";
import { splitReductions } from "./kernels/strategies/reduce.ts";
import { scatterSums } from "./kernels/strategies/scatter.ts";
import { assemble } from "./plan/assemble.ts";
import type { Plan, Profile } from "./plan/plan.ts";
import { inOrder, storageOf } from "./plan/storage.ts";
import { diagnostic, Fault } from "./report/diagnostic.ts";

/** Everything that compilation made, stage by stage. */
export interface Compiled {
  /** Definitions after differentiation, before solving. */
  readonly grad: readonly Tensor[];
  readonly solved: readonly Tensor[];
  readonly kernels: readonly Kernel[];
  readonly loops: readonly Loops[];
  readonly plan: Plan;
  /** What is computed more than once to stay within a budget of memory. */
  readonly again: Again;
}

const forward = [separate, solve, simplify, separate, factor, separate, share] as const;

/** Compiles a network to run forwards. */
export function compile(graph: Graph, profile: Profile): Compiled {
  return backEnd(inference(graph, bindingElements(profile)), profile);
}

/**
 * Compiles a training step: forward, backward, clipping and the optimiser's update. All its buffers together take no more than
 * `budget` bytes.
 */
export function compileTraining(training: TrainingGraph, profile: Profile, budget = Infinity): Compiled {
  return backEnd(differentiated(training, bindingElements(profile)), profile, budget);
}

/**
 * Compiles a network with the gradients of its loss as outputs: `grad/<weight path>` and `grad_input/<input>`. For comparing
 * a network with another implementation of it.
 */
export function compileGradients(training: TrainingGraph, profile: Profile, budget = Infinity): Compiled {
  return backEnd(gradients(training, bindingElements(profile)), profile, budget);
}

/** Compiles bare definitions: what `outputs` say of `inputs`. */
export function compileDefinitions(name: string, inputs: readonly Tensor[], outputs: readonly { readonly name: string; readonly tensor: Tensor }[], profile: Profile): Compiled {
  const job = { name, inputs, weights: [], states: [], outputs, packs: [], updates: [], memories: [] };
  return backEnd(new Draft(job, []), profile);
}

const bindingElements = (profile: Profile): number => Math.floor(profile.maxBinding / 256) * 64;

function backEnd(draft: Draft, profile: Profile, budget = Infinity): Compiled {
  let current = draft;
  for (const pass of forward) current = current.through(pass);
  const solved = ordered(current.roots());
  const lanes = { wanted: profile.lanes };
  current = current.through((roots) => scatterSums(roots, bindingElements(profile) / 2));
  const split = splitReductions(current.roots(), lanes);
  const { draft: arranged, now } = current.through(() => split.tensors).settled().arranged();
  current = arranged;
  const roots = current.roots();
  const reachable = new Set(ordered(roots));
  const stored = new Set([...split.stored].map(now).filter((t) => reachable.has(t)));
  const bindingsOf = (t: Tensor): number => Math.max(1, Math.ceil(sizeOf(t) / bindingElements(profile)));
  const fused = fuse(roots, stored, profile.maxBindings, bindingsOf);
  for (const f of fused) demandBindings(f, bindingsNeeded(f, bindingsOf), profile);
  const made = fused.map((f): Kernel => ({
    name: f.root.name, root: f.root, body: f.body, schedule: schedule(f.root, f.body, lanes), inlined: f.inlined, why: f.why,
  }));
  const storage = storageOf(current.job(), made);
  const { kernels, again } = recompute(inOrder(made, storage), storage, budget);
  const loops = kernels.map(lower);
  const plan = assemble(current.job(), kernels.map((kernel, i) => ({ kernel, loops: loops[i] as Loops })), storage, profile);
  return { grad: ordered(draft.roots()), solved, kernels, loops, plan, again };
}

/** A definition whose own operands are too large for the adapter: no other choice of kernels would help. */
function demandBindings({ root, body }: Pick<Fused, "root" | "body">, needed: number, profile: Profile): void {
  if (needed <= profile.maxBindings) return;
  const tensors = [root, ...new Set(readsOf(body).map((r) => r.tensor))];
  const mib = (n: number): string => `${Math.ceil((n * 4) / 1048576)} MiB`;
  throw new Fault(diagnostic("N0901", `\`${root.name}\` and what it reads are too large for this device`, {
    labels: root.origin.span ? [{ span: root.origin.span, text: root.origin.path }] : [],
    facts: [
      `${tensors.map((t) => `${t.name} ${mib(sizeOf(t))}`).join(", ")}.`,
      `The device binds ${profile.maxBindings} stretches of ${mib(profile.maxBinding / 4)} at once; ${needed} are needed.`,
    ],
    hint: "a smaller patch or batch would fit",
  }));
}
