// How long a structure is and which way it lies, and the cube around it that a second network looks at.

import { invariant } from "../../compiler/report/diagnostic.ts";
import { eigenvectors, type Matrix } from "./eigen.ts";
import { unravel } from "./volume.ts";
import type { Triple } from "./volume.ts";

/** The longest extent of a set of voxels. Everything is in millimetres along the volume's own axes D, H, W, voxel [0, 0, 0] at 0. */
export interface LongAxis {
  readonly centroid: Triple;
  /** Sample covariance (divisor n - 1; zeros for a single voxel). */
  readonly covariance: Matrix;
  /** The unit eigenvector of the greatest eigenvalue; its sign means nothing. */
  readonly direction: Triple;
  /** Between the outermost voxel centres, projected on the direction. */
  readonly length: number;
}

/** The long axis of the voxels at `at` (at least one) of a volume of `shape`, `spacing` mm apart. */
export function longAxis(at: Uint32Array, shape: Triple, spacing: Triple): LongAxis {
  invariant(at.length > 0, () => "the long axis of nothing");
  const sum = [0, 0, 0];
  // Voxel by voxel twice: sums of squares about 0 would lose digits far from it.
  each(at, shape, spacing, (z, y, x) => { add(sum, 0, z); add(sum, 1, y); add(sum, 2, x); });
  const centroid: Triple = [(sum[0] ?? 0) / at.length, (sum[1] ?? 0) / at.length, (sum[2] ?? 0) / at.length];
  const products = new Array<number>(9).fill(0);
  each(at, shape, spacing, (...p) => {
    for (const r of axes) for (const c of axes) add(products, 3 * r + c, (p[r] - centroid[r]) * (p[c] - centroid[c]));
  });
  const entry = (r: number, c: number): number => (products[3 * r + c] ?? 0) / Math.max(1, at.length - 1);
  const row = (r: number): Triple => [entry(r, 0), entry(r, 1), entry(r, 2)];
  const covariance: Matrix = [row(0), row(1), row(2)];
  const { direction } = eigenvectors(covariance)[0];
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  each(at, shape, spacing, (z, y, x) => {
    const along = z * direction[0] + y * direction[1] + x * direction[2];
    least = Math.min(least, along);
    most = Math.max(most, along);
  });
  return { centroid, covariance, direction, length: most - least };
}

const axes = [0, 1, 2] as const;

function add(to: number[], n: number, value: number): void {
  to[n] = (to[n] ?? 0) + value;
}

function each(at: Uint32Array, shape: Triple, spacing: Triple, visit: (z: number, y: number, x: number) => void): void {
  for (const offset of at) {
    const [z, y, x] = unravel(offset, shape);
    visit(z * spacing[0], y * spacing[1], x * spacing[2]);
  }
}

/** A box of voxels; it may reach beyond the volume. */
export interface Box {
  readonly start: Triple;
  readonly size: Triple;
}

/** How large the cube around a structure is. */
export interface CubeRule {
  /** The cube's edge, in lengths of the long axis. */
  readonly factor: number;
  /** The least edge, in mm. */
  readonly least: number;
}

/** The cube in millimetres around a centroid, in whole voxels: along a coarse axis it has fewer of them. */
export function cubeAround({ centroid, length }: Pick<LongAxis, "centroid" | "length">, spacing: Triple, { factor, least }: CubeRule): Box {
  const edge = Math.max(factor * length, least);
  const size = (axis: 0 | 1 | 2): number => Math.max(1, Math.round(edge / spacing[axis]));
  const start = (axis: 0 | 1 | 2): number => Math.round(centroid[axis] / spacing[axis] - (size(axis) - 1) / 2);
  return { start: [start(0), start(1), start(2)], size: [size(0), size(1), size(2)] };
}
