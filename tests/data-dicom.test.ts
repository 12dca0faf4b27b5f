// DICOM series: what belongs together, what is refused, and what the optional package makes of it.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Fault } from "../compiler/report/diagnostic.ts";
import { DICOM_PACKAGE, dicomReader, readSeries } from "../runtime/data/dicom.ts";
import { sliceTags } from "../runtime/data/dicom-tags.ts";
import { netc } from "./train/cli.ts";

const scratch = mkdtempSync(join(tmpdir(), "dicom-"));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Slice {
  readonly n: number;
  readonly position: readonly number[];
  readonly orientation?: readonly number[];
  readonly series?: string;
}

const long = new Set(["OB", "OW", "SQ"]);

function element(group: number, number: number, kind: string, value: string | number | Uint8Array, explicit = true): Uint8Array {
  const text = (words: string): Uint8Array => Buffer.from(words.length % 2 === 0 ? words : words + (kind === "UI" ? "\0" : " "), "latin1");
  const data = typeof value === "string" ? text(value) : typeof value === "number" ? new Uint8Array(Uint16Array.of(value).buffer) : value;
  const head = Buffer.alloc(explicit && long.has(kind) ? 12 : 8);
  head.writeUInt16LE(group, 0);
  head.writeUInt16LE(number, 2);
  if (explicit) head.write(kind, 4, "latin1");
  if (!explicit) head.writeUInt32LE(data.length, 4);
  else if (long.has(kind)) head.writeUInt32LE(data.length, 8);
  else head.writeUInt16LE(data.length, 6);
  return Buffer.concat([head, data]);
}

/** A slice of 5 x 4 pixels of 1.5 x 2 mm, values 100 n + pixel - 1024. */
function sliceOf({ n, position, orientation = [1, 0, 0, 0, 1, 0], series = "1.2.3" }: Slice, explicit = true): Uint8Array {
  const one = (group: number, number: number, kind: string, value: string | number | Uint8Array): Uint8Array => element(group, number, kind, value, explicit || group === 2);
  const image = "1.2.840.10008.5.1.4.1.1.2";
  const meta = Buffer.concat([one(2, 1, "OB", Uint8Array.of(0, 1)), one(2, 2, "UI", image), one(2, 3, "UI", `1.5.${n + 1}`), one(2, 0x10, "UI", `1.2.840.10008.1.2${explicit ? ".1" : ""}`), one(2, 0x12, "UI", "1.2.3.4")]);
  // A sequence of unknown length whose item names another series.
  const inner = Buffer.concat([element(0xfffe, 0xe000, "", new Uint8Array(), false).fill(255, 4), one(0x20, 0xe, "UI", "9.9.9"), element(0xfffe, 0xe00d, "", new Uint8Array(), false), element(0xfffe, 0xe0dd, "", new Uint8Array(), false)]);
  const sequence = Buffer.concat([one(8, 0x1115, "SQ", new Uint8Array()).fill(255, explicit ? 8 : 4), inner]);
  return Buffer.concat([
    Buffer.alloc(128), Buffer.from("DICM"), one(2, 0, "UL", new Uint8Array(Uint32Array.of(meta.length).buffer)), meta,
    one(8, 0x16, "UI", image), one(8, 0x18, "UI", `1.5.${n + 1}`), one(8, 0x60, "CS", "CT"), sequence,
    one(0x18, 0x50, "DS", "3"), one(0x20, 0xd, "UI", "1.2.9"), one(0x20, 0xe, "UI", series), one(0x20, 0x13, "IS", String(n + 1)), one(0x20, 0x32, "DS", position.join("\\")), one(0x20, 0x37, "DS", orientation.join("\\")),
    one(0x28, 2, "US", 1), one(0x28, 4, "CS", "MONOCHROME2"), one(0x28, 0x10, "US", 4), one(0x28, 0x11, "US", 5), one(0x28, 0x30, "DS", "2\\1.5"),
    one(0x28, 0x100, "US", 16), one(0x28, 0x101, "US", 16), one(0x28, 0x102, "US", 15), one(0x28, 0x103, "US", 1), one(0x28, 0x1052, "DS", "-1024"), one(0x28, 0x1053, "DS", "1"),
    one(0x7fe0, 0x10, "OW", new Uint8Array(Int16Array.from({ length: 20 }, (_, pixel) => 100 * n + pixel).buffer)),
  ]);
}

function folderOf(name: string, slices: readonly Slice[]): string {
  const folder = join(scratch, name);
  mkdirSync(folder);
  // Names say nothing of the order.
  slices.forEach((slice, n) => writeFileSync(join(folder, `${(7 * n + 3) % 10}.dcm`), sliceOf(slice)));
  writeFileSync(join(folder, "DICOMDIR.txt"), "not a slice");
  return folder;
}

const straight = [0, 1, 2, 3].map((n): Slice => ({ n, position: [10, 20, 30 + 3 * n] }));

const codeOf = async (run: Promise<unknown>): Promise<string> => {
  try {
    await run;
  } catch (error) {
    if (error instanceof Fault) return error.findings.map(({ code, headline }) => `${code} ${headline.replace(scratch, "")}`).join();
    throw error;
  }
  return "";
};

const reader = await dicomReader().catch(() => undefined);
if (reader === undefined) console.log(`skipped in part: the package ${DICOM_PACKAGE} is not installed`);

describe("DICOM", () => {
  it("tags are found past sequences, with and without value representations", () => {
    for (const explicit of [true, false]) {
      expect(sliceTags(sliceOf({ n: 1, position: [1, -2.5, 3e1], series: "1.2.77" }, explicit))).toEqual({ series: "1.2.77", position: [1, -2.5, 30], orientation: [1, 0, 0, 0, 1, 0] });
    }
    const whole = sliceOf({ n: 1, position: [1, 2, 3] });
    for (let length = 132; length < whole.length; length++) sliceTags(whole.subarray(0, length));
  });

  it("folders that are not one volume are refused before any pixel is read", async () => {
    const never = () => Promise.reject(new Error("read all the same"));
    const told = async (name: string, slices: readonly Slice[]): Promise<string> => codeOf(readSeries(folderOf(name, slices), never));
    expect(await told("none", [])).toBe("N1025 /none holds no DICOM files");
    expect(await told("two", straight.map((one, n) => (n < 2 ? one : { ...one, series: "1.2.4" })))).toBe("N1025 /two holds 2 series");
    expect(await told("lacking", [...straight.slice(0, 2), { n: 3, position: [10, 20, 39] }, { n: 4, position: [10, 20, 42] }])).toBe("N1025 /lacking lacks slices");
    expect(await told("double", [...straight, { n: 4, position: [10, 20, 33] }])).toBe("N1025 /double has several slices at one place");
    expect(await told("crossed", straight.map((one, n) => (n === 0 ? { ...one, orientation: [0, 1, 0, 0, 0, -1] } : one)))).toBe("N1025 /crossed holds slices that are not parallel");
    expect(await codeOf(readSeries(join(scratch, "nowhere"), never))).toBe("N1006 cannot read /nowhere");
  });

  it("what the reader says is turned to right, front, up", async () => {
    // As the package answers: columns of the matrix are the axes; here they run back, down and to the right.
    const answer = { size: [5, 4, 3], spacing: [1.5, 2, 3], origin: [10, 20, 30], direction: [0, 0, -1, 1, 0, 0, 0, -1, 0], data: Int32Array.from({ length: 60 }, (_, n) => n) };
    const folder = folderOf("turned", [0, 1, 2].map((n) => ({ n, position: [10 - 3 * n, 20, 30], orientation: [0, 1, 0, 0, 0, -1] })));
    const { volume, warnings } = await readSeries(folder, () => Promise.resolve({ readImageDicomFileSeriesNode: () => Promise.resolve({ outputImage: answer }) }));
    expect(warnings).toEqual([]);
    expect(volume.stored).toMatchObject({ size: [5, 4, 3], affine: [[0, 0, 3, -10], [-1.5, 0, 0, -20], [0, -2, 0, 30]] });
    expect(volume.shape).toEqual([4, 5, 3]);
    expect(volume.spacing).toEqual([2, 1.5, 3]);
  });

  it("without the package it is named", async () => {
    expect(await codeOf(dicomReader("@itk-wasm/not-installed"))).toContain("N1022");
    const { code, err } = await netc(["data", "convert", folderOf("plain", straight), "-o", join(scratch, "plain.nii.gz")]);
    if (reader === undefined) expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining("npm install @itk-wasm/dicom") as string });
    else expect({ code, err }).toMatchObject({ code: 0, err: "" });
    expect((await netc(["data", "convert", scratch])).code).toBe(2);
    expect((await netc(["data", "convert", scratch, "-o", "a.png"])).code).toBe(2);
  });

  it.skipIf(reader === undefined)("with the package a series becomes a volume", { timeout: 60_000 }, async () => {
    const { volume } = await readSeries(folderOf("real", straight));
    expect(volume.stored).toMatchObject({ size: [5, 4, 4], affine: [[-1.5, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30]] });
    // The first pixel of the first slice lies right and front most.
    expect([volume.data[19], volume.data[volume.data.length - 1]]).toEqual([-1024, -1024 + 300]);
  });
});
