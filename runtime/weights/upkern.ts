// Kernels of another size: the weights of one network brought to the shapes of a network with larger (or smaller) kernels.

import type { Wanted, Weights } from "../train/checkpoint.ts";

/**
 * `tensors` with every kernel resized whose extents differ from what is wanted; all else is as it was. The kernel axes are the
 * last `rank` of a tensor that has more than these; the axes before them must agree already, or nothing is done.
 */
export function resizeKernels(tensors: ReadonlyMap<string, Weights>, wanted: readonly Wanted[], rank: number): { readonly tensors: ReadonlyMap<string, Weights>; readonly resized: readonly string[] } {
  const out = new Map(tensors);
  const resized: string[] = [];
  for (const { name, shape } of wanted) {
    const found = tensors.get(name);
    if (found === undefined || !differsInKernel(found.shape, shape, rank)) continue;
    out.set(name, { shape, data: resize(found, shape) });
    resized.push(name);
  }
  return { tensors: out, resized };
}

function differsInKernel(from: readonly number[], to: readonly number[], rank: number): boolean {
  const lead = to.length - rank;
  return from.length === to.length && lead > 0 && to.every((extent, axis) => axis >= lead || extent === from[axis]) && to.some((extent, axis) => extent !== from[axis]);
}

/** Linear interpolation along every axis with half-pixel centres, clamped at the border; sums are not kept. */
function resize({ shape, data }: Weights, to: readonly number[]): Float32Array {
  let values = Float64Array.from(data);
  let inner = 1;
  // From the last axis on, so that what lies inside of an axis has its new extent.
  for (let axis = to.length - 1; axis >= 0; axis--) {
    const [before, after] = [shape[axis] ?? 1, to[axis] ?? 1];
    if (before !== after) values = along(values, before, after, inner);
    inner *= after;
  }
  return Float32Array.from(values);
}

/** One axis of an array [outer, `before`, `inner`]. */
function along(values: Float64Array<ArrayBuffer>, before: number, after: number, inner: number): Float64Array<ArrayBuffer> {
  const outer = values.length / (before * inner);
  const out = new Float64Array(outer * after * inner);
  for (let t = 0; t < after; t++) {
    const place = Math.min(Math.max((t + 0.5) * before / after - 0.5, 0), before - 1);
    const low = Math.floor(place);
    const high = Math.min(low + 1, before - 1);
    const share = place - low;
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const [a, b] = [values[(o * before + low) * inner + i] ?? 0, values[(o * before + high) * inner + i] ?? 0];
        out[(o * after + t) * inner + i] = (1 - share) * a + share * b;
      }
    }
  }
  return out;
}
