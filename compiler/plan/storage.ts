// What has memory of its own: ports, flat packs and values updated in place. All other values are transient.

import { index } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { readsOf, tensorsOf } from "../ir/rewrite.ts";
import type { Definition } from "../kernels/kernel.ts";
import type { Job } from "./assemble.ts";
import { orderLaunches } from "./schedule-steps.ts";

export interface Storage {
  /** Tensors that lie in kept memory from the step's beginning to its end. */
  readonly own: ReadonlySet<Tensor>;
  /** Transient values that are needed when the last launch is done, to be copied. */
  readonly atEnd: ReadonlySet<Tensor>;
  /** Next values whose kernels write where the present ones lie. */
  readonly inPlace: ReadonlyMap<Tensor, Tensor>;
  /** The tensors whose memory a launch takes over, by what it writes. */
  readonly overwrites: ReadonlyMap<Tensor, readonly Tensor[]>;
  /** The parts that must be complete before a flat value is read. */
  readonly behind: ReadonlyMap<Tensor, readonly Tensor[]>;
  /** Bytes of all kept memory. */
  readonly bytes: number;
}

/** Bytes that an element takes in memory. */
export const elementBytes = (t: Tensor): number => (t.type === "wide" ? 8 : t.half ? 2 : 4);

/** Bytes that a tensor takes, a multiple of four. */
export const bytesOf = (t: Tensor): number => Math.ceil((Math.max(1, sizeOf(t)) * elementBytes(t)) / 4) * 4;

export function storageOf(job: Job, kernels: readonly Definition[]): Storage {
  const nextOf = new Map(job.updates.map((u) => [u.next, u.now]));
  const inPlace = new Map<Tensor, Tensor>();
  for (const kernel of kernels) {
    const now = nextOf.get(kernel.root);
    if (now && onlyOwnPoints(kernel, now)) inPlace.set(kernel.root, now);
  }
  const overwrites = new Map([...inPlace].map(([next, now]) => {
    const pack = job.packs.find((p) => p.flat === now);
    return [next, [now, ...(pack?.parts.map((p) => p.tensor) ?? [])]];
  }));
  const parts = new Set(job.packs.flatMap((p) => p.parts.map((x) => x.tensor)));
  const whole = new Set([
    ...job.packs.map((p) => p.flat), ...job.inputs, ...job.states.map((s) => s.tensor),
    ...job.updates.map((u) => u.now), ...job.outputs.map((o) => o.tensor),
  ].filter((t) => !parts.has(t) && !inPlace.has(t)));
  return {
    own: new Set([...whole, ...parts, ...inPlace.keys()]),
    atEnd: new Set(job.updates.map((u) => u.next).filter((t) => !inPlace.has(t))),
    inPlace,
    overwrites,
    behind: new Map(job.packs.map((p) => [p.flat, p.parts.map((x) => x.tensor)])),
    bytes: [...whole].reduce((n, t) => n + bytesOf(t), 0),
  };
}

/** The kernels in an order in which they can run. */
export function inOrder(kernels: readonly Definition[], storage: Storage): readonly Definition[] {
  const launches = kernels.map((k) => ({ writes: k.root, reads: tensorsOf(k.body) }));
  return orderLaunches(launches, storage.behind, storage.overwrites).map((i) => kernels[i] as Definition);
}

/** Whether a definition reads a tensor only at the very point it writes, so that it may write in its place. */
function onlyOwnPoints(kernel: Definition, now: Tensor): boolean {
  return readsOf(kernel.body).every((r) => r.tensor !== now || r.at.every((e, k) => {
    const axis = kernel.root.axes[k];
    return axis !== undefined && e === index(axis);
  }));
}
