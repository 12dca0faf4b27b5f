// Moves values between the host and buffers of a device, in pieces, so that huge tensors need no huge staging.

import { invariant } from "../compiler/report/diagnostic.ts";
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

/** While the values of one request come back, those of the next are copied. */
const atOnce = 2;

/** Reads stretches back through a ring of staging buffers. */
export class Downloads {
  readonly #device: Device;
  readonly #ring: readonly Staging[];
  #turn = 0;
  #queued: Promise<unknown> = Promise.resolve();

  constructor(device: Device) {
    this.#device = device;
    this.#ring = Array.from({ length: atOnce }, () => ({ buffer: undefined, free: Promise.resolve() }));
  }

  /** The values of the stretches as they are when all that is queued has run. `origin` is what a lost device is blamed on. */
  read(from: readonly Stretch[], doing: string, origin: () => Provenance | undefined): Promise<Float32Array<ArrayBuffer>[]> {
    const staging = this.#ring[this.#turn++ % atOnce];
    invariant(staging !== undefined, () => "a ring without staging buffers");
    const begun = Promise.all([this.#queued, staging.free]).then(() => this.#begin(from, staging, doing, origin));
    const values = begun.then((one) => one.values);
    this.#queued = begun.catch(() => undefined);
    staging.free = values.catch(() => undefined);
    return values;
  }

  /** When every request so far stands in the device's queue: what is queued from then on does not change what they find. */
  async queued(): Promise<void> {
    await this.#queued;
  }

  /** Queues the copies, and waits for all but the last batch of them. */
  async #begin(from: readonly Stretch[], staging: Staging, doing: string, origin: () => Provenance | undefined): Promise<{ readonly values: Promise<Float32Array<ArrayBuffer>[]> }> {
    const results = from.map(({ bytes }) => new Float32Array(bytes / 4));
    let collected = Promise.resolve();
    for (const batch of batches(from)) {
      await collected;
      const buffer = this.#room(staging, Math.max(...batch.map(({ at, part }) => at + part.bytes)));
      await this.#device.guarded(doing, () => {
        const encoder = this.#device.gpu.createCommandEncoder({ label: "download" });
        for (const { at, part } of batch) encoder.copyBufferToBuffer(part.buffer, part.offset, buffer, at, part.bytes);
        this.#device.gpu.queue.submit([encoder.finish()]);
      }, origin);
      collected = this.#device.awaited(buffer.mapAsync(mapForReading), doing, origin).then(() => {
        const mapped = new Float32Array(buffer.getMappedRange());
        for (const { at, part, result, into } of batch) results[result]?.set(mapped.subarray(at / 4, (at + part.bytes) / 4), into);
        buffer.unmap();
      });
    }
    return { values: collected.then(() => results) };
  }

  #room(staging: Staging, bytes: number): GPUBuffer {
    if (staging.buffer !== undefined && staging.buffer.size >= bytes) return staging.buffer;
    staging.buffer?.destroy();
    // Grows by doubling, so that a slow sequence of larger outputs does not allocate each time.
    const size = Math.min(piece, Math.max(4096, 2 ** Math.ceil(Math.log2(bytes))));
    staging.buffer = this.#device.gpu.createBuffer({ label: "staging", size, usage: usage.mapRead | usage.copyTarget });
    return staging.buffer;
  }

  destroy(): void {
    for (const staging of this.#ring) {
      staging.buffer?.destroy();
      staging.buffer = undefined;
    }
  }
}

/** A buffer that the processor can read, and when nobody needs what is in it any more. */
interface Staging {
  buffer: GPUBuffer | undefined;
  free: Promise<unknown>;
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
