// Stored values of every data type to 32-bit floats in the volume's order, and labels back.

import { endianness } from "node:os";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { columnLengths, turnAffine } from "./geometry.ts";
import type { AxisSource, StoredGrid, Triple, Volume } from "./volume.ts";

/** A data type that can be read. */
export interface Kind {
  readonly name: string;
  readonly bytes: number;
  /** The stored numbers, in the file's order. */
  readonly numbers: (bytes: Uint8Array, count: number, littleEndian: boolean) => ArrayLike<number>;
}

type NumberArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;

const machineIsLittle = endianness() === "LE";

/** Bytes at an aligned address in this machine's order, copied only when they must be. */
function native(bytes: Uint8Array, count: number, width: number, littleEndian: boolean): { buffer: ArrayBufferLike; start: number } {
  const part = bytes.subarray(0, count * width);
  const swap = width > 1 && littleEndian !== machineIsLittle;
  if (!swap && part.byteOffset % width === 0) return { buffer: part.buffer, start: part.byteOffset };
  const copy = new Uint8Array(part);
  if (swap) {
    const buffer = Buffer.from(copy.buffer);
    if (width === 2) buffer.swap16();
    else if (width === 4) buffer.swap32();
    else buffer.swap64();
  }
  return { buffer: copy.buffer, start: copy.byteOffset };
}

function plain(name: string, width: number, make: (buffer: ArrayBufferLike, start: number, count: number) => NumberArray): Kind {
  const numbers: Kind["numbers"] = (bytes, count, littleEndian) => {
    const { buffer, start } = native(bytes, count, width, littleEndian);
    return make(buffer, start, count);
  };
  return { name, bytes: width, numbers };
}

function long(name: string, signed: boolean): Kind {
  const numbers: Kind["numbers"] = (bytes, count, littleEndian) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const out = new Float64Array(count);
    for (let n = 0; n < count; n++) {
      const low = view.getUint32(8 * n + (littleEndian ? 0 : 4), littleEndian);
      const at = 8 * n + (littleEndian ? 4 : 0);
      const high = signed ? view.getInt32(at, littleEndian) : view.getUint32(at, littleEndian);
      out[n] = high * 4294967296 + low;
    }
    return out;
  };
  return { name, bytes: 8, numbers };
}

const KINDS: ReadonlyMap<number, Kind> = new Map([
  [2, plain("uint8", 1, (b, s, n) => new Uint8Array(b, s, n))],
  [4, plain("int16", 2, (b, s, n) => new Int16Array(b, s, n))],
  [8, plain("int32", 4, (b, s, n) => new Int32Array(b, s, n))],
  [16, plain("float32", 4, (b, s, n) => new Float32Array(b, s, n))],
  [64, plain("float64", 8, (b, s, n) => new Float64Array(b, s, n))],
  [256, plain("int8", 1, (b, s, n) => new Int8Array(b, s, n))],
  [512, plain("uint16", 2, (b, s, n) => new Uint16Array(b, s, n))],
  [768, plain("uint32", 4, (b, s, n) => new Uint32Array(b, s, n))],
  [1024, long("int64", true)],
  [1280, long("uint64", false)],
]);

const REFUSED: ReadonlyMap<number, readonly [name: string, why: string]> = new Map([
  [0, ["unknown", "The header does not say what its values are."]],
  [1, ["binary", "One bit per voxel is not used in practice."]],
  [32, ["complex64", "A voxel must be one real number; store the magnitude."]],
  [128, ["RGB24", "A voxel must be one number, this has three colours."]],
  [1536, ["float128", "Quadruple precision cannot be read here; store float32."]],
  [1792, ["complex128", "A voxel must be one real number; store the magnitude."]],
  [2048, ["complex256", "A voxel must be one real number; store the magnitude."]],
  [2304, ["RGBA32", "A voxel must be one number, this has four colours."]],
]);

/** The data type of a header's code; a `Fault` for those that are no grey values. */
export function kindOf(path: string, datatype: number): Kind {
  const kind = KINDS.get(datatype);
  if (kind !== undefined) return kind;
  const [name, why] = REFUSED.get(datatype) ?? [`number ${datatype}`, "NIfTI does not define this data type; the header is damaged."];
  throw new Fault(diagnostic("N1004", `${path} has the data type ${name}, which cannot be used`, {
    facts: [why],
    hint: "convert it to a grey-value image, e.g. int16 or float32",
  }));
}

/** The data type of that name (`uint8`, `int16`, …); undefined for a name that is none of them. */
export function kindNamed(name: string): Kind | undefined {
  return [...KINDS.values()].find((kind) => kind.name === name);
}

interface Walk {
  /** Stored offset of the volume's voxel [0, 0, 0], and the stored steps along its x, y, z. */
  readonly start: number;
  readonly steps: Triple;
}

function walk(size: Triple, sources: readonly AxisSource[]): Walk {
  const strides = [1, size[0], size[0] * size[1]];
  let start = 0;
  const steps: [number, number, number] = [0, 0, 0];
  sources.forEach((source, n) => {
    const stride = strides[source.axis] ?? 0;
    if (source.flipped) start += stride * (size[source.axis] - 1);
    steps[n] = source.flipped ? -stride : stride;
  });
  return { start, steps };
}

/** The shape [D, H, W] of a stored grid once turned. */
export function turnedShape(grid: Pick<StoredGrid, "size" | "sources">): Triple {
  const [x, y, z] = grid.sources;
  return [grid.size[z.axis], grid.size[y.axis], grid.size[x.axis]];
}

/** Stored numbers to the volume's order, scaled on the way. */
export function turnVoxels(numbers: ArrayLike<number>, grid: Pick<StoredGrid, "size" | "sources">, slope: number, intercept: number): Float32Array {
  const [depth, height, width] = turnedShape(grid);
  const { start, steps } = walk(grid.size, grid.sources);
  const out = new Float32Array(depth * height * width);
  let to = 0;
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      let from = start + z * steps[2] + y * steps[1];
      for (let x = 0; x < width; x++, from += steps[0]) out[to++] = (numbers[from] ?? 0) * slope + intercept;
    }
  }
  return out;
}

/** The volume that stored numbers make on their grid: turned to RAS, scaled. */
export function volumeOn(stored: StoredGrid, numbers: ArrayLike<number>, slope = 1, intercept = 0): Volume {
  const affine = turnAffine(stored.affine, stored.size, stored.sources);
  const [x, y, z] = columnLengths(affine);
  return { data: turnVoxels(numbers, stored, slope, intercept), shape: turnedShape(stored), spacing: [z, y, x], affine, stored };
}

/** The way back: values in the volume's order into an array in the stored order. */
export function storeVoxels<T extends { [index: number]: number }>(values: ArrayLike<number>, grid: Pick<StoredGrid, "size" | "sources">, into: T): T {
  const [depth, height, width] = turnedShape(grid);
  const { start, steps } = walk(grid.size, grid.sources);
  let from = 0;
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      let to = start + z * steps[2] + y * steps[1];
      for (let x = 0; x < width; x++, to += steps[0]) into[to] = values[from++] ?? 0;
    }
  }
  return into;
}
