// The safetensors file format: named tensors and text metadata, read without trust and written aligned.

import { endianness } from "node:os";
import { diagnostic, Fault } from "../compiler/report/diagnostic.ts";
import { readBytes } from "./files.ts";

/** Element types that can be read. Half precision becomes float32 on the way. */
export type Element = "F64" | "F32" | "F16" | "BF16" | "I64" | "I32" | "I16" | "I8" | "U8" | "U16" | "U32" | "U64" | "BOOL";

/** The values of a tensor, row-major. */
export type TensorData = Float32Array | Float64Array | Int32Array | Int16Array | Int8Array | Uint8Array | Uint16Array | Uint32Array | BigInt64Array | BigUint64Array;

export interface StoredTensor {
  readonly element: Element;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

export interface TensorFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

const WIDTHS: Readonly<Record<Element, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, U16: 2, U32: 4, U64: 8, BOOL: 1 };

/** No honest header is larger; a foreign file's first bytes usually claim more. */
const LARGEST_HEADER = 100_000_000;

/** Reads a file; a `Fault` with N1041 when it is not in the format or is damaged. */
export function readTensors(path: string): TensorFile {
  return decodeTensors(path, readBytes(path));
}

/** As `readTensors`, from bytes; `path` is for messages. */
export function decodeTensors(path: string, bytes: Uint8Array): TensorFile {
  const fail = (headline: string, ...facts: string[]): Fault =>
    new Fault(diagnostic("N1041", headline, { facts, hint: "copy the file again, or check that it is the right one" }));
  const foreign = `${path} is not a safetensors file`;
  if (bytes.length < 8) throw fail(foreign, `It has only ${bytes.length} bytes.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > LARGEST_HEADER) throw fail(foreign, "Its first eight bytes are not the length of a header.");
  if (bytes[8] !== 0x7b) throw fail(foreign, "Its header does not begin with `{`.");
  if (8 + length > bytes.length) throw fail(`${path} is truncated`, `Its header takes ${8 + length} bytes, found are ${bytes.length}.`);
  const header = parse(bytes.subarray(8, 8 + length));
  if (header === undefined) throw fail(foreign, "Its header is not JSON.");

  const body = bytes.subarray(8 + length);
  const tensors = new Map<string, StoredTensor>();
  const metadata = new Map<string, string>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") {
      for (const [key, value] of Object.entries(isRecord(entry) ? entry : {})) metadata.set(key, String(value));
      continue;
    }
    const described = describe(entry);
    if (described === undefined) throw fail(`${path} describes \`${name}\` in a way that makes no sense`, `Its header says ${JSON.stringify(entry)?.slice(0, 200)}.`);
    const { element, shape, begin, end } = described;
    const needed = shape.reduce((product, n) => product * n, 1) * WIDTHS[element];
    if (end - begin !== needed) throw fail(`${path} is damaged`, `\`${name}\` [${shape.join(", ")}] of ${element} takes ${needed} bytes, its header gives it ${end - begin}.`);
    if (end > body.length) throw fail(`${path} is truncated`, `\`${name}\` ends at byte ${8 + length + end}, the file at ${bytes.length}.`);
    tensors.set(name, { element, shape, data: decode(element, body.subarray(begin, end)) });
  }
  return { tensors, metadata };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function describe(entry: unknown): { element: Element; shape: readonly number[]; begin: number; end: number } | undefined {
  if (!isRecord(entry)) return undefined;
  const { dtype, shape, data_offsets: offsets } = entry;
  const whole = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
  if (typeof dtype !== "string" || !isElement(dtype)) return undefined;
  if (!Array.isArray(shape) || !shape.every(whole) || !Array.isArray(offsets)) return undefined;
  const [begin, end]: unknown[] = offsets;
  if (!whole(begin) || !whole(end) || end < begin) return undefined;
  return { element: dtype, shape, begin, end };
}

function isElement(name: string): name is Element {
  return Object.hasOwn(WIDTHS, name);
}

function decode(element: Element, part: Uint8Array): TensorData {
  // A copy, so that the file's bytes can go and the address is aligned.
  const bytes = new Uint8Array(part);
  swapOnBigEndian(bytes, WIDTHS[element]);
  const { buffer } = bytes;
  switch (element) {
    case "F32": return new Float32Array(buffer);
    case "F64": return new Float64Array(buffer);
    case "F16": return Float32Array.from(new Uint16Array(buffer), fromHalf);
    case "BF16": return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    case "I64": return new BigInt64Array(buffer);
    case "U64": return new BigUint64Array(buffer);
    case "I32": return new Int32Array(buffer);
    case "U32": return new Uint32Array(buffer);
    case "I16": return new Int16Array(buffer);
    case "U16": return new Uint16Array(buffer);
    case "I8": return new Int8Array(buffer);
    case "U8":
    case "BOOL": return bytes;
  }
}

function swapOnBigEndian(bytes: Uint8Array<ArrayBuffer>, width: number): void {
  if (endianness() === "LE" || width === 1) return;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 2) buffer.swap16();
  else if (width === 4) buffer.swap32();
  else buffer.swap64();
}

/** The number that 16 bits are as a half (f16). */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** A tensor to be written. */
export interface Writable {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | BigInt64Array | Uint8Array;
}

/** The bytes of a file: 8-byte aligned tensors in the order given. */
export function encodeTensors(tensors: ReadonlyMap<string, Writable>, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header["__metadata__"] = metadata;
  let end = 0;
  for (const [name, { shape, data }] of tensors) {
    const dtype: Element = data instanceof Float32Array ? "F32" : data instanceof Int32Array ? "I32" : data instanceof BigInt64Array ? "I64" : "U8";
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] };
    // The format wants tensors without holes, so one whose elements are narrower may put the next off its boundary.
    end += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.fill(0x20, 8, 8 + padded);
  bytes.set(text, 8);
  let at = 8 + padded;
  for (const { data } of tensors.values()) {
    const part = bytes.subarray(at, at + data.byteLength);
    part.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    swapOnBigEndian(part, data.BYTES_PER_ELEMENT);
    at += data.byteLength;
  }
  return bytes;
}
