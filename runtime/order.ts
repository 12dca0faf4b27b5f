// Values whose axes lie in another order in memory than in files and messages.

import type { Port } from "../compiler/plan/plan.ts";

/** The values of a port as they lie in memory, from their declared row-major order. */
export function toMemory({ shape, order }: Pick<Port, "shape" | "order">, values: Float32Array): Float32Array {
  return order ? moved(values, order.map((k) => shape[k] ?? 1), order.map((k) => strides(shape)[k] ?? 1)) : values;
}

/** The values of a port in their declared row-major order, from how they lie in memory. */
export function fromMemory({ shape, order }: Pick<Port, "shape" | "order">, values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (!order) return values;
  const there = strides(order.map((k) => shape[k] ?? 1));
  return moved(values, shape, shape.map((_, k) => there[order.indexOf(k)] ?? 1));
}

function strides(shape: readonly number[]): readonly number[] {
  return shape.map((_, k) => shape.slice(k + 1).reduce((n, e) => n * e, 1));
}

/** Row-major values over `shape`, taken from where `steps` lead. */
function moved(from: Float32Array, shape: readonly number[], steps: readonly number[]): Float32Array<ArrayBuffer> {
  const to = new Float32Array(from.length);
  const at = shape.map(() => 0);
  let place = 0;
  for (let i = 0; i < to.length; i++) {
    to[i] = from[place] ?? 0;
    for (let k = shape.length - 1; k >= 0; k--) {
      const step = steps[k] ?? 0;
      place += step;
      at[k] = (at[k] ?? 0) + 1;
      if ((at[k] ?? 0) < (shape[k] ?? 1)) break;
      place -= step * (shape[k] ?? 1);
      at[k] = 0;
    }
  }
  return to;
}
