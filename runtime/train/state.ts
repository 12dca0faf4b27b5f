// Moves what a run has learned between a session and a checkpoint.

import { diagnostic, Fault, invariant } from "../../compiler/report/diagnostic.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import type { Session } from "../session.ts";
import { demandFit } from "./checkpoint.ts";
import type { Checkpoint, Weights } from "./checkpoint.ts";

/** Whether a tensor is a memory of the optimiser; only training needs those. */
export const isMemory = (name: string): boolean => name.startsWith("memory/");

/** All weights and running values as they are now. */
export async function gather(session: Session): Promise<ReadonlyMap<string, Weights>> {
  const { weights, states } = session.plan;
  const read = [
    ...weights.map(async ({ name, shape }) => [name, { shape, data: await session.readWeights(name) }] as const),
    ...states.map(async ({ name, shape }) => [name, { shape, data: await session.readState(name) }] as const),
  ];
  return new Map(await Promise.all(read));
}

/** The name of a tensor that holds a value that is no finite number; undefined when all are fine. */
export function firstBroken(tensors: ReadonlyMap<string, Weights>): string | undefined {
  for (const [name, { data }] of tensors) if (!data.every(Number.isFinite)) return name;
  return undefined;
}

/** Whether a tensor counts steps of a precision, and belongs to no weight. */
const isCounter = (name: string): boolean => /^memory\/[^/]+$/.test(name);

/**
 * Gives a training session everything a checkpoint holds; N1042 unless it has exactly the tensors of the plan. A run that goes on in
 * another precision begins to count anew.
 */
export function resume(session: Session, path: string, checkpoint: Checkpoint): void {
  const { weights, states } = session.plan;
  const counters = states.filter(({ name }) => isCounter(name));
  const tensors = new Map<string, Weights>(counters.map(({ name, shape, start }) =>
    [name, { shape, data: Float32Array.of(start.kind === "constant" ? start.value : 0) }]));
  for (const [name, one] of checkpoint.tensors) if (!isCounter(name) || tensors.has(name)) tensors.set(name, one);
  demandFit(path, { ...checkpoint, tensors }, [...weights, ...states]);
  put(session, tensors);
}

/** Gives a training session weights and running values to begin with; memories of the optimiser stay as they are. */
export function startWith(session: Session, tensors: ReadonlyMap<string, Weights>): void {
  put(session, tensors, session.plan.states.filter(({ name }) => !isMemory(name)));
}

/** Gives an inference session its weights; what only training needs is left out. N1042 where something lacks. */
export function loadWeights(session: Session, path: string, checkpoint: Checkpoint): void {
  demandWeights(session.plan, path, checkpoint);
  put(session, checkpoint.tensors);
}

/** N1042 unless the checkpoint has all that a plan needs to predict. */
export function demandWeights(plan: Pick<Plan, "weights" | "states">, path: string, checkpoint: Checkpoint): void {
  const wanted = [...plan.weights, ...plan.states];
  const names = new Set(wanted.map(({ name }) => name));
  const lacks = wanted.some(({ name }) => !checkpoint.tensors.has(name));
  // Heads for deep supervision exist only in training; they are told of only where they may be what was misnamed.
  const kept = [...checkpoint.tensors].filter(([name]) => names.has(name) || (lacks && !isMemory(name)));
  demandFit(path, { ...checkpoint, tensors: new Map(kept) }, wanted);
}

/** Gives a session the values of some tensors. */
export function put(session: Session, tensors: ReadonlyMap<string, Weights>, states: Plan["states"] = session.plan.states): void {
  const valueOf = (name: string): Float32Array => {
    const found = tensors.get(name);
    invariant(found !== undefined, () => `nothing was read for ${name}`);
    return found.data;
  };
  for (const { name } of session.plan.weights) session.setWeights(name, valueOf(name));
  for (const { name } of states) session.setState(name, valueOf(name));
}

/** A number that a checkpoint's metadata must hold. */
export function numberIn(checkpoint: Checkpoint, path: string, name: string): number {
  const value = checkpoint.meta[name];
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new Fault(diagnostic("N1041", `${path} does not say its \`${name}\``, {
    facts: ["It was not written by a training run of netc, or is damaged."], hint: "start a new run; weights alone cannot be trained on from where they stood",
  }));
}
