// What image formats with a header of text have in common: lines of fields, then plain voxels on a described grid.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { columnLengths, isUsable, nearestAxes, scaling } from "./geometry.ts";
import type { Affine, StoredGrid, Triple, Volume } from "./volume.ts";
import type { Kind } from "./voxels.ts";
import { volumeOn } from "./voxels.ts";

/** The most bytes that a header of text takes. */
export const TEXT_HEADER = 65_536;

/** A grid as such a header describes it, and the voxels that follow. */
export interface RawImage {
  readonly kind: Kind;
  readonly size: Triple;
  /** Millimetres from one voxel to the next along each stored axis, and the first voxel's place: x right, y front, z up. */
  readonly steps: readonly [Triple, Triple, Triple];
  readonly origin: Triple;
  /** Whether the file says which way its axes run. */
  readonly oriented: boolean;
  readonly littleEndian: boolean;
  readonly bytes: Uint8Array;
}

/** The volume of a described grid; a `Fault` with N1002 where voxels are missing. */
export function decodeRaw(path: string, { kind, size, steps, origin, oriented, littleEndian, bytes }: RawImage): { readonly volume: Volume; readonly warnings: readonly Diagnostic[] } {
  const count = size[0] * size[1] * size[2];
  if (bytes.length < count * kind.bytes) {
    throw new Fault(diagnostic("N1002", `${path} is truncated`, {
      facts: [`Its header promises ${size.join(" x ")} voxels of ${kind.name}: ${count * kind.bytes} bytes.`, `Found are ${bytes.length} bytes.`], hint: "copy or export the file again",
    }));
  }
  // Plus 0, for turned axes make -0.
  const row = (r: 0 | 1 | 2): Affine[0] => [steps[0][r] + 0, steps[1][r] + 0, steps[2][r] + 0, origin[r] + 0];
  const described: Affine = [row(0), row(1), row(2)];
  const usable = isUsable(described);
  const lengths = columnLengths(described);
  const affine = usable ? described : scaling(lengths.every((length) => Number.isFinite(length) && length > 0) ? lengths : [1, 1, 1]);
  const code = usable && oriented ? 1 : 0;
  const warnings = code === 1 ? [] : [diagnostic("W1051", `${path} does not say how it is oriented`, {
    facts: [usable ? "It names no space that its axes lie in." : "The directions of its axes are not usable.", "Its axes are taken as right, front, up."],
    hint: "left and right may be swapped; export the image again with its orientation",
  })];
  const stored: StoredGrid = { size, affine, sources: nearestAxes(affine), sformCode: code, qformCode: 0, version: 1 };
  return { volume: volumeOn(stored, kind.numbers(bytes, count, littleEndian)), warnings };
}

/** N1003: the header contradicts itself or lacks something. */
export function badHeader(path: string, what: string, fact: string): Fault {
  return new Fault(diagnostic("N1003", `${path} ${what}`, { facts: [fact], hint: "the header is damaged or of a kind that is not read; export the image again" }));
}

/** N1004: a data type that is no grey value. */
export function badType(path: string, name: string): Fault {
  return new Fault(diagnostic("N1004", `${path} has the data type ${name}, which cannot be used`, { facts: ["A voxel must be one real number."], hint: "convert it to a grey-value image, e.g. int16 or float32" }));
}

/** N1005: more than one value per voxel, or more than one volume. */
export function manyVolumes(path: string, count: number, fact: string): Fault {
  return new Fault(diagnostic("N1005", `${path} holds ${count} volumes, one was expected`, { facts: [fact], hint: "give one file per channel, named CASE_0000, CASE_0001 and so on" }));
}

/** The numbers of a field, separated by spaces, commas and brackets. */
export function numbersIn(text: string): readonly number[] {
  return text.split(/[\s,()]+/).filter((word) => word !== "").map(Number);
}

/** Three sizes of one volume; missing axes have one voxel, further ones must. */
export function volumeSize(path: string, sizes: readonly number[], fact: string): Triple {
  sizes.forEach((size, n) => {
    if (!Number.isInteger(size) || size < 1) throw badHeader(path, `claims to have ${size} voxels along axis ${n + 1}`, fact);
  });
  const volumes = sizes.slice(3).reduce((product, n) => product * n, 1);
  if (volumes !== 1) throw manyVolumes(path, volumes, fact);
  return [sizes[0] ?? 1, sizes[1] ?? 1, sizes[2] ?? 1];
}
