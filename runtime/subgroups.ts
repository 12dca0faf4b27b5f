// How many invocations a subgroup has, where kernels may rely on it: tried, since WebGPU promises nothing of the kind.

import { dozing } from "./dozing.ts";
import { usage } from "./transfer.ts";

/** Invocations of a workgroup that is tried. */
const group = 64;
const groups = 3;
/** `GPUMapMode.READ`, which Dawn does not define in Node. */
const mapForReading = 1;

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
  const bytes = groups * group * 8;
  gpu.pushErrorScope("validation");
  const found = gpu.createBuffer({ size: bytes, usage: usage.storage | usage.copySource });
  const copy = gpu.createBuffer({ size: bytes, usage: usage.mapRead | usage.copyTarget });
  try {
    const pipeline = gpu.createComputePipeline({ layout: "auto", compute: { module: gpu.createShaderModule({ code: probe }) } });
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: found } }] }));
    pass.dispatchWorkgroups(groups);
    pass.end();
    encoder.copyBufferToBuffer(found, 0, copy, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    const failed = await dozing(gpu.popErrorScope());
    if (failed) return undefined;
    await dozing(copy.mapAsync(mapForReading));
    const told = new Uint32Array(copy.getMappedRange());
    return told.every((v, i) => v === (i % 2 === 0 ? (i / 2) % size : Math.floor(i / 2 / size) * size)) ? size : undefined;
  } finally {
    found.destroy();
    copy.destroy();
  }
}
