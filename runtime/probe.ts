// Runs a small shader, to find out what a device makes of it.

import { dozing } from "./dozing.ts";
import { usage } from "./transfer.ts";

/** `GPUMapMode.READ`, which Dawn does not define in Node. */
const mapForReading = 1;

/** What `groups` workgroups of a shader leave in its only buffer, of `bytes`; undefined where the device refuses it. */
export async function probed(gpu: GPUDevice, code: string, groups: number, bytes: number): Promise<ArrayBuffer | undefined> {
  const scopes = ["internal", "validation"] as const;
  for (const scope of scopes) gpu.pushErrorScope(scope);
  const found = gpu.createBuffer({ size: bytes, usage: usage.storage | usage.copySource });
  const copy = gpu.createBuffer({ size: bytes, usage: usage.mapRead | usage.copyTarget });
  try {
    const pipeline = gpu.createComputePipeline({ layout: "auto", compute: { module: gpu.createShaderModule({ code }) } });
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: found } }] }));
    pass.dispatchWorkgroups(groups);
    pass.end();
    encoder.copyBufferToBuffer(found, 0, copy, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    const errors = [await dozing(gpu.popErrorScope()), await dozing(gpu.popErrorScope())];
    if (errors.some((e) => e !== null)) return undefined;
    await dozing(copy.mapAsync(mapForReading));
    return copy.getMappedRange().slice(0);
  } finally {
    found.destroy();
    copy.destroy();
  }
}
