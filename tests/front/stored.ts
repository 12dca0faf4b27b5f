// Tensors of a safetensors file, as 64-bit numbers.

import { readTensors } from "../../runtime/safetensors.ts";

export interface Stored {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** Reads every tensor of a file. */
export function stored(path: string): Map<string, Stored> {
  return new Map([...readTensors(path).tensors].map(([name, { shape, data }]) => [name, { shape, values: Float64Array.from(data, Number) }]));
}
