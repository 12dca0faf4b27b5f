// Tensors of a safetensors file, as 64-bit numbers.

import { readFileSync } from "node:fs";

export interface Stored {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** Reads every F32 and I32 tensor of a file. */
export function stored(path: string): Map<string, Stored> {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const out = new Map<string, Stored>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [start, end] = entry.data_offsets;
    const values = new Float64Array((end - start) / 4);
    for (let i = 0; i < values.length; i++) {
      const at = 8 + length + start + 4 * i;
      values[i] = entry.dtype === "F32" ? bytes.readFloatLE(at) : bytes.readInt32LE(at);
    }
    out.set(name, { shape: entry.shape, values });
  }
  return out;
}
