// Exact Euclidean distances to a set of voxels, in millimetres.

import { voxels } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";

/**
 * For every voxel of a volume of `shape` [D, H, W] the squared distance to the nearest of the voxels at the offsets `to`, which lie
 * `spacing` apart; Infinity where `to` is empty.
 */
export function squaredDistances(to: ArrayLike<number>, shape: Triple, spacing: Triple): Float64Array {
  const squares = new Float64Array(voxels(shape)).fill(Infinity);
  for (let n = 0; n < to.length; n++) squares[to[n] ?? 0] = 0;
  const strides = [shape[1] * shape[2], shape[2], 1] as const;
  for (const axis of [2, 1, 0] as const) {
    const [length, stride] = [shape[axis], strides[axis]];
    const line = new Line(length, spacing[axis]);
    for (let outer = 0; outer < squares.length; outer += length * stride) {
      for (let start = outer; start < outer + stride; start++) line.nearest(squares, start, stride);
    }
  }
  return squares;
}

/** Memory for one line of a volume. */
class Line {
  readonly #step: number;
  readonly #values: Float64Array;
  /** Places whose parabolas are lowest somewhere, and where each begins to be. */
  readonly #roots: Int32Array;
  readonly #begins: Float64Array;

  constructor(length: number, step: number) {
    this.#step = step;
    this.#values = new Float64Array(length);
    this.#roots = new Int32Array(length);
    this.#begins = new Float64Array(length);
  }

  /**
   * Replaces the values v of a line by the least of v[q] + (step (n - q))^2 over q, for every n: the lower envelope of parabolas, in
   * linear time (Felzenszwalb and Huttenlocher, Distance transforms of sampled functions, 2012).
   */
  nearest(squares: Float64Array, start: number, stride: number): void {
    const [values, roots, begins, step] = [this.#values, this.#roots, this.#begins, this.#step];
    const length = values.length;
    let count = 0;
    for (let q = 0, at = start; q < length; q++, at += stride) {
      const value = squares[at] ?? Infinity;
      values[q] = value;
      if (value === Infinity) continue;
      let begin = -Infinity;
      while (count > 0) {
        const last = roots[count - 1] ?? 0;
        // Differences first: squares of places far from the origin would lose digits.
        begin = (q + last) / 2 + (value - (values[last] ?? 0)) / (2 * step * step * (q - last));
        if (begin > (begins[count - 1] ?? -Infinity)) break;
        count--;
        begin = -Infinity;
      }
      roots[count] = q;
      begins[count++] = begin;
    }
    if (count === 0) return;
    for (let n = 0, at = start, root = 0; n < length; n++, at += stride) {
      while (root + 1 < count && (begins[root + 1] ?? Infinity) < n) root++;
      const q = roots[root] ?? 0;
      squares[at] = (values[q] ?? 0) + (step * (n - q)) ** 2;
    }
  }
}
