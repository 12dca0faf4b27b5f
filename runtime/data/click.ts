// A click: where the user points in an image, and the map of distances from it that a network sees.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { voxelAt } from "./geometry.ts";
import { lengthsText } from "./volume.ts";
import type { StoredGrid, Triple } from "./volume.ts";

/** A place in an image, as people read it off a viewer. */
export interface Click {
  /** `voxel`: i, j, k of the stored file, counted from 0. `mm`: x, y, z of the world, in millimetres (x right, y front, z up). */
  readonly unit: "voxel" | "mm";
  readonly at: Triple;
  /** Where it was written, for messages: a flag, or a file and its line. */
  readonly from: string;
}

/**
 * Fills one channel [D, H, W] at `at`: the distance in mm of every voxel from the click, divided by the greatest one, so
 * 0 at the click and 1 farthest away. `click` counts voxels of the patch along D, H, W and may lie outside it. `around` is a larger
 * box that is filled, with the patch in its middle.
 */
export function clickMap(click: Triple, size: Triple, spacing: Triple, into: Float32Array, at: number, around = size): void {
  const margin = (axis: 0 | 1 | 2): number => Math.floor((around[axis] - size[axis]) / 2);
  const [alongZ, alongY, alongX] = ([0, 1, 2] as const).map((axis) => squares(click[axis] + margin(axis), around[axis], spacing[axis]));
  if (alongZ === undefined || alongY === undefined || alongX === undefined) return;
  const inside = (along: Float64Array, axis: 0 | 1 | 2): number => ends(along.subarray(margin(axis), margin(axis) + size[axis]));
  // A distance is greatest in a corner.
  const most = Math.sqrt(inside(alongZ, 0) + inside(alongY, 1) + inside(alongX, 2));
  const scale = most === 0 ? 0 : 1 / most;
  let to = at;
  for (const z of alongZ) for (const y of alongY) for (const x of alongX) into[to++] = Math.sqrt(z + y + x) * scale;
}

function squares(click: number, size: number, step: number): Float64Array {
  return Float64Array.from({ length: size }, (_, n) => ((n - click) * step) ** 2);
}

function ends(along: Float64Array): number {
  return Math.max(along[0] ?? 0, along[along.length - 1] ?? 0);
}

/** The voxel [D, H, W] of the turned volume that a click names; N1082 when it lies outside the image. */
export function locateClick(click: Click, stored: StoredGrid, name: string): Triple {
  const ijk = click.unit === "voxel" ? click.at : rounded(voxelAt(stored.affine, click.at));
  const outside = ijk.some((n, axis) => !(n >= 0 && n < (stored.size[axis] ?? 0)));
  if (outside || !ijk.every(Number.isInteger)) {
    const said = click.unit === "voxel" ? `voxel ${click.at.join(", ")}` : `${lengthsText(click.at)} mm, voxel ${ijk.join(", ")}`;
    throw new Fault(diagnostic("N1082", `the click of ${name} lies outside its image`, {
      facts: [`${click.from} says ${said}.`, `The image has ${stored.size.join(" x ")} voxels i, j, k, counted from 0: the last is ${stored.size.map((n) => n - 1).join(", ")}.`],
      hint: click.unit === "voxel" ? "the order is i, j, k of the file; viewers that count from 1 say one more" : "millimetres are x, y, z of the NIfTI world: right, front and up are positive",
    }));
  }
  const along = (axis: 0 | 1 | 2): number => {
    const source = stored.sources[axis];
    return source.flipped ? stored.size[source.axis] - 1 - ijk[source.axis] : ijk[source.axis];
  };
  return [along(2), along(1), along(0)];
}

function rounded(place: Triple): Triple {
  // `+ 0` leaves no minus before a zero.
  return [Math.round(place[0]) + 0, Math.round(place[1]) + 0, Math.round(place[2]) + 0];
}
