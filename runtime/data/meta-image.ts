// MetaImage files (.mha, and .mhd with its data beside it), as ITK writes them: read, and written with zlib.

import { dirname, join } from "node:path";
import { deflateSync } from "node:zlib";
import { readBytes } from "../files.ts";
import { columnLengths } from "./geometry.ts";
import { inflateAll } from "./gzip.ts";
import type { ReadVolume } from "./nifti.ts";
import { badHeader, badType, decodeRaw, manyVolumes, numbersIn, TEXT_HEADER, volumeSize } from "./raw.ts";
import type { StoredGrid, Triple } from "./volume.ts";
import { kindNamed, storeVoxels } from "./voxels.ts";

const kinds: Readonly<Record<string, string>> = {
  MET_CHAR: "int8", MET_UCHAR: "uint8", MET_SHORT: "int16", MET_USHORT: "uint16", MET_INT: "int32", MET_UINT: "uint32", MET_LONG: "int32", MET_ULONG: "uint32",
  MET_LONG_LONG: "int64", MET_ULONG_LONG: "uint64", MET_FLOAT: "float32", MET_DOUBLE: "float64",
};

/** Whether bytes begin as a MetaImage header does. */
export function isMetaImage(bytes: Uint8Array): boolean {
  return /^\s*(ObjectType|ObjectSubType|Comment|Name|ID|NDims)\s*=/.test(new TextDecoder("latin1").decode(bytes.subarray(0, 64)));
}

/** A volume from the bytes of a MetaImage file; `path` is for messages and to find the data. */
export function decodeMetaImage(path: string, file: Uint8Array): ReadVolume {
  const { fields, end } = headerOf(path, file);
  const need = (name: string): string => {
    const value = fields.get(name.toLowerCase());
    if (value === undefined) throw badHeader(path, `has no \`${name}\``, "It is a MetaImage file whose header is incomplete.");
    return value;
  };
  const any = (...names: readonly string[]): readonly number[] | undefined => {
    const name = names.find((one) => fields.has(one.toLowerCase()));
    return name === undefined ? undefined : numbersIn(need(name));
  };
  const said = (name: string): boolean => /^true|^1$/i.test(fields.get(name.toLowerCase()) ?? "");
  const kind = kindNamed(kinds[need("ElementType").toUpperCase()] ?? "");
  if (kind === undefined) throw badType(path, need("ElementType"));
  const colours = Number(fields.get("elementnumberofchannels") ?? 1);
  if (colours !== 1) throw manyVolumes(path, colours, `Its header has ElementNumberOfChannels = ${colours}.`);
  if (fields.has("binarydata") && !said("BinaryData")) throw badHeader(path, "holds its voxels as text", "Its header has BinaryData = False.");
  const rank = Number(need("NDims"));
  const sizes = numbersIn(need("DimSize"));
  const fact = `Its header has DimSize = ${need("DimSize")}.`;
  if (sizes.length !== rank) throw badHeader(path, `has ${rank} axes and ${sizes.length} sizes`, fact);
  const size = volumeSize(path, sizes, fact);
  const spacing = any("ElementSpacing", "ElementSize") ?? [];
  const matrix = any("TransformMatrix", "Rotation", "Orientation") ?? [];
  const origin = any("Offset", "Position", "Origin") ?? [];
  const oriented = matrix.length === rank * rank && rank > 2;
  // Each row is the direction of an axis, to the left, the back and up; without any, axes are taken as for every other format.
  const sign = oriented ? -1 : 1;
  const entry = (axis: number, r: number): number => (axis < rank && r < rank ? matrix[axis * rank + r] ?? (axis === r ? 1 : 0) : axis === r ? 1 : 0);
  const step = (axis: 0 | 1 | 2): Triple => {
    const length = spacing[axis] ?? 1;
    return [sign * entry(axis, 0) * length, sign * entry(axis, 1) * length, entry(axis, 2) * length];
  };
  const littleEndian = !(said("BinaryDataByteOrderMSB") || said("ElementByteOrderMSB"));
  const bytes = dataOf(path, file, end, { place: need("ElementDataFile"), packed: said("CompressedData"), skip: Number(fields.get("headersize") ?? 0), needed: size[0] * size[1] * size[2] * kind.bytes });
  return decodeRaw(path, {
    kind, size, steps: [step(0), step(1), step(2)], origin: [sign * (origin[0] ?? 0), sign * (origin[1] ?? 0), origin[2] ?? 0], oriented, littleEndian, bytes,
  });
}

function headerOf(path: string, file: Uint8Array): { readonly fields: ReadonlyMap<string, string>; readonly end: number } {
  const text = new TextDecoder("latin1").decode(file.subarray(0, TEXT_HEADER));
  const last = /^[ \t]*ElementDataFile[ \t]*=.*(\r?\n|$)/im.exec(text);
  if (last === null) throw badHeader(path, "has no `ElementDataFile`", "It is a MetaImage file whose header does not say where its voxels are.");
  const end = last.index + last[0].length;
  const lines = text.slice(0, end).split(/\r?\n/).map((line) => /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line));
  return { fields: new Map(lines.flatMap((line) => (line === null ? [] : [[(line[1] ?? "").toLowerCase(), line[2] ?? ""] as const]))), end };
}

interface Data {
  readonly place: string;
  readonly packed: boolean;
  readonly skip: number;
  readonly needed: number;
}

function dataOf(path: string, file: Uint8Array, end: number, { place, packed, skip, needed }: Data): Uint8Array {
  if (/^LIST\b|%/.test(place)) throw badHeader(path, "spreads its data over several files", `Its header has ElementDataFile = ${place}.`);
  const local = place.toUpperCase() === "LOCAL";
  const bytes = local ? file.subarray(end) : readBytes(join(dirname(path), place));
  if (packed) return inflateAll(local ? path : join(dirname(path), place), bytes);
  // Minus one: whatever stands before the voxels is not of interest.
  return skip < 0 ? bytes.subarray(Math.max(0, bytes.length - needed)) : bytes.subarray(local ? 0 : skip);
}

/**
 * The bytes of a MetaImage file on a stored grid: header and voxels, which are to be written one after the other into a `.mha`,
 * or, with the name `beside`, into a `.mhd` and that file. `values` is in the volume's order.
 */
export function encodeMetaImage(values: Uint8Array | Uint16Array | Float32Array, grid: StoredGrid, beside?: string): { readonly header: Uint8Array; readonly voxels: Uint8Array } {
  const stored = storeVoxels(values, grid, values.slice());
  const packed = deflateSync(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength));
  const lengths = columnLengths(grid.affine);
  const known = grid.sformCode > 0 || grid.qformCode > 0;
  const directions = ([0, 1, 2] as const).flatMap((c) => [-grid.affine[0][c] / lengths[c], -grid.affine[1][c] / lengths[c], grid.affine[2][c] / lengths[c]]);
  const header = [
    "ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False", "CompressedData = True", `CompressedDataSize = ${packed.length}`,
    ...(known ? [`TransformMatrix = ${directions.join(" ")}`, `Offset = ${-grid.affine[0][3]} ${-grid.affine[1][3]} ${grid.affine[2][3]}`, "CenterOfRotation = 0 0 0"] : []),
    `ElementSpacing = ${lengths.join(" ")}`, `DimSize = ${grid.size.join(" ")}`,
    `ElementType = ${values instanceof Uint8Array ? "MET_UCHAR" : values instanceof Uint16Array ? "MET_USHORT" : "MET_FLOAT"}`, `ElementDataFile = ${beside ?? "LOCAL"}`,
  ].join("\n");
  return { header: Buffer.from(`${header}\n`, "latin1"), voxels: packed };
}
