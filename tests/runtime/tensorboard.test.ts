// Event files: every byte is read back by a reader that knows only the format.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { crc32c, encodeEvents, EventFile } from "../../runtime/tensorboard.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-events-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The bit by bit definition, without a table. */
function slowCrc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) {
    c ^= byte;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  }
  return ~c >>> 0;
}

const masked = (bytes: Uint8Array): number => {
  const crc = slowCrc(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
};

/** Payloads of a file's records, their sums checked. */
function records(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const all: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(view.getBigUint64(at, true));
    expect(view.getUint32(at + 8, true)).toBe(masked(bytes.subarray(at, at + 8)));
    const payload = bytes.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(at + 12 + length, true)).toBe(masked(payload));
    all.push(payload);
    at += 16 + length;
  }
  return all;
}

type Field = { readonly number: number; readonly value: number | Uint8Array };

/** Fields of a protocol buffer message. */
function fields(bytes: Uint8Array): Field[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const all: Field[] = [];
  while (at < bytes.length) {
    const key = varint();
    const number = key >> 3;
    switch (key & 7) {
      case 0: all.push({ number, value: varint() }); break;
      case 1: all.push({ number, value: view.getFloat64(at, true) }); at += 8; break;
      case 2: { const length = varint(); all.push({ number, value: bytes.subarray(at, at + length) }); at += length; break; }
      case 5: all.push({ number, value: view.getFloat32(at, true) }); at += 4; break;
      default: throw new Error(`wire type ${key & 7}`);
    }
  }
  return all;
}

const bytesOf = (all: readonly Field[], number: number): Uint8Array[] => all.flatMap((field) => (field.number === number && field.value instanceof Uint8Array ? [field.value] : []));
const numberOf = (all: readonly Field[], number: number): number | undefined => all.flatMap((field) => (field.number === number && typeof field.value === "number" ? [field.value] : []))[0];

/** `[step, tag, value]` of every number in a file. */
const scalars = (bytes: Uint8Array): unknown[] => records(bytes).flatMap((record) => {
  const event = fields(record);
  return bytesOf(event, 5).flatMap((summary) => bytesOf(fields(summary), 1).map((value) => [numberOf(event, 2), Buffer.from(bytesOf(fields(value), 1)[0] ?? []).toString(), numberOf(fields(value), 2)]));
});

describe("event files", () => {
  it("have the sums that the standard gives for its check word", () => {
    expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
    // RFC 3720, B.4: 32 bytes of zeros.
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  });

  it("begin with their version and hold numbers by tag and step", () => {
    const bytes = encodeEvents(5, [{ time: 7.25, step: 300, values: { loss: 0.5, "dice/Leber é": 1 } }, { time: 8, step: 2 ** 33, values: { loss: -2 } }]);
    const first = fields(records(bytes)[0] ?? new Uint8Array());
    expect(numberOf(first, 1)).toBe(5);
    expect(Buffer.from(bytesOf(first, 3)[0] ?? []).toString()).toBe("brain.Event:2");
    expect(numberOf(fields(records(bytes)[2] ?? new Uint8Array()), 1)).toBe(7.25);
    expect(scalars(bytes)).toEqual([[300, "loss", 0.5], [300, "dice/Leber é", 1], [2 ** 33, "loss", -2]]);
  });

  it("grow, and are begun again by a run that goes on", () => {
    writeFileSync(join(folder, "events.out.tfevents.1.other"), "not ours");
    const first = new EventFile(folder, [], 100);
    first.add({ time: 101, step: 1, values: { loss: 3 } });
    first.add({ time: 102, step: 2, values: { loss: 2 } });
    const names = (): string[] => readdirSync(folder).filter((name) => name.endsWith(".netc"));
    expect(scalars(readFileSync(join(folder, names()[0] ?? "")))).toEqual([[1, "loss", 3], [2, "loss", 2]]);
    const second = new EventFile(folder, [{ time: 101, step: 1, values: { loss: 3 } }], 200);
    second.add({ time: 201, step: 2, values: { loss: 2.5 } });
    expect(names()).toEqual(["events.out.tfevents.200.netc"]);
    expect(scalars(readFileSync(join(folder, names()[0] ?? "")))).toEqual([[1, "loss", 3], [2, "loss", 2.5]]);
    expect(readdirSync(folder)).toContain("events.out.tfevents.1.other");
  });
});
