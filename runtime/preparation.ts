// Makes what a plan needs on a device: kernels, buffers and bind groups.

import { invariant } from "../compiler/report/diagnostic.ts";
import type { Plan, Provenance, Step } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { settled } from "./faults.ts";
import type { Pipeline } from "./pipelines.ts";
import type { Prepared } from "./recording.ts";
import { usage } from "./transfer.ts";

export interface CompileOptions {
  readonly onCompiled?: (done: number, total: number) => void;
}

/** Compiles the shaders that the steps use, all at once; the others stay undefined. */
export async function compile(device: Device, plan: Plan, options: CompileOptions): Promise<readonly (Pipeline | undefined)[]> {
  const origins = new Map<number, Provenance>();
  for (const step of plan.steps) {
    if (step.kind === "dispatch" && !origins.has(step.shader)) origins.set(step.shader, step.origin);
  }
  let done = 0;
  const compiled = await Promise.allSettled(plan.shaders.map(async (shader, i) => {
    const origin = origins.get(i);
    if (origin === undefined) return undefined;
    const pipeline = await device.pipelines.get(shader, origin);
    options.onCompiled?.(++done, origins.size);
    return pipeline;
  }));
  return settled(compiled);
}

/** Allocates the buffers of a plan, which begin as zeros. */
export async function allocate(device: Device, plan: Plan): Promise<readonly GPUBuffer[]> {
  const made = await Promise.allSettled(plan.buffers.map(({ name, bytes, origin }) =>
    device.guarded(
      `when \`${name}\` was allocated`,
      () => device.gpu.createBuffer({ label: name, size: bytes, usage: usage.storage | usage.copySource | usage.copyTarget }),
      () => origin,
    )));
  if (made.some(({ status }) => status === "rejected")) {
    for (const buffer of made) if (buffer.status === "fulfilled") buffer.value.destroy();
  }
  return settled(made);
}

/** Binds the buffers of every dispatch, once; equal bindings share a group. */
export async function prepare(device: Device, plan: Plan, pipelines: readonly (Pipeline | undefined)[], buffers: readonly GPUBuffer[], uniforms: GPUBuffer): Promise<readonly Prepared[]> {
  const groups = new Map<string, GPUBindGroup>();
  const groupOf = (step: Extract<Step, { kind: "dispatch" }>, pipeline: Pipeline): GPUBindGroup => {
    const withUniforms = plan.shaders[step.shader]?.uniforms === true;
    const key = `${pipeline.layout.label} ${step.bindings.map(({ buffer, offset, bytes }) => `${buffer}:${offset}:${bytes}`).join(" ")}`;
    const known = groups.get(key);
    if (known !== undefined) return known;
    const entries: GPUBindGroupEntry[] = step.bindings.map(({ buffer, offset, bytes }, i) => ({ binding: i + 1, resource: { buffer: at(buffers, buffer), offset, size: bytes } }));
    if (withUniforms) entries.unshift({ binding: 0, resource: { buffer: uniforms } });
    const group = device.gpu.createBindGroup({ label: step.name, layout: pipeline.layout, entries });
    groups.set(key, group);
    return group;
  };
  return settled(await Promise.allSettled(plan.steps.map(async (step): Promise<Prepared> => {
    if (step.kind === "clear") return { step, target: at(buffers, step.slice.buffer) };
    if (step.kind === "copy") return { step, source: at(buffers, step.from.buffer), target: at(buffers, step.to.buffer) };
    const pipeline = at(pipelines, step.shader);
    const group = await device.guarded(`when \`${step.name}\` was bound`, () => groupOf(step, pipeline), () => step.origin);
    return { step, pipeline: pipeline.pipeline, group, ranges: plan.shaders[step.shader]?.ranges === true };
  })));
}

function at<T>(all: readonly (T | undefined)[], index: number): T {
  const one = all[index];
  invariant(one !== undefined, () => `nothing was made for number ${index} of ${all.length}`);
  return one;
}
