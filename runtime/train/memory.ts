// What a plan takes of a device's memory, by what it is for.

import type { Plan } from "../../compiler/plan/plan.ts";
import { isMemory } from "./state.ts";

/** Bytes of a plan's buffers. */
export interface PlanMemory {
  readonly bytes: number;
  readonly weights: number;
  /** Memories of the optimiser. */
  readonly optimizer: number;
  /** Running values of the network. */
  readonly running: number;
  /** Images, labels and results. */
  readonly ports: number;
  /** Values of a step: activations, gradients on their way, sums in parts. */
  readonly activations: number;
  /** What else is kept: the gradients of all weights, for the optimiser. */
  readonly rest: number;
  /** The largest stretch that one launch binds. */
  readonly largestBinding: { readonly name: string; readonly bytes: number };
  /** Different shaders, and launches of a step. */
  readonly kernels: number;
  readonly launches: number;
}

/** Adds up a plan's buffers. */
export function memoryOf({ weights, states, inputs, outputs, buffers, steps, shaders, bytes }: Plan): PlanMemory {
  const sum = (ports: readonly { readonly slice: { readonly bytes: number } }[]): number => ports.reduce((n, { slice }) => n + slice.bytes, 0);
  const own = { weights: sum(weights), optimizer: sum(states.filter(({ name }) => isMemory(name))), running: sum(states.filter(({ name }) => !isMemory(name))), ports: sum([...inputs, ...outputs]) };
  const activations = buffers.reduce((n, buffer) => n + (buffer.kept ? 0 : buffer.bytes), 0);
  const known = own.weights + own.optimizer + own.running + own.ports + activations;
  const bound = steps.flatMap((step) => (step.kind === "dispatch" ? step.bindings : []));
  const largest = bound.reduce((best, one) => (one.bytes > best.bytes ? one : best), { buffer: 0, offset: 0, bytes: 0 });
  return {
    bytes, ...own, activations, rest: Math.max(0, bytes - known),
    largestBinding: { name: buffers[largest.buffer]?.name ?? "", bytes: largest.bytes },
    kernels: shaders.length, launches: steps.filter(({ kind }) => kind === "dispatch").length,
  };
}
