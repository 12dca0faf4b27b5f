// From graph to plan: the list of passes. Each is a pure function; what every stage made is kept for whoever wants to look.

import { differentiated, Draft, gradients, inference } from "./passes/draft.ts";
import { factoring } from "./passes/factor.ts";
import { halve } from "./passes/half.ts";
import { flopsOfAll, recompute, type Again as Cloned } from "./passes/recompute.ts";
import { separated } from "./passes/separate.ts";
import { sharing } from "./passes/share.ts";
import { solving } from "./passes/solve.ts";
import { ordered, rebuild, type Change } from "./ir/order.ts";
import { tensorsOf } from "./ir/rewrite.ts";
import type { Graph, Tensor, TrainingGraph } from "./ir/graph.ts";
import { Brief } from "./kernels/brief.ts";
import { bindingsNeeded, fuse } from "./kernels/fuse.ts";
import { apart, join } from "./kernels/join.ts";
import type { Nested } from "./kernels/nest.ts";
import { costsOf } from "./kernels/price.ts";
import type { Definition, Kernel, Lanes } from "./kernels/kernel.ts";
import type { Loops } from "./kernels/loops.ts";
import type { Launch } from "./kernels/ranges.ts";
import type { Made } from "./kernels/twins.ts";
import { splitting } from "./kernels/strategies/reduce.ts";
import { scattering } from "./kernels/strategies/scatter.ts";
import { demandWhole } from "./kernels/whole.ts";
import { assemble } from "./plan/assemble.ts";
import { alone, beside } from "./plan/beside.ts";
import { staysOf } from "./plan/lives.ts";
import type { Plan, Profile } from "./plan/plan.ts";
import { phasesOf } from "./plan/phases.ts";
import { bytesOf, inOrder, storageOf, type Storage } from "./plan/storage.ts";
import { diagnostic, Fault } from "./report/diagnostic.ts";

/** What is computed more than once: by clones, and inside the readers of what is not stored. */
export interface Again extends Cloned {
  readonly nested: Nested;
}

/** Everything that compilation made, stage by stage. */
export interface Compiled {
  /** Definitions after differentiation, before solving. */
  readonly grad: readonly Tensor[];
  readonly solved: readonly Tensor[];
  readonly kernels: readonly Kernel[];
  /** The kernels by launch, each with its program. */
  readonly launches: readonly Launch[];
  /** The programs of the launches. */
  readonly loops: readonly Loops[];
  /** Values that are written where another one lies, and that other one. */
  readonly over: ReadonlyMap<Tensor, Tensor>;
  readonly plan: Plan;
  /** What is computed more than once to stay within a budget of memory. */
  readonly again: Again;
}

/** Compiles a network to run forwards. */
export function compile(graph: Graph, profile: Profile): Compiled {
  return backEnd(inference(graph, bindingElements(profile)), profile);
}

/**
 * Compiles a training step: forward, backward, clipping and the optimiser's update. All its buffers together take no more than
 * `budget` bytes.
 */
export function compileTraining(training: TrainingGraph, profile: Profile, budget = Infinity): Compiled {
  return backEnd(differentiated(training, bindingElements(profile)), profile, { budget, half: training.scaling !== undefined });
}

/**
 * Compiles a network with the gradients of its loss as outputs: `grad/<weight path>` and `grad_input/<input>`. For comparing
 * a network with another implementation of it.
 */
export function compileGradients(training: TrainingGraph, profile: Profile, budget = Infinity): Compiled {
  return backEnd(gradients(training, bindingElements(profile)), profile, { budget });
}

/** Compiles bare definitions: what `outputs` say of `inputs`; with values in between as halves where `half`, all stored with `everything`. */
export function compileDefinitions(
  name: string, inputs: readonly Tensor[], outputs: readonly { readonly name: string; readonly tensor: Tensor }[], profile: Profile, { half = false, everything = false } = {},
): Compiled {
  const job = { name, inputs, weights: [], states: [], outputs, packs: [], updates: [], memories: [] };
  return backEnd(new Draft(job, []), profile, { half, everything });
}

const bindingBytes = (profile: Profile): number => Math.floor(profile.maxBinding / 256) * 256;
const bindingElements = (profile: Profile): number => bindingBytes(profile) / 4;

/** With fewer lanes an adapter is no card. */
const card = 4096;

function lanesOf({ lanes, maxInvocations, maxShared, subgroup, matrices }: Profile): Lanes {
  return { wanted: lanes, mates: subgroup, team: lanes < card ? undefined : { size: maxInvocations, bytes: maxShared, matrices } };
}

function backEnd(draft: Draft, profile: Profile, { budget = Infinity, half = false, everything = false } = {}): Compiled {
  if (half && !profile.half) throw withoutHalves(profile);
  const lanes = lanesOf(profile);
  const parts = new Set<Tensor>();
  const solve = (): readonly Change[] => [separated, solving(), factoring(draft.job().scale), sharing()];
  // A variance's parts need the sums that a mean's parts are.
  const split = rebuild(draft.roots(), ...solve(), scattering(bindingElements(profile) / 2), splitting(lanes, parts), sharing());
  const { draft: arranged, now } = draft.through(() => split).settled().arranged();
  let current = arranged;
  let stored = [...parts].map((t) => now(split.get(t) ?? t));
  if (half) {
    const halved = halve(current.roots(), new Set([...current.roots(), ...stored]));
    current = current.through(() => halved);
    stored = stored.map((t) => halved.get(t) ?? t);
  }
  const roots = current.roots();
  const reachable = new Set(ordered(roots));
  const bindingsOf = (t: Tensor): number => Math.ceil(bytesOf(t) / bindingBytes(profile));
  const mustStore = everything ? reachable : new Set(stored.filter((t) => reachable.has(t)));
  const job = current.job();
  const fusedWith = (nested: Nested): readonly Definition[] => fuse(roots, { mustStore, maxBindings: profile.maxBindings, bindingsOf, nested, isCard: lanes.team !== undefined });
  const plain = fusedWith("cheap");
  const within = (nested: Nested, room: number): { readonly storage: Storage; readonly definitions: readonly Definition[]; readonly again: Again } => {
    const fused = nested === "cheap" ? plain : fusedWith(nested);
    demandWhole(fused);
    for (const f of fused) demandBindings(f, bindingsNeeded([f], bindingsOf), profile);
    const storage = storageOf(job, fused);
    const { kernels: definitions, again } = recompute(inOrder(fused, storage), storage, room);
    if (nested === "cheap") return { storage, definitions, again: { ...again, nested } };
    // What nesting takes again counts like what clones do.
    const least = flopsOfAll(plain);
    return { storage, definitions, again: { ...again, nested, flops: again.flops + again.otherwise - least, otherwise: least } };
  };
  const brief = new Brief(lanes, profile.choose);
  /** Plans that leave `room` for values that lie in memory one by one. */
  const planned = (room: number): { readonly joined: (largest: number) => readonly Made[]; readonly put: (launches: readonly Launch[]) => Compiled; readonly shared: (made: readonly Made[]) => readonly Launch[]; readonly single: () => readonly Made[] } => {
    const { storage, definitions, again } = cheapest((nested) => within(nested, room));
    const phases = phasesOf(job, definitions);
    const around = { phase: (t: Tensor) => phases.get(t), maxBindings: profile.maxBindings, bindingsOf, lanes: lanes.wanted, pointsOfLong: lanes.wanted * costsOf(lanes).longRegisters };
    return {
      joined: (largest) => brief.of(join(definitions, { ...storage, ...around, isKept: (t) => storage.own.has(t) || storage.atEnd.has(t), largest })),
      single: () => brief.of(apart(definitions)),
      shared: (made) => {
        if (!brief.isKept(made.map((m) => m.loops), true)) return alone(made);
        const launches = beside(made, { ...around, storage, masked: lanes.team === undefined });
        return brief.isKept(launches.map((l) => l.loops)) ? launches : alone(made);
      },
      put: (launches) => {
        const stays = staysOf(launches, storage);
        const plan = assemble(job, launches, stays, storage, phases, profile);
        return { grad: ordered(draft.roots()), get solved() { return ordered(draft.through((r) => rebuild(r, ...solve())).roots()); }, kernels: launches.flatMap((l) => l.kernels), launches, loops: launches.map((l) => l.loops), over: stays.over, plan, again };
      },
    };
  };
  // What shares a launch lives at the same time, so with a tight budget less room is left to the values one by one, as long as there is a way.
  const first = planned(budget);
  for (let [room, tries, plans] = [budget, 0, first]; tries < mostTries; tries++) {
    const made = plans.joined(Infinity);
    if (!profile.apart) {
      const shared = plans.put(plans.shared(made));
      if (shared.plan.bytes <= budget) return shared;
    }
    const own = plans.put(alone(made));
    if (own.plan.bytes <= budget) return own;
    room -= own.plan.bytes - budget;
    const next = attempted(() => planned(room));
    if (!next) break;
    plans = next;
  }
  const smaller = first.put(alone(first.joined(smallValue)));
  return smaller.plan.bytes <= budget ? smaller : first.put(alone(first.single()));
}

/** What this makes; undefined where there is no way to. */
function attempted<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof Fault) return undefined;
    throw cause;
  }
}

/** Elements of a value that hardly counts. */
const smallValue = 1 << 14;
/** How often less room is planned with, so that launches can be joined. */
const mostTries = 3;

/** Of the ways to stay within a budget the one with the least work. Without a need, nothing is computed more than once. */
function cheapest<T extends { readonly again: Again }>(within: (nested: Nested) => T): T {
  const kept: T[] = [];
  let least: Fault | undefined;
  for (const nested of ["cheap", "sums", "all"] as const) {
    try {
      const made = within(nested);
      if (nested === "cheap" && made.again.values.length === 0) return made;
      kept.push(made);
    } catch (cause) {
      if (!(cause instanceof Fault)) throw cause;
      // The last knows the smallest budget that would do.
      least = cause;
    }
  }
  const work = ({ again }: T): number => again.flops + again.otherwise;
  const [best] = kept.sort((a, b) => work(a) - work(b));
  if (!best) throw least ?? new Error("internal: no way to compile");
  return best;
}

/** A definition whose own operands are too large for the adapter: no other choice of kernels would help. */
function demandBindings({ root, body }: Pick<Definition, "root" | "body">, needed: number, profile: Profile): void {
  if (needed <= profile.maxBindings) return;
  const tensors = [root, ...tensorsOf(body)];
  const mib = (bytes: number): string => `${Math.ceil(bytes / 1048576)} MiB`;
  throw new Fault(diagnostic("N0901", `\`${root.name}\` and what it reads are too large for this device`, {
    labels: root.origin.span ? [{ span: root.origin.span, text: root.origin.path }] : [],
    facts: [
      `${tensors.map((t) => `${t.name} ${mib(bytesOf(t))}`).join(", ")}.`,
      `The device binds ${profile.maxBindings} stretches of ${mib(profile.maxBinding)} at once; ${needed} are needed.`,
    ],
    hint: "a smaller patch or batch would fit",
  }));
}

/** Half precision on an adapter that cannot store halves. */
function withoutHalves({ name }: Profile): Fault {
  return new Fault(diagnostic("N0910", "this device does not know half precision", {
    facts: [`${name} lacks the feature \`shader-f16\`.`],
    hint: "leave `precision = half` away (`--set precision=single`), or take another adapter; `netc devices` lists what they have",
  }));
}
