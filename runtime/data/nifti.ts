// NIfTI files: bytes to volumes, and label maps and images back to bytes.

import { gzipSync } from "node:zlib";
import { diagnostic, Fault, invariant } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { nearestAxes } from "./geometry.ts";
import { gunzipAll, gunzipHead, isGzip, largestUnpacked } from "./gzip.ts";
import { chooseAffine, HEADER_BYTES, readHeader, writeHeader } from "./header.ts";
import type { Header } from "./header.ts";
import { kindOf, storeVoxels, turnedShape, volumeOn } from "./voxels.ts";
import type { Kind } from "./voxels.ts";
import { voxels } from "./volume.ts";
import type { StoredGrid, Volume } from "./volume.ts";

/** A volume and what was odd about its file. */
export interface ReadVolume {
  readonly volume: Volume;
  readonly warnings: readonly Diagnostic[];
}

/** A volume from the bytes of a `.nii` or `.nii.gz` file; a `Fault` when they are none, are damaged, or are not one grey-value volume. `path` is for messages. */
export function decodeNifti(path: string, file: Uint8Array): ReadVolume {
  const packed = isGzip(file);
  const header = readHeader(path, packed ? gunzipHead(path, file, HEADER_BYTES) : file);
  const kind = kindOf(path, header.datatype);
  const needed = header.offset + header.size[0] * header.size[1] * header.size[2] * kind.bytes;
  // Before anything is allocated: a damaged header can claim terabytes.
  const reachable = packed ? largestUnpacked(file.length) : file.length;
  if (needed > reachable) throw tooShort(path, header, kind, needed, packed ? undefined : file.length);
  const bytes = packed ? gunzipAll(path, file) : file;
  if (needed > bytes.length) throw tooShort(path, header, kind, needed, bytes.length);

  const warnings: Diagnostic[] = [];
  const warn = (code: Diagnostic["code"], headline: string, facts: readonly string[], hint?: string): void => {
    warnings.push(diagnostic(code, headline, { facts, hint }));
  };
  const { affine, sformCode, qformCode } = chooseAffine(path, header, { warn });
  const { size, version } = header;
  const stored: StoredGrid = { size, affine, sources: nearestAxes(affine), sformCode, qformCode, version };
  const numbers = kind.numbers(bytes.subarray(header.offset), size[0] * size[1] * size[2], header.littleEndian);
  return { volume: volumeOn(stored, numbers, header.slope, header.intercept), warnings };
}

function tooShort(path: string, header: Header, kind: Kind, needed: number, found: number | undefined): Fault {
  const facts = [
    `Its header promises ${header.size.join(" x ")} voxels of ${kind.name}: ${needed} bytes in all.`,
    found === undefined ? "The compressed file cannot hold that much." : `Found are ${found} bytes.`,
  ];
  return new Fault(diagnostic("N1002", `${path} is truncated`, { facts, hint: "copy or export the file again" }));
}

/** The bytes of a label map of uint8 or uint16 on a stored grid. `labels` is in the volume's order. */
export function encodeLabels(labels: Uint8Array | Uint16Array, grid: StoredGrid, compress: boolean): Uint8Array {
  invariant(labels.length === voxels(turnedShape(grid)), () => `${labels.length} labels for a grid of ${grid.size.join(" x ")}`);
  const [kind, bits] = labels instanceof Uint8Array ? [2, 8] : [512, 16];
  return assemble(writeHeader(grid, kind, bits), storeVoxels(labels, grid, labels.slice()), compress);
}

/** The bytes of an image of float32 values on a stored grid. `values` is in the volume's order. */
export function encodeImage(values: Float32Array, grid: StoredGrid, compress: boolean): Uint8Array {
  invariant(values.length === voxels(turnedShape(grid)), () => `${values.length} values for a grid of ${grid.size.join(" x ")}`);
  return assemble(writeHeader(grid, 16, 32), storeVoxels(values, grid, new Float32Array(values.length)), compress);
}

function assemble(header: Uint8Array, data: Uint8Array | Uint16Array | Float32Array, compress: boolean): Uint8Array {
  const bytes = new Uint8Array(header.length + data.byteLength);
  bytes.set(header);
  if (data instanceof Uint8Array) {
    bytes.set(data, header.length);
  } else {
    const view = new DataView(bytes.buffer, header.length);
    if (data instanceof Uint16Array) data.forEach((value, n) => view.setUint16(2 * n, value, true));
    else data.forEach((value, n) => view.setFloat32(4 * n, value, true));
  }
  return compress ? gzipSync(bytes) : bytes;
}
