// A kernel: definitions that share a launch, and the schedule that says how.

import { index, int, type Axis, type Expr, type Read } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";

/** How the points of a kernel are dealt out. A strategy's file says what it accepts and lowers it. */
export type Schedule =
  /**
   * One invocation computes a tile of points (`tile` maps axes of the kernel to how many of its points; 1 where absent) and
   * runs its reductions serially, those along `unrolled` written out. Four points along `vector`, an axis of the kernel or of
   * its reductions, are computed side by side; a tile counts them as one. With a `subgroup`, its invocations lie
   * along these axes, the last fastest, and an element that does not depend on them is loaded by one of them and handed on.
   */
  {
    readonly strategy: "map";
    readonly tile: ReadonlyMap<Axis, number>;
    readonly unrolled: ReadonlySet<Axis>;
    readonly vector: Axis | undefined;
    readonly subgroup: { readonly size: number; readonly along: readonly Axis[] } | undefined;
  }
  /** One invocation adds the terms of its points of `parallel` to wherever they land; the sum's other axes run serially. */
  | { readonly strategy: "scatter"; readonly parallel: readonly Axis[]; readonly serial: readonly Axis[] }
  /**
   * A team of invocations computes a block of points and stages the factors of its sums' products in workgroup memory. They are multiplied
   * `by` matrix units, or by each invocation for itself.
   */
  | { readonly strategy: "contract"; readonly block: Block; readonly by?: Multiplier };

/** Products of `m` x `k` by `k` x `n` elements, which are singles or halves; they are added up in single precision. */
export interface MatrixUnit {
  readonly component: "f32" | "f16";
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** What an adapter's matrix units multiply, and the invocations of a subgroup, which use them together and are consecutive. */
export interface Matrices {
  readonly subgroup: number;
  readonly units: readonly MatrixUnit[];
}

/** One unit of them. */
export interface Multiplier {
  readonly subgroup: number;
  readonly unit: MatrixUnit;
}

/**
 * Points that a team computes, `rows` x `columns`, and those of them that one invocation does, or one subgroup where matrix units
 * multiply, `height` x `width`: all multiples of four.
 */
export interface Block {
  readonly rows: number;
  readonly columns: number;
  readonly height: number;
  readonly width: number;
}

/** A stored tensor, and its value with everything that is not stored written in. */
export interface Definition {
  readonly root: Tensor;
  readonly body: Expr;
  /** Names of the definitions written in, for people. */
  readonly inlined: readonly string[];
  /** Why it is stored and not written into its readers. */
  readonly why: string;
  /** Axes of the root of which one invocation takes all points, so that a sum inside another is not taken again for each. */
  readonly covered: readonly Axis[];
}

/** A definition in a launch. */
export interface Result extends Definition {
  /** Where the value at a point is stored, as an index per axis of the root; at the element that belongs to the point where absent. */
  readonly at?: readonly Expr[];
}

/** Definitions over the same axes that one launch computes: all of them at each point, so that they share loads and loops. */
export interface Group {
  /** Axes with more than one point. */
  readonly axes: readonly Axis[];
  /** The bodies are over the group's axes. */
  readonly results: readonly Result[];
  /** Axes of which one invocation takes all points. */
  readonly covered: readonly Axis[];
  /** Why the second and later results are here, one by one. */
  readonly joined: readonly string[];
}

export interface Kernel extends Group {
  readonly name: string;
  /** What launches that run the same program have in common, whatever their tensors; the same in every run of the compiler. */
  readonly key: string;
  readonly schedule: Schedule;
}

/** The axes of a tensor along which it has more than one point. */
export const longAxes = ({ axes }: Pick<Tensor, "axes">): readonly Axis[] => axes.filter((a) => a.extent > 1);

/** The element of a tensor that belongs to a point of these axes, which are as many as its axes with more than one point. */
export function placeOf(t: Tensor, axes: readonly Axis[]): readonly Expr[] {
  const rest = [...axes];
  return t.axes.map((a) => (a.extent > 1 ? index(rest.shift() ?? a) : int(0)));
}

/** Whether a read takes the very element that belongs to a point of these axes. */
export function isOwnPoint(r: Read, axes: readonly Axis[]): boolean {
  let met = 0;
  for (let k = 0; k < r.at.length; k++) {
    const e = r.at[k] as Expr;
    if ((r.tensor.axes[k] as Axis).extent <= 1) {
      if (e.kind !== "number" || e.value !== 0) return false;
    } else if (e.kind !== "axis" || e.axis !== axes[met++]) return false;
  }
  return met === axes.length;
}

/** Points of a group, each of which has one element of every result. */
export const pointsOf = ({ axes }: Pick<Group, "axes">): number => axes.reduce((n, a) => n * a.extent, 1);

/** What the compiler assumes of an adapter when it weighs choices. */
export interface Lanes {
  /** Invocations that keep the adapter busy. */
  readonly wanted: number;
  /** Invocations of a subgroup, where a load for all of them is as dear as one for each: on processors. */
  readonly mates?: number | undefined;
  /** Whether launches are written as shortly as can be. */
  readonly brief?: boolean;
  /** Most invocations that share memory and most bytes of it, where it is faster than other memory: on cards. */
  readonly team?: { readonly size: number; readonly bytes: number; readonly matrices?: Matrices | undefined } | undefined;
}

/**
 * Of the schedules offered for a launch, each as a text, the one to take; undefined for the compiler's own choice, which is the first.
 * `launch` is the same for launches that run the same program.
 */
export type Choose = (launch: string, offered: readonly string[]) => string | undefined;
