// Cuts a box out of a volume; what lies outside is zero.

import type { Triple } from "./volume.ts";

/**
 * Copies the box of `size` that begins at `start` (negative or beyond the end where padding is wanted)
 * from `from` [D, H, W] to `to`, beginning at `at`. Everything outside becomes 0.
 */
export function cropInto(from: Float32Array | Uint8Array, shape: Triple, start: Triple, size: Triple, to: Float32Array, at: number): void {
  const [, height, width] = shape;
  const left = Math.max(0, -start[2]);
  const right = Math.min(size[2], width - start[2]);
  for (let z = 0; z < size[0]; z++) {
    const fromZ = z + start[0];
    for (let y = 0; y < size[1]; y++) {
      const fromY = y + start[1];
      const row = at + (z * size[1] + y) * size[2];
      if (fromZ < 0 || fromZ >= shape[0] || fromY < 0 || fromY >= height || right <= left) {
        to.fill(0, row, row + size[2]);
        continue;
      }
      const begin = (fromZ * height + fromY) * width + start[2];
      to.fill(0, row, row + left);
      to.set(from.subarray(begin + left, begin + right), row + left);
      to.fill(0, row + right, row + size[2]);
    }
  }
}

/** Turns one axis of a box [D, H, W] around in place. */
export function flipAxis(box: Float32Array, at: number, size: Triple, axis: 0 | 1 | 2): void {
  const strides: Triple = [size[1] * size[2], size[2], 1];
  const [p, q] = axis === 0 ? [1, 2] as const : axis === 1 ? [0, 2] as const : [0, 1] as const;
  const last = size[axis] - 1;
  for (let a = 0; a < size[p]; a++) {
    for (let b = 0; b < size[q]; b++) {
      const line = at + a * strides[p] + b * strides[q];
      for (let low = 0, high = last; low < high; low++, high--) {
        const i = line + low * strides[axis];
        const j = line + high * strides[axis];
        const kept = box[i] ?? 0;
        box[i] = box[j] ?? 0;
        box[j] = kept;
      }
    }
  }
}
