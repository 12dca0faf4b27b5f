// Checks that a plan is one WebGPU can run, before anything is allocated: a broken plan is a fault of the compiler.

import { Fault, invariant } from "../compiler/report/diagnostic.ts";
import type { Plan, Provenance, Slice, Step } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { placeText, tooLarge } from "./faults.ts";

/** Throws an internal error for a malformed plan, and a finding for one that is too large for the device. */
export function checkPlan(plan: Plan, device: Device): void {
  const { limits } = device.gpu;
  for (const buffer of plan.buffers) {
    invariant(buffer.bytes > 0 && buffer.bytes % 4 === 0, () => `plan: buffer \`${buffer.name}\` has ${buffer.bytes} bytes, not a positive multiple of 4`);
    if (buffer.bytes > limits.maxBufferSize) throw new Fault(tooLarge(buffer.name, buffer.bytes, limits.maxBufferSize, device.name, buffer.origin));
  }
  const largest = [...plan.buffers].sort((a, b) => b.bytes - a.bytes)[0];
  const total = plan.buffers.reduce((n, { bytes }) => n + bytes, 0);
  device.admit(total, `\`${plan.name}\``, largest?.origin);
  for (const step of plan.steps) checkStep(plan, step, device);
  const names = new Set<string>();
  for (const { name, shape, slice } of [...plan.inputs, ...plan.outputs, ...plan.weights, ...plan.states]) {
    checkSlice(plan, slice, `port \`${name}\``);
    const count = shape.reduce((n, extent) => n * extent, 1);
    invariant(count * 4 === slice.bytes, () => `plan: port \`${name}\` of ${count} values lies in ${slice.bytes} bytes`);
  }
  for (const { name } of [...plan.inputs, ...plan.weights, ...plan.states]) {
    invariant(!names.has(name), () => `plan: two ports are called \`${name}\``);
    names.add(name);
  }
  for (const { name, offset } of plan.uniforms) {
    invariant(offset % 4 === 0 && offset + 4 <= plan.uniformBytes, () => `plan: uniform \`${name}\` lies outside the uniform buffer`);
  }
}

function checkSlice(plan: Plan, slice: Slice, what: string): void {
  const buffer = plan.buffers[slice.buffer];
  invariant(buffer !== undefined, () => `plan: ${what} is in buffer ${slice.buffer} of ${plan.buffers.length}`);
  invariant(slice.offset >= 0 && slice.bytes > 0 && slice.offset % 4 === 0 && slice.bytes % 4 === 0 && slice.offset + slice.bytes <= buffer.bytes,
    () => `plan: ${what} takes bytes ${slice.offset} ..< ${slice.offset + slice.bytes} of the ${buffer.bytes} in \`${buffer.name}\``);
}

const overlap = (a: Slice, b: Slice): boolean => a.buffer === b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;

function checkStep(plan: Plan, step: Step, device: Device): void {
  if (step.kind === "clear") return checkSlice(plan, step.slice, "a clear");
  if (step.kind === "copy") {
    checkSlice(plan, step.from, "a copy's source");
    checkSlice(plan, step.to, "a copy's target");
    invariant(step.from.bytes === step.to.bytes, () => `plan: a copy takes ${step.from.bytes} bytes to ${step.to.bytes}`);
    invariant(step.from.buffer !== step.to.buffer, () => `plan: a copy stays within \`${plan.buffers[step.from.buffer]?.name}\``);
    return;
  }
  checkDispatch(plan, step, device);
}

function checkDispatch(plan: Plan, step: Extract<Step, { kind: "dispatch" }>, device: Device): void {
  const { limits } = device.gpu;
  const at = (): string => `plan: dispatch \`${step.name}\` (${step.origin.path}, ${placeText(step.origin)})`;
  const shader = plan.shaders[step.shader];
  invariant(shader !== undefined, () => `${at()} has no shader ${step.shader}`);
  invariant(shader.access.length === step.bindings.length, () => `${at()} binds ${step.bindings.length} buffers, its shader takes ${shader.access.length}`);
  invariant(step.bindings.length <= limits.maxStorageBuffersPerShaderStage, () => `${at()} binds ${step.bindings.length} buffers, the device takes ${limits.maxStorageBuffersPerShaderStage}`);
  invariant(step.groups.every((n) => Number.isInteger(n) && n > 0 && n <= limits.maxComputeWorkgroupsPerDimension), () => `${at()} has workgroups ${step.groups.join(" × ")}`);
  step.bindings.forEach((slice, i) => {
    checkSlice(plan, slice, `binding ${i + 1} of dispatch \`${step.name}\``);
    const buffer = plan.buffers[slice.buffer];
    if (slice.bytes > limits.maxStorageBufferBindingSize) {
      throw new Fault(tooLarge(buffer?.name ?? step.name, slice.bytes, limits.maxStorageBufferBindingSize, device.name, originOf(plan, slice, step.origin)));
    }
    invariant(slice.offset % limits.minStorageBufferOffsetAlignment === 0, () => `${at()} binds \`${buffer?.name}\` at byte ${slice.offset}, not a multiple of ${limits.minStorageBufferOffsetAlignment}`);
    for (let j = 0; j < i; j++) {
      const other = step.bindings[j];
      if (other === undefined || other.buffer !== slice.buffer) continue;
      const [a, b] = [shader.access[j], shader.access[i]];
      // WebGPU tracks whole buffers: one dispatch may not read one part and write another.
      invariant(a === b, () => `${at()} binds buffer \`${buffer?.name}\` for reading and for writing`);
      invariant(a === "read" || !overlap(slice, other), () => `${at()} binds \`${buffer?.name}\` for writing twice at the same bytes`);
    }
  });
}

function originOf(plan: Plan, slice: Slice, otherwise: Provenance): Provenance {
  return plan.buffers[slice.buffer]?.origin ?? otherwise;
}
