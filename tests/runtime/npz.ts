// Reads the one array of a .npz file, through the archive's directory as other readers do, and demands that all numbers in it agree.

import { readFileSync } from "node:fs";
import { crc32, inflateRawSync } from "node:zlib";
import { expect } from "vitest";

export interface Array32 {
  readonly name: string;
  /** numpy's header, e.g. `{'descr': '<f4', …}`. */
  readonly header: string;
  readonly values: Float32Array;
}

/** The array of a file. */
export function readNpz(path: string): Array32 {
  const bytes = readFileSync(path);
  const end = bytes.length - 22;
  expect(bytes.readUInt32LE(end)).toBe(0x06054b50);
  expect(bytes.readUInt32LE(end - 20)).toBe(0x07064b50);
  const record = Number(bytes.readBigUInt64LE(end - 12));
  expect(bytes.readUInt32LE(record)).toBe(0x06064b50);
  const at = Number(bytes.readBigUInt64LE(record + 48));
  expect(bytes.readUInt32LE(at)).toBe(0x02014b50);
  expect(bytes.readUInt16LE(at + 10)).toBe(8);
  const length = bytes.readUInt16LE(at + 28);
  const name = bytes.toString("latin1", at + 46, at + 46 + length);
  const extra = at + 46 + length;
  const [full = NaN, packed = NaN, local = NaN] = [0, 1, 2].map((n) => Number(bytes.readBigUInt64LE(extra + 4 + 8 * n)));
  expect(bytes.readUInt32LE(local)).toBe(0x04034b50);
  const begin = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
  expect(Number(bytes.readBigUInt64LE(begin - 8))).toBe(packed);
  const data = inflateRawSync(bytes.subarray(begin, begin + packed));
  expect(data.length).toBe(full);
  expect(crc32(data)).toBe(bytes.readUInt32LE(at + 16));
  expect(crc32(data)).toBe(bytes.readUInt32LE(local + 14));
  expect(data.toString("latin1", 0, 8)).toBe("\u0093NUMPY\u0001\u0000");
  const head = 10 + data.readUInt16LE(8);
  expect(head % 64).toBe(0);
  return { name, header: data.toString("latin1", 10, head).trimEnd(), values: new Float32Array(new Uint8Array(data.subarray(head)).buffer) };
}
