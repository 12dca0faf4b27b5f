// Image files of every format that is read: told apart by their content, and label maps written in the format their name asks for.

import { statSync } from "node:fs";
import { basename } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { readBytes, writeAtomic } from "../files.ts";
import { isDicom } from "./dicom-tags.ts";
import { decodeMetaImage, encodeMetaImage, isMetaImage } from "./meta-image.ts";
import { decodeNifti, encodeImage, encodeLabels } from "./nifti.ts";
import type { ReadVolume } from "./nifti.ts";
import { decodeNrrd, encodeNrrd, isNrrd } from "./nrrd.ts";
import type { StoredGrid } from "./volume.ts";

/** How names of image files end, in nnU-Net's words for `file_ending`. */
export const endings = [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"] as const;

/** The ending of an image's name; undefined where it is none that is known. */
export function endingOf(path: string): string | undefined {
  const name = path.toLowerCase();
  const ending = endings.find((one) => name.endsWith(one));
  return ending === undefined ? undefined : path.slice(-ending.length);
}

/** Reads an image file; a `Fault` when it is none, is damaged, or is not one grey-value volume. */
export function readVolume(path: string): ReadVolume {
  if (isFolder(path)) throw dicom(path, "It is a folder, as DICOM series are.");
  return decodeVolume(path, readBytes(path));
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** As `readVolume`, from bytes; `path` is for messages, and to find what a header says lies beside it. */
export function decodeVolume(path: string, bytes: Uint8Array): ReadVolume {
  if (isNrrd(bytes)) return decodeNrrd(path, bytes);
  if (isMetaImage(bytes)) return decodeMetaImage(path, bytes);
  if (isDicom(bytes)) throw dicom(path, "It is one slice of a DICOM series.");
  return decodeNifti(path, bytes);
}

function dicom(path: string, fact: string): Fault {
  return new Fault(diagnostic("N1022", `${path} is not read: DICOM`, {
    facts: [fact, "netc reads NIfTI, NRRD and MetaImage files."],
    hint: "convert the series first: `netc data convert FOLDER -o CASE_0000.nii.gz`, or with dcm2niix",
  }));
}

/**
 * Writes a label map with the grid, orientation and affine of the file it was made for, in the format that `path` ends with; as
 * uint8, or as uint16 where a label is 255 or more, as nnU-Net does.
 */
export function writeLabels(path: string, labels: Uint8Array | Uint16Array, grid: StoredGrid): void {
  write(path, labels.some((label) => label >= 255) ? Uint16Array.from(labels) : Uint8Array.from(labels), grid);
}

/** As `writeLabels`, an image of 32-bit floats. */
export function writeImage(path: string, values: Float32Array, grid: StoredGrid): void {
  write(path, values, grid);
}

function write(path: string, values: Uint8Array | Uint16Array | Float32Array, grid: StoredGrid): void {
  switch (endingOf(path)?.toLowerCase()) {
    case ".nrrd":
      writeAtomic(path, encodeNrrd(values, grid));
      return;
    case ".mha": {
      const { header, voxels } = encodeMetaImage(values, grid);
      writeAtomic(path, Buffer.concat([header, voxels]));
      return;
    }
    case ".mhd": {
      const beside = path.replace(/\.mhd$/i, ".zraw");
      const { header, voxels } = encodeMetaImage(values, grid, basename(beside));
      // The header last: without it there is no image yet.
      writeAtomic(beside, voxels);
      writeAtomic(path, header);
      return;
    }
    default: {
      const compress = path.toLowerCase().endsWith(".gz");
      writeAtomic(path, values instanceof Float32Array ? encodeImage(values, grid, compress) : encodeLabels(values, grid, compress));
    }
  }
}
