// Runs a plan launch by launch and shows what each has made: for finding the first value that is no number.

import type { Plan, Provenance, Slice } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { isDispatch, record, type Prepared } from "./recording.ts";
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

/** Runs the steps one by one; ends at the first launch for which `found` answers true. */
export async function watchDispatches(
  { device, plan, buffers, steps, downloads }: { readonly device: Device; readonly plan: Plan; readonly buffers: readonly GPUBuffer[]; readonly steps: readonly Prepared[]; readonly downloads: Downloads },
  found: (made: Made) => boolean,
): Promise<void> {
  let launch = -1;
  for (const prepared of steps) {
    const doing = `while \`${plan.name}\` was watched`;
    const origin = (): Provenance | undefined => (isDispatch(prepared) ? prepared.step.origin : undefined);
    await device.guarded(doing, () => device.gpu.queue.submit([record(device, [prepared], plan.name)]), origin);
    if (!isDispatch(prepared)) continue;
    launch++;
    const { step } = prepared;
    const written = step.bindings.filter((_, at) => writesFloats(plan.shaders[step.shader]?.wgsl ?? "", at + 1));
    for (const slice of written) {
      const [values] = await downloads.read([stretchOf(buffers, slice)], doing, origin);
      if (values !== undefined && found({ launch, name: nameOf(plan, slice) ?? step.name, origin: step.origin, values })) return;
    }
  }
}

/** Whether a shader writes numbers of 32 bits to a binding; sums of whole numbers, read as such, would be anything. */
function writesFloats(wgsl: string, binding: number): boolean {
  return new RegExp(`@binding\\(${binding}\\) var<storage, read_write> \\w+: array<(vec4<)?f32`).test(wgsl);
}

/** A port's own name tells more than the launch's. */
function nameOf({ outputs }: Plan, { buffer, offset, bytes }: Slice): string | undefined {
  return outputs.find(({ slice }) => slice.buffer === buffer && slice.offset === offset && slice.bytes === bytes)?.name;
}
