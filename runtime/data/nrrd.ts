// NRRD files (teem's "nearly raw raster data"), as 3D Slicer writes them: read with attached or detached data, written with gzip.

import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { readBytes } from "../files.ts";
import { gunzipAll } from "./gzip.ts";
import type { ReadVolume } from "./nifti.ts";
import { badHeader, badType, decodeRaw, numbersIn, TEXT_HEADER, volumeSize } from "./raw.ts";
import type { StoredGrid, Triple } from "./volume.ts";
import { kindNamed, storeVoxels } from "./voxels.ts";

/** Whether bytes begin as a NRRD file does. */
export function isNrrd(bytes: Uint8Array): boolean {
  return /^NRRD000\d/.test(String.fromCharCode(...bytes.subarray(0, 8)));
}

const kinds: Readonly<Record<string, string>> = {
  "signed char": "int8", int8: "int8", uchar: "uint8", "unsigned char": "uint8", uint8: "uint8",
  short: "int16", "short int": "int16", "signed short": "int16", "signed short int": "int16", int16: "int16",
  ushort: "uint16", "unsigned short": "uint16", "unsigned short int": "uint16", uint16: "uint16",
  int: "int32", "signed int": "int32", int32: "int32", uint: "uint32", "unsigned int": "uint32", uint32: "uint32",
  longlong: "int64", "long long": "int64", "long long int": "int64", "signed long long": "int64", "signed long long int": "int64", int64: "int64",
  ulonglong: "uint64", "unsigned long long": "uint64", "unsigned long long int": "uint64", uint64: "uint64", float: "float32", double: "float64",
};

/** Signs of x and y that turn a named space into right, front, up; undefined for one that is no patient's. */
const spaces: Readonly<Record<string, readonly [number, number]>> = {
  "right-anterior-superior": [1, 1], ras: [1, 1], "left-anterior-superior": [-1, 1], las: [-1, 1], "left-posterior-superior": [-1, -1], lps: [-1, -1],
};

/** A volume from the bytes of a NRRD file; `path` is for messages and to find detached data. */
export function decodeNrrd(path: string, file: Uint8Array): ReadVolume {
  const { fields, end } = headerOf(path, file);
  const need = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined) throw badHeader(path, `has no \`${name}\``, "It is a NRRD file whose header is incomplete.");
    return value;
  };
  const type = need("type").toLowerCase().replace(/_t$/, "");
  const kind = kindNamed(kinds[type] ?? "");
  if (kind === undefined) throw badType(path, type);
  const sizes = numbersIn(need("sizes"));
  const fact = `Its header has sizes: ${need("sizes")}.`;
  if (sizes.length !== Number(need("dimension"))) throw badHeader(path, `has ${need("dimension")} axes and ${sizes.length} sizes`, fact);
  const axes = axesOf(path, fields, sizes);
  // An axis that does not lie in space counts volumes or colours.
  const spatial = [...axes.filter((axis) => axis.step !== undefined), ...axes.filter((axis) => axis.step === undefined)];
  const size = volumeSize(path, spatial.map((axis) => axis.size), fact);
  const space = spaces[fields.get("space")?.toLowerCase() ?? ""];
  const unit = unitOf(fields.get("space units"));
  const turn = (v: readonly number[]): Triple => [(v[0] ?? 0) * (space?.[0] ?? 1) * unit, (v[1] ?? 0) * (space?.[1] ?? 1) * unit, (v[2] ?? 0) * unit];
  const step = (n: 0 | 1 | 2): Triple => turn(spatial[n]?.step ?? [n === 0 ? 1 : 0, n === 1 ? 1 : 0, n === 2 ? 1 : 0]);
  const littleEndian = kind.bytes === 1 || need("endian").toLowerCase() === "little";
  const bytes = dataOf(path, file, fields, end, size[0] * size[1] * size[2] * kind.bytes);
  return decodeRaw(path, { kind, size, steps: [step(0), step(1), step(2)], origin: turn(numbersIn(fields.get("space origin") ?? "")), oriented: space !== undefined, littleEndian, bytes });
}

function headerOf(path: string, file: Uint8Array): { readonly fields: ReadonlyMap<string, string>; readonly end: number } {
  const text = new TextDecoder("latin1").decode(file.subarray(0, TEXT_HEADER));
  const blank = /\r?\n\r?\n/.exec(text);
  const end = blank === null ? text.length : blank.index + blank[0].length;
  // Only a header beside its data may end without a blank line.
  if (blank === null && !/^data ?file:/im.test(text)) throw badHeader(path, "has a header without an end", "A blank line must follow the fields of a NRRD file.");
  const fields = new Map<string, string>();
  for (const line of text.slice(0, end).split(/\r?\n/).slice(1)) {
    const field = /^([^#:][^:]*):[ \t]?(?!=)(.*)$/.exec(line);
    if (field !== null) fields.set((field[1] ?? "").trim().toLowerCase(), (field[2] ?? "").trim());
  }
  return { fields, end };
}

interface AxisLine {
  readonly size: number;
  /** Undefined for an axis that does not lie in space. */
  readonly step: readonly number[] | undefined;
}

function axesOf(path: string, fields: ReadonlyMap<string, string>, sizes: readonly number[]): readonly AxisLine[] {
  const directions = fields.get("space directions")?.match(/none|\([^)]*\)/gi);
  if (directions) {
    if (directions.length !== sizes.length) throw badHeader(path, `has ${sizes.length} sizes and ${directions.length} space directions`, `Its header has space directions: ${fields.get("space directions")}.`);
    return sizes.map((size, n) => ({ size, step: directions[n]?.toLowerCase() === "none" ? undefined : numbersIn(directions[n] ?? "") }));
  }
  const spacings = numbersIn(fields.get("spacings") ?? "");
  return sizes.map((size, n) => ({ size, step: n > 2 ? undefined : [0, 1, 2].map((r) => (r === n ? spacings[n] || 1 : 0)) }));
}

function unitOf(text: string | undefined): number {
  const [unit] = text?.match(/[^\s"]+/) ?? ["mm"];
  return unit === "m" ? 1000 : unit === "cm" ? 10 : unit === "um" || unit === "µm" || unit === "micron" ? 0.001 : 1;
}

function dataOf(path: string, file: Uint8Array, fields: ReadonlyMap<string, string>, end: number, needed: number): Uint8Array {
  const detached = fields.get("data file") ?? fields.get("datafile");
  if (detached !== undefined && /^LIST\b|%/.test(detached)) throw badHeader(path, "spreads its data over several files", `Its header has data file: ${detached}.`);
  let bytes = detached === undefined ? file.subarray(end) : readBytes(join(dirname(path), detached));
  for (let line = Number(fields.get("line skip") ?? 0); line > 0; line--) bytes = bytes.subarray(bytes.indexOf(10) + 1);
  const encoding = (fields.get("encoding") ?? "raw").toLowerCase();
  const skip = Number(fields.get("byte skip") ?? 0);
  if (encoding === "raw") return skip < 0 ? bytes.subarray(Math.max(0, bytes.length - needed)) : bytes.subarray(skip);
  if (encoding === "gzip" || encoding === "gz") return gunzipAll(path, bytes.subarray(Math.max(0, skip)));
  throw new Fault(diagnostic("N1003", `${path} has the encoding ${encoding}, which is not read`, { facts: ["Read are raw and gzip."], hint: "save it again with gzip compression" }));
}

/** The bytes of a NRRD file of 8-bit or 16-bit labels, or 32-bit floats, on a stored grid. `values` is in the volume's order. */
export function encodeNrrd(values: Uint8Array | Uint16Array | Float32Array, grid: StoredGrid): Uint8Array {
  const stored = storeVoxels(values, grid, values.slice());
  const vector = (v: readonly number[]): string => `(${v.join(",")})`;
  const column = (c: 0 | 1 | 2 | 3): readonly number[] => [-grid.affine[0][c], -grid.affine[1][c], grid.affine[2][c]];
  const known = grid.sformCode > 0 || grid.qformCode > 0;
  const header = [
    "NRRD0004", `type: ${values instanceof Uint8Array ? "uchar" : values instanceof Uint16Array ? "ushort" : "float"}`, "dimension: 3", `sizes: ${grid.size.join(" ")}`,
    ...(known
      ? ["space: left-posterior-superior", `space directions: ${vector(column(0))} ${vector(column(1))} ${vector(column(2))}`, `space origin: ${vector(column(3))}`]
      : [`spacings: ${[0, 1, 2].map((c) => Math.hypot(...column(c as 0 | 1 | 2))).join(" ")}`]),
    ...(known ? ["kinds: domain domain domain"] : []), "endian: little", "encoding: gzip",
  ].join("\n");
  return Buffer.concat([Buffer.from(`${header}\n\n`, "latin1"), gzipSync(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength))]);
}
