// Affine arithmetic: lengths of axes, nearest anatomical orientation, quaternions, and the way between grids.

import type { Affine, AxisSource, Triple } from "./volume.ts";

type Row = readonly [number, number, number, number];

/** The matrix from nine functions of row and column plus the translation. */
function build(entry: (row: 0 | 1 | 2, column: 0 | 1 | 2 | 3) => number): Affine {
  const row = (r: 0 | 1 | 2): Row => [entry(r, 0), entry(r, 1), entry(r, 2), entry(r, 3)];
  return [row(0), row(1), row(2)];
}

/** Scaling only, the first voxel at the origin. */
export function scaling(spacing: Triple): Affine {
  return build((r, c) => (r === c ? spacing[r] : 0));
}

/** Where a voxel (fractions allowed) lies, in millimetres. */
export function locate(affine: Affine, voxel: Triple): Triple {
  const at = (r: 0 | 1 | 2): number =>
    affine[r][0] * voxel[0] + affine[r][1] * voxel[1] + affine[r][2] * voxel[2] + affine[r][3];
  return [at(0), at(1), at(2)];
}

/** The voxel (with fractions) at a place in millimetres, by Cramer's rule. */
export function voxelAt(affine: Affine, place: Triple): Triple {
  const away: Triple = [place[0] - affine[0][3], place[1] - affine[1][3], place[2] - affine[2][3]];
  const instead = (c: 0 | 1 | 2): number => determinant(build((r, k) => (k === c ? away[r] : affine[r][k]))) / determinant(affine);
  return [instead(0), instead(1), instead(2)];
}

function column(affine: Affine, c: 0 | 1 | 2): Triple {
  return [affine[0][c], affine[1][c], affine[2][c]];
}

function norm(v: Triple): number {
  return Math.hypot(v[0], v[1], v[2]);
}

/** The distance of neighbouring voxels along each axis. */
export function columnLengths(affine: Affine): Triple {
  return [norm(column(affine, 0)), norm(column(affine, 1)), norm(column(affine, 2))];
}

/** Signed volume of a voxel. */
export function determinant(affine: Affine): number {
  const [a, b, c] = [column(affine, 0), column(affine, 1), column(affine, 2)];
  return a[0] * (b[1] * c[2] - b[2] * c[1]) - b[0] * (a[1] * c[2] - a[2] * c[1]) + c[0] * (a[1] * b[2] - a[2] * b[1]);
}

/** Whether the matrix places voxels at all: finite, and no axis folded into the others. */
export function isUsable(affine: Affine): boolean {
  if (!affine.every((row) => row.every(Number.isFinite))) return false;
  const lengths = columnLengths(affine);
  return lengths.every((length) => length > 0) && Math.abs(determinant(affine)) > 1e-6 * lengths[0] * lengths[1] * lengths[2];
}

/** Whether the axes stand at right angles (to float32 precision), so that a rotation can express them. */
export function isOrthogonal(affine: Affine): boolean {
  const lengths = columnLengths(affine);
  const pairs = [[0, 1], [0, 2], [1, 2]] as const;
  return pairs.every(([p, q]) => {
    const [a, b] = [column(affine, p), column(affine, q)];
    return Math.abs(a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) < 1e-5 * lengths[p] * lengths[q];
  });
}

/** The greatest distance between what two affines say of the corners of a grid. */
export function cornerDistance(a: Affine, b: Affine, size: Triple): number {
  let worst = 0;
  for (let corner = 0; corner < 8; corner++) {
    const voxel: Triple = [corner & 1 ? size[0] - 1 : 0, corner & 2 ? size[1] - 1 : 0, corner & 4 ? size[2] - 1 : 0];
    const [p, q] = [locate(a, voxel), locate(b, voxel)];
    worst = Math.max(worst, norm([p[0] - q[0], p[1] - q[1], p[2] - q[2]]));
  }
  return worst;
}

const PERMUTATIONS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] as const;

/** Which stored axis lies nearest to each anatomical one, all three together, and which of them run backwards. */
export function nearestAxes(affine: Affine): readonly [AxisSource, AxisSource, AxisSource] {
  const lengths = columnLengths(affine);
  const cosine = (r: 0 | 1 | 2, c: 0 | 1 | 2): number => affine[r][c] / lengths[c];
  let best: (typeof PERMUTATIONS)[number] = PERMUTATIONS[0];
  let bestScore = -1;
  for (const p of PERMUTATIONS) {
    const score = Math.abs(cosine(0, p[0])) + Math.abs(cosine(1, p[1])) + Math.abs(cosine(2, p[2]));
    if (score > bestScore + 1e-9) [best, bestScore] = [p, score];
  }
  const source = (r: 0 | 1 | 2): AxisSource => ({ axis: best[r], flipped: cosine(r, best[r]) < 0 });
  return [source(0), source(1), source(2)];
}

/** The affine of the turned grid, given the stored one. */
export function turnAffine(affine: Affine, size: Triple, sources: readonly [AxisSource, AxisSource, AxisSource]): Affine {
  const first = [0, 0, 0] as [number, number, number];
  for (const source of sources) if (source.flipped) first[source.axis] = size[source.axis] - 1;
  const origin = locate(affine, first);
  return build((r, c) => {
    if (c === 3) return origin[r];
    const source = sources[c];
    return source.flipped ? -affine[r][source.axis] : affine[r][source.axis];
  });
}

/** NIfTI's qform: a unit quaternion (its real part implied), a handedness and spacings. */
export interface Qform {
  readonly b: number;
  readonly c: number;
  readonly d: number;
  readonly offset: Triple;
  /** -1 when the third axis is mirrored, else 1. */
  readonly handed: number;
  readonly spacing: Triple;
}

/** What a qform means as a matrix. */
export function fromQform({ b, c, d, offset, handed, spacing }: Qform): Affine {
  const rest = b * b + c * c + d * d;
  // Float32 rounding can push the sum just past one; the quaternion is then a half turn.
  const scale = rest > 1 ? 1 / Math.sqrt(rest) : 1;
  const [x, y, z] = [b * scale, c * scale, d * scale];
  const w = Math.sqrt(Math.max(0, 1 - rest * scale * scale));
  const turn: readonly Triple[] = [
    [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), w * w + y * y - x * x - z * z, 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), w * w + z * z - x * x - y * y],
  ];
  const steps: Triple = [spacing[0], spacing[1], spacing[2] * handed];
  return build((r, c2) => (c2 === 3 ? offset[r] : (turn[r]?.[c2] ?? 0) * steps[c2]));
}

/** The qform of an affine with orthogonal axes. */
export function toQform(affine: Affine): Qform {
  const spacing = columnLengths(affine);
  const handed = determinant(affine) < 0 ? -1 : 1;
  const r = (row: 0 | 1 | 2, c: 0 | 1 | 2): number => (affine[row][c] / spacing[c]) * (c === 2 ? handed : 1);
  const offset: Triple = [affine[0][3], affine[1][3], affine[2][3]];
  const trace = r(0, 0) + r(1, 1) + r(2, 2);
  let [w, x, y, z] = [0, 0, 0, 0];
  // The branch with the largest divisor, or a half turn loses its axis.
  if (trace > 0) {
    w = Math.sqrt(trace + 1) / 2;
    [x, y, z] = [(r(2, 1) - r(1, 2)) / (4 * w), (r(0, 2) - r(2, 0)) / (4 * w), (r(1, 0) - r(0, 1)) / (4 * w)];
  } else if (r(0, 0) >= r(1, 1) && r(0, 0) >= r(2, 2)) {
    x = Math.sqrt(Math.max(0, 1 + r(0, 0) - r(1, 1) - r(2, 2))) / 2;
    [w, y, z] = [(r(2, 1) - r(1, 2)) / (4 * x), (r(0, 1) + r(1, 0)) / (4 * x), (r(0, 2) + r(2, 0)) / (4 * x)];
  } else if (r(1, 1) >= r(2, 2)) {
    y = Math.sqrt(Math.max(0, 1 + r(1, 1) - r(0, 0) - r(2, 2))) / 2;
    [w, x, z] = [(r(0, 2) - r(2, 0)) / (4 * y), (r(0, 1) + r(1, 0)) / (4 * y), (r(1, 2) + r(2, 1)) / (4 * y)];
  } else {
    z = Math.sqrt(Math.max(0, 1 + r(2, 2) - r(0, 0) - r(1, 1))) / 2;
    [w, x, y] = [(r(1, 0) - r(0, 1)) / (4 * z), (r(0, 2) + r(2, 0)) / (4 * z), (r(1, 2) + r(2, 1)) / (4 * z)];
  }
  const sign = w < 0 ? -1 : 1;
  return { b: x * sign, c: y * sign, d: z * sign, offset, handed, spacing };
}
