// Sums what windows say of a volume, in a ring of as many slices as a window is deep.

import { voxels } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import { independent, toShares } from "./decide.ts";
import { importance } from "./tiles.ts";
import type { Blending } from "./window.ts";

/** What is summed: values of `outputs` channels about `classes` classes, from windows of `patch` in a volume of `shape`, [D, H, W] both. */
export interface Summed {
  readonly shape: Triple;
  readonly patch: Triple;
  readonly outputs: number;
  readonly classes: number;
  readonly blend: Blending;
}

/** Bytes that a ring takes. */
export function ringBytes({ shape, patch, classes }: Pick<Summed, "shape" | "patch" | "classes">): number {
  return 4 * Math.min(patch[0], shape[0]) * (classes + 1) * shape[1] * shape[2];
}

/** Windows must come in order of their first slice; a slice that no later window reaches can be taken. */
export class Ring {
  readonly #of: Summed;
  readonly #depth: number;
  readonly #weights: Float32Array;
  /** [slice of the ring, class, H, W]. */
  readonly #sums: Float32Array;
  /** [slice of the ring, H, W]: of all that was added. */
  readonly #added: Float32Array;
  readonly #slice: Float64Array;
  #next = 0;

  constructor(of: Summed) {
    const { shape, patch, classes, blend } = of;
    const plane = shape[1] * shape[2];
    this.#of = of;
    this.#depth = Math.min(patch[0], shape[0]);
    this.#weights = blend === "uniform" ? new Float32Array(voxels(patch)).fill(1) : importance(patch);
    this.#sums = new Float32Array(this.#depth * classes * plane);
    this.#added = new Float32Array(this.#depth * plane);
    this.#slice = new Float64Array(classes * plane);
  }

  /** The first slice that was not taken yet. */
  get next(): number {
    return this.#next;
  }

  /**
   * Adds what a network says of the window that begins at `start`, [outputs, D, H, W]: probabilities, or logits where windows are
   * blended uniformly. It runs backwards along the axes in `mirrored`.
   */
  add(start: Triple, values: Float32Array, mirrored: readonly number[]): void {
    const { shape: [depth, height, width], patch, outputs, classes, blend } = this.#of;
    const [patchDepth, patchHeight, patchWidth] = patch;
    const size = voxels(patch);
    const plane = height * width;
    const [backZ, backY, backX] = [mirrored.includes(0), mirrored.includes(1), mirrored.includes(2)];
    const [weights, sums, added] = [this.#weights, this.#sums, this.#added];
    const alone = independent(outputs, classes);
    const left = Math.max(0, -start[2]);
    const count = Math.min(patchWidth, width - start[2]) - left;
    const step = backX ? -1 : 1;
    for (let z = Math.max(0, -start[0]); z < Math.min(patchDepth, depth - start[0]); z++) {
      const slot = (z + start[0]) % this.#depth;
      for (let y = Math.max(0, -start[1]); y < Math.min(patchHeight, height - start[1]); y++) {
        const seen = ((backZ ? patchDepth - 1 - z : z) * patchHeight + (backY ? patchHeight - 1 - y : y)) * patchWidth + (backX ? patchWidth - 1 - left : left);
        const at = (z * patchHeight + y) * patchWidth + left;
        const to = (y + start[1]) * width + start[2] + left;
        for (let n = 0, into = slot * plane + to; n < count; n++, into++) added[into] = (added[into] ?? 0) + (weights[at + n] ?? 0);
        for (let k = 0; k < outputs; k++) {
          let from = k * size + seen;
          let into = (slot * classes + k + (alone ? 1 : 0)) * plane + to;
          for (let n = 0; n < count; n++, from += step, into++) sums[into] = (sums[into] ?? 0) + (weights[at + n] ?? 0) * (values[from] ?? 0);
        }
        // The background of independent targets has a logit of 0, a probability of a half.
        if (!alone || blend === "uniform") continue;
        for (let n = 0, into = slot * classes * plane + to; n < count; n++, into++) sums[into] = (sums[into] ?? 0) + 0.5 * (weights[at + n] ?? 0);
      }
    }
  }

  /** The probabilities [K, H, W] of the next slice, good until another is taken. */
  take(): Float64Array {
    const { shape, outputs, classes, blend } = this.#of;
    const plane = shape[1] * shape[2];
    const slot = this.#next++ % this.#depth;
    const [sums, added] = [this.#sums.subarray(slot * classes * plane, (slot + 1) * classes * plane), this.#added.subarray(slot * plane, (slot + 1) * plane)];
    for (let k = 0, at = 0; k < classes; k++) for (let n = 0; n < plane; n++, at++) this.#slice[at] = (sums[at] ?? 0) / (added[n] ?? 1);
    if (blend === "uniform") toShares(this.#slice, plane, classes, independent(outputs, classes));
    sums.fill(0);
    added.fill(0);
    return this.#slice;
  }
}
