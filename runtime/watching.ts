// Runs a plan launch by launch and shows what each has made: for finding the first value that is no number.

import type { Plan, Provenance, Slice } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { isDispatch, record, type Prepared } from "./recording.ts";
import { fromHalf } from "./safetensors.ts";
import { stretchOf, type Downloads } from "./transfer.ts";

/** What a launch has written. */
export interface Made {
  /** The number of the launch, counted without clears and copies. */
  readonly launch: number;
  /** The tensor. */
  readonly name: string;
  readonly origin: Provenance;
  readonly values: Float32Array;
}

/** Runs the steps one by one, each in its pieces; ends at the first launch for which `found` answers true. */
export async function watchDispatches(
  { device, plan, buffers, steps, downloads }: { readonly device: Device; readonly plan: Plan; readonly buffers: readonly GPUBuffer[]; readonly steps: readonly (readonly Prepared[])[]; readonly downloads: Downloads },
  found: (made: Made) => boolean,
): Promise<void> {
  let launch = -1;
  for (const pieces of steps) {
    const [prepared] = pieces;
    if (prepared === undefined) continue;
    const doing = `while \`${plan.name}\` was watched`;
    const origin = (): Provenance | undefined => (isDispatch(prepared) ? prepared.step.origin : undefined);
    await device.guarded(doing, () => pieces.forEach((piece) => device.gpu.queue.submit([record(device, [piece], plan.name)])), origin);
    if (!isDispatch(prepared)) continue;
    launch++;
    const { step } = prepared;
    const wgsl = plan.shaders[step.shader]?.wgsl ?? "";
    for (const [at, slice] of step.bindings.entries()) {
      const real = realsWritten(wgsl, at + 1);
      if (real === undefined) continue;
      const [words] = await downloads.read([stretchOf(buffers, slice)], doing, origin);
      const values = words && (real === "f16" ? fromHalves(words) : words);
      if (values !== undefined && found({ launch, name: nameOf(plan, slice) ?? step.name, origin: step.origin, values })) return;
    }
  }
}

/** Which reals a shader writes to a binding; undefined where it writes none: sums of whole numbers, read as reals, would be anything. */
function realsWritten(wgsl: string, binding: number): string | undefined {
  return new RegExp(`@binding\\(${binding}\\) var<storage, read_write> \\w+: array<(?:vec4<)?(f16|f32)`).exec(wgsl)?.[1];
}

function fromHalves({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer>): Float32Array {
  return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), fromHalf);
}

/** A port's own name tells more than the launch's. */
function nameOf({ outputs }: Plan, { buffer, offset, bytes }: Slice): string | undefined {
  return outputs.find(({ slice }) => slice.buffer === buffer && slice.offset === offset && slice.bytes === bytes)?.name;
}
