// One case in memory: its channels and label, checked against each other and against the declared classes.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { CaseFiles, Dataset } from "./dataset.ts";
import { cornerDistance, locate } from "./geometry.ts";
import { readVolume } from "./image.ts";
import { lengthsText, sizeText, voxels } from "./volume.ts";
import type { Affine, StoredGrid, Triple, Volume } from "./volume.ts";

/** What voxels without annotation are labelled in memory, whatever the file has; no class has this value where some are ignored. */
export const IGNORED = 255;

/** A case ready to be cut into patches. */
export interface Case {
  readonly name: string;
  readonly channels: number;
  /** [C, D, H, W]. */
  readonly image: Float32Array;
  /** [D, H, W], values below the number of classes, or `IGNORED`. */
  readonly label: Uint8Array | undefined;
  /** [D, H, W]. */
  readonly shape: Triple;
  /** Millimetres along D, H, W. */
  readonly spacing: Triple;
  readonly affine: Affine;
  /** The grid of the first image file, on which predictions are written. */
  readonly stored: StoredGrid;
}

/** Reads images and label of one case; a `Fault` with everything wrong about it. */
export function loadCase(dataset: Pick<Dataset, "classes" | "ignore">, files: CaseFiles): { readonly loaded: Case; readonly warnings: readonly Diagnostic[] } {
  const findings: Diagnostic[] = [];
  const warnings: Diagnostic[] = [];
  const read = (path: string): Volume | undefined => {
    try {
      const { volume, warnings: odd } = readVolume(path);
      warnings.push(...odd);
      return volume;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      findings.push(...error.findings);
      return undefined;
    }
  };
  let first: Volume | undefined;
  let image: Float32Array = new Float32Array();
  files.images.forEach((path, channel) => {
    const volume = read(path);
    if (volume === undefined) return;
    findings.push(...valueFindings(path, volume));
    if (isConstant(volume.data)) warnings.push(diagnostic("W1054", `every voxel of ${path} is ${volume.data[0]}`, { facts: ["Nothing can be learned from it."], hint: "check that the right file was exported" }));
    if (first === undefined) {
      first = volume;
      image = files.images.length === 1 ? volume.data : new Float32Array(files.images.length * volume.data.length);
    } else {
      findings.push(...gridFindings(files.images[0] ?? "", first, path, volume));
    }
    if (image !== volume.data && volume.data.length * files.images.length === image.length) image.set(volume.data, channel * volume.data.length);
  });
  let label: Uint8Array | undefined;
  const labelVolume = files.label === undefined ? undefined : read(files.label);
  if (files.label !== undefined && labelVolume !== undefined) {
    if (first !== undefined) findings.push(...gridFindings(files.images[0] ?? "", first, files.label, labelVolume));
    findings.push(...labelFindings(files.label, labelVolume.data, dataset.ignore === undefined ? dataset.classes : [...dataset.classes, "ignore"]));
    label = Uint8Array.from(labelVolume.data, (value) => (value === dataset.ignore ? IGNORED : value));
    if (label.every((value) => value === 0 || value === IGNORED)) {
      warnings.push(diagnostic("W1053", `${files.label} holds background only`, { facts: ["Patches of this case are placed anywhere; its classes do not count in scores."], hint: "check that the right file was exported" }));
    }
  }
  if (findings.length > 0 || first === undefined) throw new Fault(...findings);
  const { shape, spacing, affine, stored } = first;
  return { loaded: { name: files.name, channels: files.images.length, image, label, shape, spacing, affine, stored }, warnings };
}

/** Loads many cases; a `Fault` with the findings of all of them, so that one look mends them all. */
export function loadCases(dataset: Pick<Dataset, "classes" | "ignore">, files: readonly CaseFiles[], progress: (done: number, name: string) => void = () => {}): { readonly cases: readonly Case[]; readonly warnings: readonly Diagnostic[] } {
  const cases: Case[] = [];
  const findings: Diagnostic[] = [];
  const warnings: Diagnostic[] = [];
  files.forEach((one, n) => {
    progress(n, one.name);
    try {
      const { loaded, warnings: odd } = loadCase(dataset, one);
      warnings.push(...odd);
      // After the first fault only more faults matter, not their images.
      if (findings.length === 0) cases.push(loaded);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      findings.push(...error.findings);
    }
  });
  if (findings.length > 0) throw new Fault(...findings);
  return { cases, warnings };
}

function isConstant(data: Float32Array): boolean {
  const first = data[0];
  return data.every((value) => value === first);
}

function valueFindings(path: string, volume: Volume): readonly Diagnostic[] {
  let notNumbers = 0;
  let infinite = 0;
  for (const value of volume.data) {
    if (value !== value) notNumbers++;
    else if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) infinite++;
  }
  if (notNumbers + infinite === 0) return [];
  const parts = [...(notNumbers > 0 ? [`${notNumbers} NaN`] : []), ...(infinite > 0 ? [`${infinite} infinite`] : [])];
  return [diagnostic("N1021", `${path} has ${parts.join(" and ")} voxel${notNumbers + infinite === 1 ? "" : "s"}`, {
    facts: ["One such value makes the whole training diverge."],
    hint: "replace them, e.g. by the lowest value of the image, and save it again",
  })];
}

/** What is wrong when two files should lie on the same grid; `role` is what the first is to the other. */
export function gridFindings(path: string, volume: Volume, otherPath: string, other: Volume, role = "image"): readonly Diagnostic[] {
  if (volume.shape.some((n, axis) => n !== other.shape[axis])) {
    return [diagnostic("N1016", `${otherPath} does not have the shape of its ${role}`, {
      facts: [`${otherPath} has ${sizeText(other.shape)} voxels.`, `${path} has ${sizeText(volume.shape)} voxels.`],
      hint: "resample one to the grid of the other",
    })];
  }
  const xyz = (spacing: Triple): string => lengthsText([...spacing].reverse());
  if (volume.spacing.some((step, axis) => Math.abs(step - (other.spacing[axis] ?? 0)) > 1e-3 * step)) {
    return [diagnostic("N1017", `${otherPath} does not have the spacing of its ${role}`, {
      facts: [`${otherPath} has voxels of ${xyz(other.spacing)} mm.`, `${path} has voxels of ${xyz(volume.spacing)} mm.`],
      hint: `resample one to the grid of the other; if only the header is wrong, copy that of the ${role}`,
    })];
  }
  const known = (grid: StoredGrid): boolean => grid.sformCode > 0 || grid.qformCode > 0;
  if (!known(volume.stored) || !known(other.stored)) return [];
  const apart = cornerDistance(volume.affine, other.affine, [volume.shape[2], volume.shape[1], volume.shape[0]]);
  if (apart <= 0.1 * Math.min(...volume.spacing)) return [];
  const origin = (v: Volume): string => lengthsText(locate(v.affine, [0, 0, 0]));
  return [diagnostic("N1018", `${otherPath} does not lie where its ${role} lies`, {
    facts: [`${otherPath} begins at ${origin(other)} mm.`, `${path} begins at ${origin(volume)} mm.`, `Their corners are up to ${apart.toFixed(1)} mm apart.`],
    hint: `resample one to the grid of the other; if only the header is wrong, copy that of the ${role}`,
  })];
}

/** What is wrong with the values of a label map. */
export function labelFindings(path: string, data: Float32Array, classes: readonly string[]): readonly Diagnostic[] {
  const odd = new Map<number, number>();
  for (const value of data) {
    if (value >= 0 && value < classes.length && Number.isInteger(value)) continue;
    if (odd.size < 1000 || odd.has(value)) odd.set(value, (odd.get(value) ?? 0) + 1);
  }
  const broken = [...odd].filter(([value]) => !(Number.isInteger(value) && value >= 0));
  const strange = [...odd].filter(([value]) => Number.isInteger(value) && value >= 0);
  const listed = (values: readonly (readonly [number, number])[]): string =>
    values.slice(0, 5).map(([value, n]) => `${value} (${n} voxel${n === 1 ? "" : "s"})`).join(", ") + (values.length > 5 ? ", …" : "");
  const findings: Diagnostic[] = [];
  if (broken.length > 0) {
    findings.push(diagnostic("N1020", `${path} has labels that are not whole numbers from 0: ${listed(broken)}`, {
      facts: ["A label is the number of a class."],
      hint: "this happens when a label is resampled with interpolation; use nearest neighbour",
    }));
  }
  if (strange.length > 0) {
    findings.push(diagnostic("N1019", `${path} has labels that are not declared: ${listed(strange)}`, {
      facts: [`Declared are ${classes.length > 20 ? `0 to ${classes.length - 1}` : classes.map((name, value) => `${value} ${name}`).join(", ")}.`],
      hint: "declare them under labels in dataset.json, or renumber the label file",
    }));
  }
  return findings;
}

/** The number of voxels of a case. */
export function caseVoxels(one: Case): number {
  return voxels(one.shape);
}
