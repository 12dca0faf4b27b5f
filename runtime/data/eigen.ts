// Eigenvalues and eigenvectors of symmetric 3 x 3 matrices, by Jacobi's rotations.

import type { Triple } from "./volume.ts";

/** Rows. */
export type Matrix = readonly [Triple, Triple, Triple];

/** An eigenvalue and its unit eigenvector. */
export interface Eigen {
  readonly value: number;
  readonly direction: Triple;
}

/** The three pairs of a symmetric matrix, the greatest eigenvalue first. */
export function eigenvectors(matrix: Matrix): readonly [Eigen, Eigen, Eigen] {
  const a = matrix.map((row) => [...row]);
  const v = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  // Each sweep squares what is left beside the diagonal; six are more than doubles can tell.
  for (let sweep = 0; sweep < 12; sweep++) for (const [p, q] of [[0, 1], [0, 2], [1, 2]] as const) rotate(a, v, p, q);
  const pairs = [0, 1, 2].map((n): Eigen => ({ value: at(a, n, n), direction: [at(v, 0, n), at(v, 1, n), at(v, 2, n)] })).sort((one, other) => other.value - one.value);
  const [first, second, third] = pairs;
  if (first === undefined || second === undefined || third === undefined) throw new Error("internal: three axes");
  return [first, second, third];
}

function at(m: readonly (readonly number[])[], r: number, c: number): number {
  return m[r]?.[c] ?? 0;
}

function put(m: number[][], r: number, c: number, value: number): void {
  const row = m[r];
  if (row !== undefined) row[c] = value;
}

/** Turns the plane of p and q so that their entry vanishes; `v` gathers the turns. */
function rotate(a: number[][], v: number[][], p: number, q: number): void {
  const off = at(a, p, q);
  if (off === 0) return;
  const theta = (at(a, q, q) - at(a, p, p)) / (2 * off);
  // The smaller of the two angles; the sign of 0 counts as plus.
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let k = 0; k < 3; k++) {
    const [kp, kq] = [at(a, k, p), at(a, k, q)];
    put(a, k, p, c * kp - s * kq);
    put(a, k, q, s * kp + c * kq);
  }
  for (let k = 0; k < 3; k++) {
    const [pk, qk] = [at(a, p, k), at(a, q, k)];
    put(a, p, k, c * pk - s * qk);
    put(a, q, k, s * pk + c * qk);
    const [vp, vq] = [at(v, k, p), at(v, k, q)];
    put(v, k, p, c * vp - s * vq);
    put(v, k, q, s * vp + c * vq);
  }
  put(a, p, q, 0);
  put(a, q, p, 0);
}
