// Everything the runtime needs to run a compiled network, as plain data that survives JSON.

import type { Choose, Matrices, MatrixUnit } from "../kernels/kernel.ts";

export type { Choose, Matrices, MatrixUnit };

/** A stretch of a buffer, in bytes. */
export interface Slice {
  readonly buffer: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Where something came from: the `.net` place and the instantiation path, for messages. */
export interface Provenance {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** e.g. `e[1].0.MedNeXtBlock`. */
  readonly path: string;
}

export interface BufferSpec {
  /** What it first holds, for people. */
  readonly name: string;
  readonly bytes: number;
  /** Kept buffers live from step to step; transient ones may be shared by values whose lives do not overlap. */
  readonly kept: boolean;
  /** The largest value stored in it. */
  readonly origin: Provenance;
}

/**
 * One compute shader with entry point `main`. Binding 0 of group 0 is the uniform buffer when `uniforms`;
 * the storage bindings follow from 1 on, in the order of a dispatch's slices, all `read_write` or `read` as listed.
 */
export interface Shader {
  readonly name: string;
  readonly wgsl: string;
  readonly uniforms: boolean;
  readonly access: readonly ("read" | "read_write")[];
  /** Whether it runs in ranges of its workgroups: binding 0 of group 1, a u32, is then the number of the first, counted through all rows. */
  readonly ranges?: boolean;
}

/**
 * The parts of a step. A network that only predicts is all `forward`. Where a batch is worked through in parts, only the last part
 * has an `update`.
 */
export type Phase = "forward" | "backward" | "update";

/** What a launch asks of the device. */
export interface Cost {
  /** All that it reads and writes, counted once. */
  readonly bytes: number;
  /** Scalar operations on reals. */
  readonly flops: number;
}

export type Step =
  | { readonly kind: "dispatch"; readonly name: string; readonly shader: number; readonly bindings: readonly Slice[];
      readonly groups: readonly [number, number, number]; readonly phase: Phase; readonly cost: Cost; readonly origin: Provenance }
  | { readonly kind: "clear"; readonly slice: Slice; readonly phase: Phase }
  | { readonly kind: "copy"; readonly from: Slice; readonly to: Slice; readonly phase: Phase };

/** How a weight begins. Uniform is over `-bound ..< bound`. */
export type Start =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "uniform"; readonly bound: number }
  | { readonly kind: "normal"; readonly deviation: number };

/** A named tensor of float32 values, row-major. */
export interface Port {
  readonly name: string;
  readonly shape: readonly number[];
  readonly slice: Slice;
  /** Where its axes lie in another order in memory: which axis of `shape` comes first there, and so on. */
  readonly order?: readonly number[];
}

export interface Kept extends Port {
  readonly start: Start;
}

/** A scalar in the uniform buffer. `step` and `seed` of random draws are u32, everything else f32. */
export interface Uniform {
  readonly name: string;
  readonly offset: number;
  readonly type: "f32" | "u32";
  readonly value: number;
}

export interface Plan {
  readonly name: string;
  readonly buffers: readonly BufferSpec[];
  readonly shaders: readonly Shader[];
  readonly steps: readonly Step[];
  readonly uniforms: readonly Uniform[];
  readonly uniformBytes: number;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Learned values. */
  readonly weights: readonly Kept[];
  /** Running values of the network (batch norm), and memories of the optimiser (named `memory/v/<weight path>`). */
  readonly states: readonly Kept[];
  /** Sum of all buffers. */
  readonly bytes: number;
}

/** What the compiler must know of an adapter. */
export interface Profile {
  /** For messages. */
  readonly name: string;
  /** Whether shaders may store halves (f16). */
  readonly half: boolean;
  readonly maxBinding: number;
  readonly maxBindings: number;
  /** Invocations of a workgroup, and bytes that they share. */
  readonly maxInvocations: number;
  readonly maxShared: number;
  /** Invocations in flight that keep the adapter busy: tens of thousands on a card, few on a processor. */
  readonly lanes: number;
  readonly maxGroups: number;
  /** Whether kernels must be able to run in ranges of their workgroups: a watchdog ends what takes long. */
  readonly ranges: boolean;
  /**
   * Whether the lengths of short loops are hidden from the driver. Mesa's compiler writes loops of up to 32 turns out, one in another;
   * on a processor that takes longer than all that it saves.
   */
  readonly opaque?: boolean;
  /** Invocations of a subgroup where a load for all of them is as dear as one for each: on processors. They are consecutive. */
  readonly subgroup?: number | undefined;
  /** What the adapter's matrix units multiply, if it has any; halves among it only where shaders may store them. */
  readonly matrices?: Matrices | undefined;
  /** Whether launches of different shapes stay apart, so that each can be timed. */
  readonly apart?: boolean;
  /** What was found to be fast on this adapter. */
  readonly choose?: Choose;
}
