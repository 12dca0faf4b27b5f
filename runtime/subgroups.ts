// How many invocations a subgroup has, where kernels may rely on it: tried, since WebGPU promises nothing of the kind.

import { probed } from "./probe.ts";

/** Invocations of a workgroup that is tried. */
const group = 64;
const groups = 3;

const probe = `enable subgroups;
diagnostic(off, subgroup_uniformity);
@group(0) @binding(0) var<storage, read_write> found: array<vec2<u32>>;
@compute @workgroup_size(${group})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(subgroup_invocation_id) place: u32) {
  found[id.x] = vec2<u32>(place, subgroupBroadcast(id.x, 0u));
}`;

/**
 * The size of subgroups, if all of them have the same and are made of consecutive invocations; undefined if not, or if the device
 * does not know subgroups.
 */
export async function subgroupSize(gpu: GPUDevice, { subgroupMinSize, subgroupMaxSize }: GPUAdapterInfo): Promise<number | undefined> {
  const size = subgroupMinSize;
  if (!gpu.features.has("subgroups") || size === undefined || size !== subgroupMaxSize || size < 2 || group % size !== 0) return undefined;
  const left = await probed(gpu, probe, groups, groups * group * 8);
  return left && new Uint32Array(left).every((v, i) => v === (i % 2 === 0 ? (i / 2) % size : Math.floor(i / 2 / size) * size)) ? size : undefined;
}
