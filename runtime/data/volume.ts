// A scalar volume in the one orientation everything else works in, and what is needed to go back to the file's own.

/** Three numbers; for arrays in the order D, H, W (slice, row, column). */
export type Triple = readonly [number, number, number];

/** Rows 0 to 2 of a 4 × 4 matrix whose last row is 0 0 0 1: voxel [x, y, z] to millimetres (x right, y front, z up). */
export type Affine = readonly [readonly [number, number, number, number], readonly [number, number, number, number], readonly [number, number, number, number]];

/** Which stored axis runs along one axis of the volume, and whether it runs the other way. */
export interface AxisSource {
  readonly axis: 0 | 1 | 2;
  readonly flipped: boolean;
}

/** The grid of a file, as the file has it: what a result for that file must be written on. */
export interface StoredGrid {
  /** Voxels along the stored axes i, j, k. */
  readonly size: Triple;
  /** From stored voxel [i, j, k] to millimetres. */
  readonly affine: Affine;
  /** Where x, y and z of the volume come from. */
  readonly sources: readonly [AxisSource, AxisSource, AxisSource];
  /** NIfTI's codes for what the affine means; both 0 when the file says nothing of its orientation. */
  readonly sformCode: number;
  readonly qformCode: number;
  readonly version: 1 | 2;
}

/** A volume turned to RAS: x runs to the patient's right, y to the front, z up, as nearly as the stored grid allows. */
export interface Volume {
  /** Voxels [z, y, x], x fastest. */
  readonly data: Float32Array;
  /** [D, H, W], that is voxels along z, y, x. */
  readonly shape: Triple;
  /** Millimetres between voxels along z, y, x. */
  readonly spacing: Triple;
  /** From voxel [x, y, z] of this array to millimetres. */
  readonly affine: Affine;
  readonly stored: StoredGrid;
}

/** The number of voxels of a shape. */
export function voxels(shape: Triple): number {
  return shape[0] * shape[1] * shape[2];
}

/** The voxel [D, H, W] at an offset. */
export function unravel(offset: number, shape: Triple): Triple {
  const plane = shape[1] * shape[2];
  return [Math.floor(offset / plane), Math.floor((offset % plane) / shape[2]), offset % shape[2]];
}

/** A shape for people, in the order x × y × z that viewers show. */
export function sizeText(shape: Triple): string {
  return `${shape[2]} x ${shape[1]} x ${shape[0]}`;
}

/** Millimetres for people: at most three decimals. */
export function lengthsText(lengths: readonly number[]): string {
  return lengths.map((length) => String(Number(length.toFixed(3)))).join(", ");
}
