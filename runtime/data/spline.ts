// Resampling along one axis: cubic B-splines, straight lines or the nearest point, with the conventions of scipy.ndimage.zoom.

import type { Triple } from "./volume.ts";

/** For every new point of an axis: the two old points it lies between, and the share of the second. */
export interface Taps {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float64Array;
}

/** Old place of new point `n`: centres of voxels at halves (scipy's `grid_mode`). */
function place(n: number, from: number, to: number): number {
  return (n + 0.5) * (from / to) - 0.5;
}

/** Straight lines between old points, the border repeated. */
export function linearTaps(from: number, to: number): Taps {
  const places = Float64Array.from({ length: to }, (_, n) => Math.min(Math.max(place(n, from, to), 0), from - 1));
  return {
    low: Int32Array.from(places, Math.floor),
    high: Int32Array.from(places, (p) => Math.min(Math.floor(p) + 1, from - 1)),
    share: places.map((p) => p - Math.floor(p)),
  };
}

/** The nearest old point, of two equally near ones the later. */
export function nearestTaps(from: number, to: number): Taps {
  const low = Int32Array.from({ length: to }, (_, n) => Math.floor(Math.min(Math.max(place(n, from, to), 0), from - 1) + 0.5));
  return { low, high: low, share: new Float64Array(to) };
}

/** Points by which the border is repeated before filtering; the filter's reach falls by 3.7 a point. */
const PAD = 12;
/** The pole of the cubic B-spline's inverse filter. */
const POLE = Math.sqrt(3) - 2;
/** Lines that are filtered side by side. */
const LANES = 128;

/**
 * Resamples one axis of `values` [D, H, W] to `to` points: a cubic B-spline through the old points, the border repeated.
 * Formulas: M. Unser, Splines: a perfect fit for signal and image processing (1999).
 */
export function cubicAlong(values: Float32Array, shape: Triple, axis: 0 | 1 | 2, to: number): Float32Array {
  const from = shape[axis];
  const stride = axis === 0 ? shape[1] * shape[2] : axis === 1 ? shape[2] : 1;
  const lines = values.length / from;
  const out = new Float32Array(lines * to);
  const length = from + 2 * PAD;
  const buffer = new Float64Array(length * LANES);
  const weights = cubicWeights(from, to);
  for (let first = 0; first < lines; first += LANES) {
    const lanes = Math.min(LANES, lines - first);
    for (let lane = 0; lane < lanes; lane++) {
      const line = first + lane;
      const outer = Math.floor(line / stride);
      const begin = outer * stride * from + (line - outer * stride);
      for (let n = 0; n < length; n++) {
        const at = Math.min(Math.max(n - PAD, 0), from - 1);
        buffer[n * LANES + lane] = values[begin + at * stride] ?? 0;
      }
    }
    filter(buffer, length);
    for (let n = 0; n < to; n++) {
      const at = (weights.start[n] ?? 0) * LANES;
      const [a = 0, b = 0, c = 0, d = 0] = weights.of.subarray(4 * n, 4 * n + 4);
      for (let lane = 0; lane < lanes; lane++) {
        const line = first + lane;
        const outer = Math.floor(line / stride);
        const t = at + lane;
        out[(outer * to + n) * stride + (line - outer * stride)] =
          a * (buffer[t] ?? 0) + b * (buffer[t + LANES] ?? 0) + c * (buffer[t + 2 * LANES] ?? 0) + d * (buffer[t + 3 * LANES] ?? 0);
      }
    }
  }
  return out;
}

/** First of the four coefficients that a new point reads, and their weights. */
function cubicWeights(from: number, to: number): { readonly start: Int32Array; readonly of: Float64Array } {
  const start = new Int32Array(to);
  const of = new Float64Array(4 * to);
  for (let n = 0; n < to; n++) {
    const p = place(n, from, to) + PAD;
    const x = p - Math.floor(p);
    const y = 1 - x;
    start[n] = Math.floor(p) - 1;
    of.set([(y * y * y) / 6, (x * x * (x - 2) * 3 + 4) / 6, (y * y * (y - 2) * 3 + 4) / 6, (x * x * x) / 6], 4 * n);
  }
  return { start, of };
}

/** Values to spline coefficients, in place; beyond the padding the line is mirrored about its edge. */
function filter(c: Float64Array, length: number): void {
  for (let n = 0; n < c.length; n++) c[n] = 6 * (c[n] ?? 0);
  const far = POLE ** length;
  const last = (length - 1) * LANES;
  for (let lane = 0; lane < LANES; lane++) {
    const head = c[lane] ?? 0;
    let sum = head + far * (c[last + lane] ?? 0);
    for (let n = 1, power = POLE; n < length; n++, power *= POLE) sum += power * ((c[n * LANES + lane] ?? 0) + far * (c[last - n * LANES + lane] ?? 0));
    c[lane] = (sum * POLE) / (1 - far * far) + head;
  }
  for (let n = LANES; n < length * LANES; n++) c[n] = (c[n] ?? 0) + POLE * (c[n - LANES] ?? 0);
  for (let n = last; n < last + LANES; n++) c[n] = ((c[n] ?? 0) * POLE) / (POLE - 1);
  for (let n = last - 1; n >= 0; n--) c[n] = POLE * ((c[n + LANES] ?? 0) - (c[n] ?? 0));
}

/** Resamples one axis of `values` [D, H, W] by two points each. */
export function blendAlong(values: Float32Array, shape: Triple, axis: 0 | 1 | 2, { low, high, share }: Taps): Float32Array {
  const from = shape[axis];
  const to = low.length;
  const stride = axis === 0 ? shape[1] * shape[2] : axis === 1 ? shape[2] : 1;
  const outers = values.length / (from * stride);
  const out = new Float32Array(outers * to * stride);
  for (let outer = 0; outer < outers; outer++) {
    for (let n = 0; n < to; n++) {
      const [a, b, part] = [(outer * from + (low[n] ?? 0)) * stride, (outer * from + (high[n] ?? 0)) * stride, share[n] ?? 0];
      const into = (outer * to + n) * stride;
      for (let k = 0; k < stride; k++) out[into + k] = (1 - part) * (values[a + k] ?? 0) + (part === 0 ? 0 : part * (values[b + k] ?? 0));
    }
  }
  return out;
}
