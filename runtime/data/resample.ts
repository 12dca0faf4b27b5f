// Images and labels on another spacing, and probabilities back, by nnU-Net's rules.

import { invariant } from "../../compiler/report/diagnostic.ts";
import { blendAlong, cubicAlong, linearTaps, nearestTaps, type Taps } from "./spline.ts";
import { voxels, type Triple } from "./volume.ts";

type Axis = 0 | 1 | 2;
const axes = [0, 1, 2] as const;

/** Voxels are anisotropic where their longest side is more than this many times the shortest. */
const ANISOTROPIC = 3;

/** How one grid of [D, H, W] becomes another that covers the same millimetres. */
export interface Regrid {
  readonly from: Triple;
  readonly to: Triple;
  /** The axis along which slices are thick: it is not interpolated along, each new slice is the nearest old one. */
  readonly apart: Axis | undefined;
}

/** Python's rounding, half to even. */
function round(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** The shape that `shape` voxels of `spacing` have on another spacing; at least one voxel along every axis. */
export function newShape(shape: Triple, spacing: Triple, target: Triple): Triple {
  const along = (axis: Axis): number => Math.max(1, round((spacing[axis] / target[axis]) * shape[axis]));
  return [along(0), along(1), along(2)];
}

/** The thick axis of a spacing or of the other one, the first of them that is anisotropic; none where two axes are equally thick. */
export function apartAxis(from: Triple, to: Triple): Axis | undefined {
  const thick = [from, to].find((spacing) => Math.max(...spacing) / Math.min(...spacing) > ANISOTROPIC);
  if (thick === undefined) return undefined;
  const widest = axes.filter((axis) => thick[axis] === Math.max(...thick));
  return widest.length === 1 ? widest[0] : undefined;
}

/** The way of `shape` voxels from one spacing to another. */
export function regrid(shape: Triple, spacing: Triple, target: Triple): Regrid {
  return { from: shape, to: newShape(shape, spacing, target), apart: apartAxis(spacing, target) };
}

/** The way back. */
export function backwards({ from, to, apart }: Regrid): Regrid {
  return { from: to, to: from, apart };
}

const same = (a: Triple, b: Triple): boolean => axes.every((axis) => a[axis] === b[axis]);

/** One channel [D, H, W] by cubic B-splines, kept within the range of the old values (of the old slice, where slices are apart). */
export function resampleImage(values: Float32Array, way: Regrid): Float32Array {
  const { from, to, apart } = way;
  invariant(values.length === voxels(from), () => `${values.length} values for ${from.join(" x ")}`);
  if (same(from, to)) return values;
  let now = values;
  let shape = from;
  // What shrinks most goes first: less is left for the others.
  const order = axes.filter((axis) => axis !== apart && from[axis] !== to[axis]).sort((a, b) => to[a] / from[a] - to[b] / from[b]);
  for (const axis of order) {
    now = cubicAlong(now, shape, axis, to[axis]);
    shape = withExtent(shape, axis, to[axis]);
  }
  if (order.length > 0) clip(now, shape, values, from, apart);
  return apart === undefined || from[apart] === to[apart] ? now : blendAlong(now, shape, apart, nearestTaps(from[apart], to[apart]));
}

function withExtent(shape: Triple, axis: Axis, extent: number): Triple {
  return [axis === 0 ? extent : shape[0], axis === 1 ? extent : shape[1], axis === 2 ? extent : shape[2]];
}

/** Keeps new values within the range of the old ones, all together or slice by slice along an axis. */
function clip(values: Float32Array, shape: Triple, old: Float32Array, oldShape: Triple, apart: Axis | undefined): void {
  const slices = apart === undefined ? 1 : shape[apart];
  const [low, high] = [new Float64Array(slices).fill(Infinity), new Float64Array(slices).fill(-Infinity)];
  eachSlice(oldShape, apart, (n, slice) => {
    const value = old[n] ?? 0;
    if (value < (low[slice] ?? 0)) low[slice] = value;
    if (value > (high[slice] ?? 0)) high[slice] = value;
  });
  eachSlice(shape, apart, (n, slice) => { values[n] = Math.min(Math.max(values[n] ?? 0, low[slice] ?? 0), high[slice] ?? 0); });
}

function eachSlice(shape: Triple, apart: Axis | undefined, visit: (n: number, slice: number) => void): void {
  let n = 0;
  for (let z = 0; z < shape[0]; z++) {
    for (let y = 0; y < shape[1]; y++) {
      for (let x = 0; x < shape[2]; x++) visit(n++, apart === undefined ? 0 : apart === 0 ? z : apart === 1 ? y : x);
    }
  }
}

function tapsOf({ from, to, apart }: Regrid): readonly [Taps, Taps, Taps] {
  const along = (axis: Axis): Taps => (axis === apart ? nearestTaps : linearTaps)(from[axis], to[axis]);
  return [along(0), along(1), along(2)];
}

/** One channel [D, H, W] by straight lines. */
export function resampleLinear(values: Float32Array, way: Regrid): Float32Array {
  let [now, shape] = [values, way.from];
  tapsOf(way).forEach((taps, n) => {
    const axis = axes[n] ?? 0;
    if (way.from[axis] === way.to[axis]) return;
    now = blendAlong(now, shape, axis, taps);
    shape = withExtent(shape, axis, way.to[axis]);
  });
  return now;
}

/**
 * A label [D, H, W]: every class is interpolated by straight lines and holds where it has at least a half, the largest such value
 * winning; where none has, 0.
 */
export function resampleLabels(labels: Uint8Array, way: Regrid): Uint8Array {
  const { from, to } = way;
  invariant(labels.length === voxels(from), () => `${labels.length} labels for ${from.join(" x ")}`);
  if (same(from, to)) return labels;
  const [tz, ty, tx] = tapsOf(way);
  const out = new Uint8Array(voxels(to));
  const corners = new Uint8Array(8);
  const shares = new Float64Array(8);
  let n = 0;
  for (let z = 0; z < to[0]; z++) {
    const pz = tz.share[z] ?? 0;
    for (let y = 0; y < to[1]; y++) {
      const py = ty.share[y] ?? 0;
      for (let x = 0; x < to[2]; x++) {
        const px = tx.share[x] ?? 0;
        let mixed = false;
        for (let corner = 0; corner < 8; corner++) {
          const a = (corner & 4 ? tz.high : tz.low)[z] ?? 0;
          const b = (corner & 2 ? ty.high : ty.low)[y] ?? 0;
          const c = (corner & 1 ? tx.high : tx.low)[x] ?? 0;
          const value = labels[(a * from[1] + b) * from[2] + c] ?? 0;
          corners[corner] = value;
          if (value !== corners[0]) mixed = true;
        }
        if (!mixed) {
          out[n++] = corners[0] ?? 0;
          continue;
        }
        for (let corner = 0; corner < 8; corner++) shares[corner] = (corner & 4 ? pz : 1 - pz) * (corner & 2 ? py : 1 - py) * (corner & 1 ? px : 1 - px);
        out[n++] = majority(corners, shares);
      }
    }
  }
  return out;
}

/** The largest of eight labels that has at least half of the shares; else 0. */
function majority(labels: Uint8Array, shares: Float64Array): number {
  let best = 0;
  for (let n = 0; n < 8; n++) {
    const label = labels[n] ?? 0;
    if (label <= best) continue;
    let sum = 0;
    for (let m = 0; m < 8; m++) if (labels[m] === label) sum += shares[m] ?? 0;
    if (sum >= 0.5) best = label;
  }
  return best;
}
