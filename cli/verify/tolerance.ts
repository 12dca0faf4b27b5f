// How far two implementations may be apart, and how far they are.

import type { Dump } from "./dump.ts";

/** One tensor compared. Errors are lengths of differences, relative to the length of what was stored unless that is next to nothing. */
export interface Row {
  /** Its name in the dump. */
  readonly name: string;
  /** Our path or output. */
  readonly ours: string;
  readonly error: number;
  readonly allowed: number;
  readonly relative: boolean;
  readonly ok: boolean;
}

/** The relative error that outputs may have where nothing else is said; gradients may have ten times as much. */
export const defaultRtol = 1e-5;

/** What is allowed, as relative errors. A reference that was less exact in single precision allows ten times its own error. */
export interface Tolerance {
  readonly output: (head: number) => number;
  readonly loss: number;
  readonly state: number;
  readonly gradInput: number;
  readonly gradient: (official: string) => number;
  /** Added to every gradient, as a length: gradients that are zero but for rounding have no relative error. */
  readonly gradientFloor: number;
}

/** The tolerance for a dump. */
export function toleranceOf({ tensors, sidecar }: Dump, rtol = defaultRtol): Tolerance {
  let largest = sidecar.largestGradient ?? 0;
  if (sidecar.largestGradient === undefined) for (const [name, { values }] of tensors) if (name.startsWith("grad/")) largest = Math.max(largest, lengthOf(values));
  const atLeast = (least: number, recorded: number | undefined): number => Math.max(least, 10 * (recorded ?? 0));
  return {
    output: (head) => atLeast(rtol, sidecar.outputs[head]),
    loss: atLeast(rtol, sidecar.loss),
    state: rtol,
    gradInput: atLeast(10 * rtol, sidecar.gradInput),
    gradient: (official) => atLeast(10 * rtol, sidecar.gradients.get(official)),
    gradientFloor: 1e-6 * largest,
  };
}

/** Compares values; `floor` is a length that is allowed in any case. */
export function rowOf(name: string, ours: string, got: ArrayLike<number>, wanted: Float64Array, rtol: number, floor = 0): Row {
  const length = lengthOf(wanted);
  const off = distance(got, wanted);
  const bound = rtol * length + floor;
  const unit = length > floor ? length : 1;
  return { name, ours, error: off / unit, allowed: bound / unit, relative: length > floor, ok: off <= bound };
}

function lengthOf(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}

function distance(got: ArrayLike<number>, wanted: Float64Array): number {
  if (got.length !== wanted.length) return Infinity;
  let sum = 0;
  for (let i = 0; i < wanted.length; i++) sum += ((got[i] ?? NaN) - (wanted[i] ?? NaN)) ** 2;
  return Math.sqrt(sum);
}
