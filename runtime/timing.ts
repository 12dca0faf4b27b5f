// Measures how long each dispatch takes, by the device's own clock.

import type { Step } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { isDispatch, recordDispatch, recordTransfer, type Prepared } from "./recording.ts";
import { usage } from "./transfer.ts";

/** A dispatch and how long it took once. */
export type DispatchTime = Pick<Extract<Step, { kind: "dispatch" }>, "name" | "shader" | "origin" | "phase" | "cost"> & { readonly milliseconds: number };

/** WebGPU's largest query set; a dispatch takes two queries. */
const queries = 4096;
const mapForReading = 1;

/**
 * Runs the steps once, each in the pieces given, every piece of a dispatch in a pass of its own between two timestamps; undefined
 * without a clock.
 */
export async function timeDispatches(device: Device, pieces: readonly (readonly Prepared[])[], doing: string): Promise<readonly DispatchTime[] | undefined> {
  if (!device.gpu.features.has("timestamp-query")) return undefined;
  const steps = pieces.flat();
  const times: number[] = [];
  for (let rest: readonly Prepared[] = steps; rest.length > 0; ) {
    const [batch, after] = cut(rest);
    times.push(...(await timeBatch(device, batch, doing)));
    rest = after;
  }
  const took = times.values();
  return pieces.flatMap((parts): readonly DispatchTime[] => {
    const [first] = parts;
    if (first === undefined || !isDispatch(first)) return [];
    const { name, shader, origin, phase, cost } = first.step;
    return [{ name, shader, origin, phase, cost, milliseconds: parts.reduce((sum) => sum + (took.next().value ?? 0), 0) }];
  });
}

function cut(steps: readonly Prepared[]): readonly [readonly Prepared[], readonly Prepared[]] {
  let dispatches = 0;
  const end = steps.findIndex((prepared) => isDispatch(prepared) && ++dispatches > queries / 2);
  return end === -1 ? [steps, []] : [steps.slice(0, end), steps.slice(end)];
}

/** The milliseconds that each dispatch took. */
async function timeBatch(device: Device, steps: readonly Prepared[], doing: string): Promise<readonly number[]> {
  const dispatches = steps.filter(isDispatch);
  const count = Math.max(2, 2 * dispatches.length);
  const { gpu } = device;
  const made = await device.guarded(doing, () => {
    const set = gpu.createQuerySet({ type: "timestamp", count });
    const resolved = gpu.createBuffer({ label: "timestamps", size: 8 * count, usage: usage.resolve | usage.copySource });
    const staging = gpu.createBuffer({ label: "timestamps", size: 8 * count, usage: usage.mapRead | usage.copyTarget });
    const encoder = gpu.createCommandEncoder({ label: "timing" });
    let query = 0;
    for (const prepared of steps) {
      if (!isDispatch(prepared)) {
        recordTransfer(encoder, prepared);
        continue;
      }
      const pass = encoder.beginComputePass({ timestampWrites: { querySet: set, beginningOfPassWriteIndex: query++, endOfPassWriteIndex: query++ } });
      pass.setPipeline(prepared.pipeline);
      recordDispatch(pass, prepared);
      pass.end();
    }
    encoder.resolveQuerySet(set, 0, query, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
    gpu.queue.submit([encoder.finish()]);
    return { set, resolved, staging };
  });
  try {
    await device.awaited(made.staging.mapAsync(mapForReading), doing);
    const stamps = new BigUint64Array(made.staging.getMappedRange().slice(0));
    return dispatches.map((_, i) => Number((stamps[2 * i + 1] ?? 0n) - (stamps[2 * i] ?? 0n)) / 1e6);
  } finally {
    made.set.destroy();
    made.resolved.destroy();
    made.staging.destroy();
  }
}
