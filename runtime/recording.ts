// Writes prepared steps into command buffers.

import type { Provenance, Step } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { settled } from "./faults.ts";

type Of<K extends Step["kind"]> = Extract<Step, { kind: K }>;

/** A step with the GPU's objects that it uses. */
export type Prepared =
  | { readonly step: Of<"dispatch">; readonly pipeline: GPUComputePipeline; readonly group: GPUBindGroup;
      /** Whether the kernel asks where a range of its workgroups begins. */
      readonly ranges: boolean;
      /** Where that is told, and how many workgroups are run; all of them where absent. */
      readonly range?: { readonly group: GPUBindGroup; readonly offset: number; readonly groups: readonly [number, number, number] } }
  | { readonly step: Of<"clear">; readonly target: GPUBuffer }
  | { readonly step: Of<"copy">; readonly source: GPUBuffer; readonly target: GPUBuffer };

export const isDispatch = (prepared: Prepared): prepared is Extract<Prepared, { pipeline: GPUComputePipeline }> => prepared.step.kind === "dispatch";

/** Where the first dispatch of some steps comes from. */
export function firstOrigin(steps: readonly Prepared[]): Provenance | undefined {
  return steps.find(isDispatch)?.step.origin;
}

/** One command buffer with the steps in order; neighbouring dispatches share a pass. */
export function record(device: Device, steps: readonly Prepared[], label: string): GPUCommandBuffer {
  const encoder = device.gpu.createCommandEncoder({ label });
  let pass: GPUComputePassEncoder | undefined;
  let pipeline: GPUComputePipeline | undefined;
  for (const prepared of steps) {
    if (!isDispatch(prepared)) {
      pass?.end();
      pass = undefined;
      pipeline = undefined;
      recordTransfer(encoder, prepared);
      continue;
    }
    pass ??= encoder.beginComputePass({ label });
    if (prepared.pipeline !== pipeline) pass.setPipeline(prepared.pipeline);
    pipeline = prepared.pipeline;
    recordDispatch(pass, prepared);
  }
  pass?.end();
  return encoder.finish();
}

/** Records a dispatch whose pipeline is set. */
export function recordDispatch(pass: GPUComputePassEncoder, { step, group, range }: Extract<Prepared, { pipeline: GPUComputePipeline }>): void {
  pass.setBindGroup(0, group);
  if (range !== undefined) pass.setBindGroup(1, range.group, [range.offset]);
  pass.dispatchWorkgroups(...(range?.groups ?? step.groups));
}

/** Records a clear or a copy. */
export function recordTransfer(encoder: GPUCommandEncoder, prepared: Exclude<Prepared, { pipeline: GPUComputePipeline }>): void {
  if ("source" in prepared) {
    const { from, to } = prepared.step;
    encoder.copyBufferToBuffer(prepared.source, from.offset, prepared.target, to.offset, from.bytes);
  } else {
    encoder.clearBuffer(prepared.target, prepared.step.slice.offset, prepared.step.slice.bytes);
  }
}

/** Records every step by itself and throws it away: what WebGPU objects to is then known to the step. */
export async function rehearse(device: Device, steps: readonly Prepared[]): Promise<void> {
  const seen = new Set<string>();
  const checks: Promise<unknown>[] = [];
  for (const prepared of steps) {
    const { step } = prepared;
    if (isDispatch(prepared)) {
      const key = `${prepared.step.shader} ${JSON.stringify(prepared.step.bindings)} ${prepared.step.groups.join()}`;
      if (seen.has(key)) continue;
      seen.add(key);
    }
    const name = step.kind === "dispatch" ? step.name : step.kind;
    checks.push(device.guarded(`in \`${name}\``, () => record(device, [prepared], name), () => (step.kind === "dispatch" ? step.origin : undefined)));
  }
  settled(await Promise.allSettled(checks));
}
