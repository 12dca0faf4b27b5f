// Keeps submits short enough for the watchdogs of desktops, which end the device's work after some seconds: long dispatches run in ranges of their workgroups.

import { invariant } from "../compiler/report/diagnostic.ts";
import type { Step } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { isDispatch, type Prepared } from "./recording.ts";
import { usage } from "./transfer.ts";

/** Scalar operations and bytes in a second that every card manages, however badly a kernel suits it: for dispatches not timed yet. */
const slow = { flops: 5e9, bytes: 2e9 };
/** Pieces of one dispatch at most. */
const most = 1024;
/** WebGPU's alignment of dynamic offsets on every adapter. */
const slot = 256;

/** Some workgroups of a dispatch: the number of the first, counted through all its rows, and how many are run. */
export interface Range {
  readonly first: number;
  readonly groups: readonly [number, number, number];
}

/**
 * A dispatch of `groups` in about `pieces` ranges that follow each other. Their length is a power of two, so that many dispatches
 * begin ranges at the same numbers, or a whole number of rows.
 */
export function rangesOf([columns, rows, depth]: readonly [number, number, number], pieces: number): readonly Range[] {
  invariant(depth === 1, () => `a dispatch with ${depth} layers cannot run in ranges`);
  if (pieces <= 1) return [{ first: 0, groups: [columns, rows, 1] }];
  const length = 2 ** Math.floor(Math.log2(Math.max(1, (columns * rows) / pieces)));
  // Ranges of several rows are whole rows; within a row there is room for any range.
  const rowsEach = Math.floor(length / columns);
  const each = rowsEach > 1 ? rowsEach * columns : Math.min(length, columns);
  return Array.from({ length: Math.ceil((columns * rows) / each) }, (_, i) => {
    const left = columns * rows - i * each;
    return { first: i * each, groups: rowsEach > 1 ? [columns, Math.min(each, left) / columns, 1] : [Math.min(each, left), 1, 1] };
  });
}

/** How the steps of a plan are dealt out into submits: at first as on a slow card, then by how long they took. */
export class Pace {
  readonly #device: Device;
  readonly #longest: number;
  readonly #steps: readonly Prepared[];
  readonly #times = new Map<Step, number>();
  #pieces: ReadonlyMap<Step, readonly Prepared[]>;
  #firsts: GPUBuffer | undefined;

  /** A submit, and a piece of a dispatch, should take no more than `longest` milliseconds; with `Infinity` nothing is cut or timed. */
  constructor(device: Device, steps: readonly Prepared[], longest: number) {
    this.#device = device;
    this.#steps = steps;
    this.#longest = longest;
    this.#pieces = this.#cut();
  }

  /** The pieces that each of some steps runs in. */
  pieces(steps: readonly Prepared[]): readonly (readonly Prepared[])[] {
    return steps.map((prepared) => this.#pieces.get(prepared.step) ?? [prepared]);
  }

  /** Whether some step is long enough to matter and was never timed. */
  wants(prepared: Prepared): boolean {
    return this.#longest !== Infinity && isDispatch(prepared) && !this.#times.has(prepared.step);
  }

  /** Takes note of how long steps took, in milliseconds, and cuts by that from now on. */
  learn(times: ReadonlyMap<Step, number>): void {
    for (const [step, time] of times) this.#times.set(step, time);
    this.#firsts?.destroy();
    this.#pieces = this.#cut();
  }

  /** The pieces of some steps, in order, in as few submits as their times allow, of at most `count` pieces each. */
  submits(steps: readonly Prepared[], count: number): readonly (readonly Prepared[])[] {
    const all: Prepared[][] = [];
    let current: Prepared[] = [];
    let time = 0;
    for (const pieces of this.pieces(steps)) {
      const each = pieces[0] === undefined || this.#longest === Infinity ? 0 : this.#timeOf(pieces[0]) / pieces.length;
      for (const piece of pieces) {
        if (current.length > 0 && (current.length >= count || time + each > this.#longest)) {
          all.push(current);
          current = [];
          time = 0;
        }
        current.push(piece);
        time += each;
      }
    }
    if (current.length > 0) all.push(current);
    return all;
  }

  destroy(): void {
    this.#firsts?.destroy();
  }

  #timeOf(prepared: Prepared): number {
    if (!isDispatch(prepared)) return 0;
    const { cost } = prepared.step;
    return this.#times.get(prepared.step) ?? 1000 * (cost.flops / slow.flops + cost.bytes / slow.bytes);
  }

  #cut(): ReadonlyMap<Step, readonly Prepared[]> {
    const ranged = this.#steps.filter(isDispatch).filter(({ ranges }) => ranges);
    this.#firsts = undefined;
    if (ranged.length === 0) return new Map();
    const cuts = ranged.map((prepared) => ({ prepared, ranges: rangesOf(prepared.step.groups, Math.min(most, Math.ceil(this.#timeOf(prepared) / this.#longest))) }));
    const slots = new Map<number, number>();
    for (const { first } of cuts.flatMap(({ ranges }) => ranges)) if (!slots.has(first)) slots.set(first, slots.size);
    const { gpu, pipelines } = this.#device;
    const buffer = gpu.createBuffer({ label: "first workgroups", size: slots.size * slot, usage: usage.uniform | usage.copyTarget });
    const values = new Uint32Array((slots.size * slot) / 4);
    for (const [first, at] of slots) values[(at * slot) / 4] = first;
    gpu.queue.writeBuffer(buffer, 0, values);
    const group = gpu.createBindGroup({ label: "first workgroups", layout: pipelines.ranges, entries: [{ binding: 0, resource: { buffer, size: 4 } }] });
    this.#firsts = buffer;
    return new Map(cuts.map(({ prepared, ranges }) =>
      [prepared.step, ranges.map(({ first, groups }) => ({ ...prepared, range: { group, offset: (slots.get(first) ?? 0) * slot, groups } }))]));
  }
}
