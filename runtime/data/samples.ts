// What a run makes of its cases before patches are drawn: one class alone, small parts left out, cubes around the foreground.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Case } from "./case.ts";
import { caseVoxels } from "./case.ts";
import { components, largest } from "./components.ts";
import { cubeAround, longAxis, type Box, type CubeRule } from "./long-axis.ts";
import { resizeBox } from "./resize.ts";
import { voxels } from "./volume.ts";
import type { Triple } from "./volume.ts";

/** Parts of the foreground that are too small to learn from. */
export interface SmallRule {
  /** Voxels along every axis that a part has at least. */
  readonly extent: number;
  /** Voxels that a part has at least. */
  readonly voxels: number;
}

/** What is made of a case; plain data, kept with the run. */
export interface Samples {
  /** The label that becomes 1, all others 0. */
  readonly target?: number | undefined;
  readonly drop?: SmallRule | undefined;
  /** Samples are cubes around the foreground, resized to the patch. */
  readonly crop?: CubeRule | undefined;
  /** Whether the network sees a click. */
  readonly guide?: boolean | undefined;
}

/** A label with 1 where it was `target`. */
export function targetAlone(label: Uint8Array, target: number): Uint8Array {
  return label.map((value) => (value === target ? 1 : 0));
}

/** A label without the 6-connected parts of its foreground that are too small. */
export function withoutSmall(label: Uint8Array, shape: Triple, rule: SmallRule): Uint8Array {
  const out = Uint8Array.from(label);
  for (const { at, first, last } of components(label, shape)) {
    const short = ([0, 1, 2] as const).some((axis) => last[axis] - first[axis] + 1 < rule.extent);
    if (short || at.length < rule.voxels) for (const offset of at) out[offset] = 0;
  }
  return out;
}

/** The cube around the largest part of a mask [D, H, W]; undefined for an empty one. */
export function cubeOf(mask: Uint8Array, shape: Triple, spacing: Triple, rule: CubeRule): Box | undefined {
  const part = largest(components(mask, shape));
  return part && cubeAround(longAxis(part.at, shape, spacing), spacing, rule);
}

/** Millimetres between the points of a box that is resized to `size`. */
export function resizedSpacing(box: Box, spacing: Triple, size: Triple): Triple {
  const along = (axis: 0 | 1 | 2): number => (spacing[axis] * box.size[axis]) / size[axis];
  return [along(0), along(1), along(2)];
}

/** The channels of an image [C, D, H, W] within a box, resized to `size`. */
export function resizedImage(image: Float32Array, channels: number, shape: Triple, box: Box, size: Triple, into = new Float32Array(channels * voxels(size))): Float32Array {
  const whole = voxels(shape);
  for (let channel = 0; channel < channels; channel++) {
    resizeBox(image.subarray(channel * whole, (channel + 1) * whole), shape, box, size, "linear", into, channel * voxels(size));
  }
  return into;
}

/**
 * A case as a run learns from it; undefined when it has no foreground and the run needs some. A cropped case is the cube
 * and nothing else: its shape is the patch, its affine and stored grid remain those of the whole image.
 */
export function sampleOf(one: Case, { target, drop, crop, guide }: Samples, patch: Triple): Case | undefined {
  if (one.label === undefined) return one;
  const chosen = target === undefined ? one.label : targetAlone(one.label, target);
  const label = drop === undefined ? chosen : withoutSmall(chosen, one.shape, drop);
  if ((crop !== undefined || guide === true) && label.every((value) => value === 0)) return undefined;
  if (crop === undefined) return label === one.label ? one : { ...one, label };
  const box = cubeOf(label, one.shape, one.spacing, crop);
  if (box === undefined) return undefined;
  const small = new Uint8Array(voxels(patch));
  resizeBox(label, one.shape, box, patch, "nearest", small);
  // So coarse a patch may lose all of a thin structure.
  if (guide === true && small.every((value) => value === 0)) return undefined;
  const image = resizedImage(one.image, one.image.length / caseVoxels(one), one.shape, box, patch);
  return { ...one, image, label: small, shape: patch, spacing: resizedSpacing(box, one.spacing, patch) };
}

/** A warning that names the cases a run has no use for. */
export function lostFindings(lost: readonly string[], { crop, drop }: Samples): readonly Diagnostic[] {
  if (lost.length === 0) return [];
  return [diagnostic("W1081", `${lost.length === 1 ? "a case has" : `${lost.length} cases have`} no foreground and ${lost.length === 1 ? "is" : "are"} left out`, {
    facts: [`${lost.slice(0, 5).join(", ")}${lost.length > 5 ? ", …" : ""}: there is nothing to ${crop === undefined ? "click on" : "cut a cube around"}.`],
    hint: drop === undefined ? undefined : `parts with an extent below ${drop.extent} or with fewer than ${drop.voxels} voxels do not count (\`drop\`)`,
  })];
}

/** N1084 where no training case is left. */
export function demandSamples(cases: readonly Case[], folder: string): void {
  if (cases.length > 0) return;
  throw new Fault(diagnostic("N1084", `no training case of ${folder} has foreground`, {
    facts: ["A run with `guide` or `crop` learns from what is around the foreground."], hint: "check `target` and `drop`, and that the labels are the right files",
  }));
}
