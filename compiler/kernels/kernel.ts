// A kernel: definitions that share a launch, and the schedule that says how.

import type { Axis, Expr } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";

/** How the points of the root are dealt out. A strategy's file says what it accepts and lowers it. */
export type Schedule =
  /**
   * One invocation computes a tile of points (`tile` maps axes of the root to how many of its points; 1 where absent) and
   * runs its reductions serially, those along `unrolled` written out. Four points along `vector`, an axis of the root or of
   * its reductions, are computed side by side; a tile counts them as one.
   */
  { readonly strategy: "map"; readonly tile: ReadonlyMap<Axis, number>; readonly unrolled: ReadonlySet<Axis>; readonly vector: Axis | undefined }
  /** One invocation adds the terms of its points of `parallel` to wherever they land; the sum's other axes run serially. */
  | { readonly strategy: "scatter"; readonly parallel: readonly Axis[]; readonly serial: readonly Axis[] };

export interface Kernel {
  readonly name: string;
  /** The tensor that is stored. */
  readonly root: Tensor;
  /** Its value over the root's axes, with everything that is not stored written in. */
  readonly body: Expr;
  readonly schedule: Schedule;
  /** Names of the definitions written in, for people. */
  readonly inlined: readonly string[];
  /** Why it is stored and not written into its readers. */
  readonly why: string;
}

/** What the compiler assumes of an adapter when it weighs choices. */
export interface Lanes {
  /** Invocations that keep the adapter busy. */
  readonly wanted: number;
}
