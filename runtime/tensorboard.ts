// Event files that TensorBoard reads: numbers by tag and step, each event a checked record.

import { appendFileSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeAtomic } from "./files.ts";

/** Numbers of one step, by tag. */
export interface Scalars {
  /** Seconds since 1970. */
  readonly time: number;
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
}

/** CRC-32C (Castagnoli): the polynomial 0x1edc6f41, reflected. */
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0x82f63b78 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** The CRC-32C of some bytes. */
export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = (TABLE[(c ^ byte) & 255] ?? 0) ^ (c >>> 8);
  return ~c >>> 0;
}

/** As records hold it: turned right by 15 bits and moved, since a CRC over data with CRCs in it is weak. */
const masked = (bytes: Uint8Array): number => {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
};

/** A record: length, its CRC, the bytes, their CRC. */
function record(payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(payload.length + 16);
  const view = new DataView(out.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(8, masked(out.subarray(0, 8)), true);
  out.set(payload, 12);
  view.setUint32(12 + payload.length, masked(payload), true);
  return out;
}

function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  return [...bytes, left];
}

/** Fields of a protocol buffer message: the number of the field and its kind, then the value. */
const whole = (field: number, value: number): readonly number[] => [field << 3, ...varint(value)];
const block = (field: number, bytes: readonly number[]): readonly number[] => [(field << 3) | 2, ...varint(bytes.length), ...bytes];
const text = (field: number, value: string): readonly number[] => block(field, [...new TextEncoder().encode(value)]);
const double = (field: number, value: number): readonly number[] => [(field << 3) | 1, ...new Uint8Array(Float64Array.of(value).buffer)];
const single = (field: number, value: number): readonly number[] => [(field << 3) | 5, ...new Uint8Array(Float32Array.of(value).buffer)];

/** `Event` of TensorFlow's event.proto: wall_time 1, step 2, file_version 3, summary 5, session_log 7. */
const event = (time: number, ...fields: readonly (readonly number[])[]): Uint8Array => record(Uint8Array.from([double(1, time), ...fields].flat()));

function scalarEvent({ time, step, values }: Scalars): Uint8Array {
  // `Summary.Value`: tag 1, simple_value 2.
  const summary = Object.entries(values).flatMap(([tag, value]) => block(1, [...text(1, tag), ...single(2, value)]));
  return event(time, whole(2, step), block(5, summary));
}

/** The bytes of a whole event file. */
export function encodeEvents(time: number, all: readonly Scalars[]): Uint8Array {
  // A session's start makes TensorBoard forget what it has read of later steps.
  const parts = [event(time, text(3, "brain.Event:2")), event(time, whole(2, 0), block(7, whole(1, 1))), ...all.map(scalarEvent)];
  return Buffer.concat(parts);
}

/** The event file of a run's folder: begun again with what is known, then added to. */
export class EventFile {
  readonly #path: string;

  constructor(folder: string, known: readonly Scalars[], now = Date.now() / 1000) {
    this.#path = join(folder, `events.out.tfevents.${Math.floor(now)}.netc`);
    const before = existsSync(folder) ? readdirSync(folder).filter((name) => /^events\.out\.tfevents\.\d+\.netc$/.test(name)) : [];
    writeAtomic(this.#path, encodeEvents(now, known));
    for (const name of before) if (join(folder, name) !== this.#path) rmSync(join(folder, name), { force: true });
  }

  /** Adds the numbers of a step. */
  add(scalars: Scalars): void {
    appendFileSync(this.#path, scalarEvent(scalars));
  }
}
