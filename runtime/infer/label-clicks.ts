// Clicks drawn from label maps, to try a network on cases whose truth is known.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Click } from "../data/click.ts";
import { locate } from "../data/geometry.ts";
import { readVolume } from "../data/image.ts";
import { unravel } from "../data/volume.ts";
import { draws } from "../draws.ts";
import type { Wanted } from "./inputs.ts";

/**
 * A click on a voxel of the label map of a case, all of `target` (undefined: of any foreground) equally likely. It depends on
 * nothing but the case's name and its map. Undefined where the folder has no map of the case; a finding where it is of no use.
 */
export function labelClick(folder: string, { name, output }: Wanted, target: number | undefined): Click | Diagnostic | undefined {
  const path = join(folder, output);
  if (!existsSync(path)) return undefined;
  try {
    const { volume } = readVolume(path);
    const sought = (value: number): boolean => (target === undefined ? value > 0 : value === target);
    const count = volume.data.reduce((sum, value) => sum + (sought(value) ? 1 : 0), 0);
    if (count === 0) return diagnostic("N1083", `${path} has no voxel to click on`, { facts: [target === undefined ? "It is all background." : `No voxel has the value ${target}.`], hint: `give ${name} a click by hand` });
    let left = draws(0, ...[...name].map((letter) => letter.codePointAt(0) ?? 0)).below(count);
    const at = volume.data.findIndex((value) => sought(value) && left-- === 0);
    const [z, y, x] = unravel(at, volume.shape);
    return { unit: "mm", at: locate(volume.affine, [x, y, z]), from: path };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return error.findings[0];
  }
}
