// Moves values between the host and buffers of a device, in pieces, so that huge tensors need no huge staging.

import type { Provenance, Slice } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";

/** `GPUBufferUsage` and `GPUMapMode`; Dawn defines no globals in Node. */
export const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128, resolve: 512 } as const;
const mapForReading = 1;

/** Large enough that the copies are the cost, small enough to be forgotten beside the tensors. */
const piece = 32 * 2 ** 20;

/** A stretch of a real buffer. */
export interface Stretch {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** The stretch that a plan's slice is. */
export function stretchOf(buffers: readonly GPUBuffer[], slice: Slice): Stretch {
  const buffer = buffers[slice.buffer];
  if (buffer === undefined) throw new Error(`internal: no buffer ${slice.buffer}`);
  return { buffer, offset: slice.offset, bytes: slice.bytes };
}

/** Queues writing `values` over a stretch of the same size. */
export function upload(device: Device, to: Stretch, values: Float32Array): void {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let at = 0; at < bytes.length; at += piece) {
    const length = Math.min(piece, bytes.length - at);
    device.gpu.queue.writeBuffer(to.buffer, to.offset + at, bytes.buffer, bytes.byteOffset + at, length);
  }
}

/** Reads stretches back through one staging buffer, one request at a time. */
export class Downloads {
  readonly #device: Device;
  #staging: GPUBuffer | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(device: Device) {
    this.#device = device;
  }

  /** The values of the stretches as they are when all that is queued has run. `origin` is what a lost device is blamed on. */
  read(from: readonly Stretch[], doing: string, origin: () => Provenance | undefined): Promise<Float32Array<ArrayBuffer>[]> {
    const turn = this.#turn.then(() => this.#read(from, doing, origin));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #read(from: readonly Stretch[], doing: string, origin: () => Provenance | undefined): Promise<Float32Array<ArrayBuffer>[]> {
    const results = from.map(({ bytes }) => new Float32Array(bytes / 4));
    for (const batch of batches(from)) {
      const staging = this.#room(Math.max(...batch.map(({ at, part }) => at + part.bytes)));
      await this.#device.guarded(doing, () => {
        const encoder = this.#device.gpu.createCommandEncoder({ label: "download" });
        for (const { at, part } of batch) encoder.copyBufferToBuffer(part.buffer, part.offset, staging, at, part.bytes);
        this.#device.gpu.queue.submit([encoder.finish()]);
      }, origin);
      await this.#device.awaited(staging.mapAsync(mapForReading), doing, origin);
      const mapped = new Float32Array(staging.getMappedRange());
      for (const { at, part, result, into } of batch) results[result]?.set(mapped.subarray(at / 4, (at + part.bytes) / 4), into);
      staging.unmap();
    }
    return results;
  }

  #room(bytes: number): GPUBuffer {
    if (this.#staging !== undefined && this.#staging.size >= bytes) return this.#staging;
    this.#staging?.destroy();
    // Grows by doubling, so that a slow sequence of larger outputs does not allocate each time.
    const size = Math.min(piece, Math.max(4096, 2 ** Math.ceil(Math.log2(bytes))));
    this.#staging = this.#device.gpu.createBuffer({ label: "staging", size, usage: usage.mapRead | usage.copyTarget });
    return this.#staging;
  }

  destroy(): void {
    this.#staging?.destroy();
    this.#staging = undefined;
  }
}

/** A part of the `result`th stretch: where it goes in the staging buffer and, in values, in the result. */
interface Part {
  readonly at: number;
  readonly part: Stretch;
  readonly result: number;
  readonly into: number;
}

/** Cuts stretches into parts and packs these into batches of one staging buffer each. */
function batches(from: readonly Stretch[]): readonly Part[][] {
  const all: Part[][] = [];
  let current: Part[] = [];
  let filled = 0;
  from.forEach((stretch, result) => {
    for (let done = 0; done < stretch.bytes; ) {
      if (filled === piece) {
        all.push(current);
        current = [];
        filled = 0;
      }
      const bytes = Math.min(stretch.bytes - done, piece - filled);
      current.push({ at: filled, part: { buffer: stretch.buffer, offset: stretch.offset + done, bytes }, result, into: done / 4 });
      filled += bytes;
      done += bytes;
    }
  });
  if (current.length > 0) all.push(current);
  return all;
}
