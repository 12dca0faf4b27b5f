// The safetensors format: what is written is read, and what is not the format is refused with a reason.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { draws } from "../../runtime/draws.ts";
import { decodeTensors, encodeTensors, readTensors } from "../../runtime/safetensors.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const present = existsSync(golden);
if (!present) console.log(`skipped: ${golden} is not here`);

function refusal(bytes: Uint8Array): Diagnostic | undefined {
  try {
    decodeTensors("w.safetensors", bytes);
  } catch (error) {
    if (error instanceof Fault) return error.findings[0];
    throw error;
  }
  return undefined;
}

function file(header: unknown, body: Uint8Array = new Uint8Array()): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

describe("round trip", () => {
  const tensors = new Map([
    ["e[0].weight", { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 1e-40, Infinity) }],
    ["scalar", { shape: [], data: Float32Array.of(7) }],
    ["empty", { shape: [0, 4], data: new Float32Array() }],
    ["ids", { shape: [3], data: Int32Array.of(-1, 0, 2 ** 31 - 1) }],
    ["名前", { shape: [5], data: Uint8Array.of(1, 2, 3, 4, 255) }],
  ]);
  const bytes = encodeTensors(tensors, { epoch: "3", note: "Grüße \"quoted\"" });
  it("keeps values, shapes, order and metadata", () => {
    const again = decodeTensors("w", bytes);
    expect([...again.tensors.keys()]).toEqual([...tensors.keys()]);
    for (const [name, { shape, data }] of tensors) {
      expect(again.tensors.get(name)?.shape).toEqual(shape);
      expect(again.tensors.get(name)?.data).toEqual(data);
    }
    expect(Object.fromEntries(again.metadata)).toEqual({ epoch: "3", note: "Grüße \"quoted\"" });
  });
  it("begins its data at a multiple of eight", () => {
    for (let n = 0; n < 9; n++) {
      const file = encodeTensors(tensors, { note: "x".repeat(n) });
      expect(Number(new DataView(file.buffer).getBigUint64(0, true)) % 8).toBe(0);
      expect(decodeTensors("w", file).tensors.size).toBe(tensors.size);
    }
  });
  it("reads from the middle of a larger buffer, at an odd address", () => {
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeTensors("w", shifted.subarray(3)).tensors.get("ids")?.data).toEqual(Int32Array.of(-1, 0, 2 ** 31 - 1));
  });
});

describe("other element types", () => {
  const one = (dtype: string, body: Uint8Array, shape = [2]): unknown => decodeTensors("w", file({ t: { dtype, shape, data_offsets: [0, body.length] } }, body)).tensors.get("t")?.data;
  it("are read", () => {
    expect(one("I64", new Uint8Array(BigInt64Array.of(-5n, 2n ** 40n).buffer))).toEqual(BigInt64Array.of(-5n, 2n ** 40n));
    expect(one("F64", new Uint8Array(Float64Array.of(0.1, -2).buffer))).toEqual(Float64Array.of(0.1, -2));
    expect(one("BOOL", Uint8Array.of(1, 0))).toEqual(Uint8Array.of(1, 0));
    expect(one("F16", new Uint8Array(Uint16Array.of(0x3c00, 0xc500, 0x0001, 0x7c00).buffer), [4])).toEqual(Float32Array.of(1, -5, 2 ** -24, Infinity));
    expect(one("BF16", new Uint8Array(Uint16Array.of(0x3f80, 0xc0a0).buffer))).toEqual(Float32Array.of(1, -5));
  });
});

describe("refused", () => {
  const good = encodeTensors(new Map([["w", { shape: [4], data: Float32Array.of(1, 2, 3, 4) }]]));
  it.each<[string, Uint8Array, string, string]>([
    ["empty", new Uint8Array(), "is not a safetensors file", "It has only 0 bytes."],
    ["a zip (PyTorch)", Uint8Array.from([0x50, 0x4b, 3, 4, 0, 0, 8, 8, 0, 0]), "is not a safetensors file", "Its first eight bytes are not the length of a header."],
    ["text", new TextEncoder().encode("epoch,loss\n1,0.5\n"), "is not a safetensors file", "Its first eight bytes are not the length of a header."],
    ["no JSON", file("{ nothing"), "is not a safetensors file", "Its header is not JSON."],
    ["cut in the data", good.subarray(0, good.length - 3), "is truncated", `\`w\` ends at byte ${good.length}, the file at ${good.length - 3}.`],
    ["cut in the header", good.subarray(0, 20), "is truncated", "found are 20."],
    ["sizes that differ", file({ w: { dtype: "F32", shape: [3], data_offsets: [0, 16] } }, new Uint8Array(16)), "is damaged", "takes 12 bytes, its header gives it 16."],
    ["a strange type", file({ w: { dtype: "F8", shape: [3], data_offsets: [0, 3] } }, new Uint8Array(3)), "in a way that makes no sense", "F8"],
    ["a negative shape", file({ w: { dtype: "U8", shape: [-3, -1], data_offsets: [0, 3] } }, new Uint8Array(3)), "in a way that makes no sense", "-3"],
  ])("%s", (_, bytes, headline, fact) => {
    const finding = refusal(bytes);
    expect(finding).toMatchObject({ code: "N1041" });
    expect(finding?.headline).toContain(headline);
    expect(finding?.headline).toContain("w.safetensors");
    expect(finding?.facts.join(" ")).toContain(fact);
  });
});

describe("damage", () => {
  it("never ends in anything but a finding or tensors", () => {
    const whole = encodeTensors(new Map([["a", { shape: [2, 3], data: new Float32Array(6) }], ["b", { shape: [5], data: new Uint8Array(5) }]]), { step: "1" });
    let refused = 0;
    for (let n = 0; n < 2000; n++) {
      const random = draws(12, n);
      const bytes = whole.slice(0, random.below(5) === 0 ? random.below(whole.length) : whole.length);
      for (let change = 0; change < 1 + random.below(3); change++) bytes[random.below(bytes.length)] = random.below(128);
      if (refusal(bytes) !== undefined) refused++;
    }
    expect(refused).toBeGreaterThan(500);
    expect(refused).toBeLessThan(2000);
  });
});

describe.skipIf(!present)("reference files", () => {
  it("all open", () => {
    const files = readdirSync(golden).filter((name) => name.endsWith(".safetensors"));
    expect(files.length).toBeGreaterThan(3);
    for (const name of files) expect(readTensors(join(golden, name)).tensors.size).toBeGreaterThan(0);
  });
});
