// The NIfTI-1 and NIfTI-2 headers: the fields that matter, read with suspicion and written plainly.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { columnLengths, cornerDistance, fromQform, isOrthogonal, isUsable, scaling, toQform } from "./geometry.ts";
import type { Qform } from "./geometry.ts";
import type { Affine, StoredGrid, Triple } from "./volume.ts";

/** The longest header that has to be seen before the size of the rest is known. */
export const HEADER_BYTES = 540;

/** The part of a header that says how many values of what kind follow, and where. */
export interface Header {
  readonly version: 1 | 2;
  readonly littleEndian: boolean;
  readonly size: Triple;
  readonly datatype: number;
  readonly offset: number;
  /** Value = slope × stored + intercept; already 1 and 0 where the file asks for none. */
  readonly slope: number;
  readonly intercept: number;
  readonly sform: { readonly code: number; readonly affine: Affine };
  readonly qform: { readonly code: number; readonly affine: Affine };
  readonly pixdim: Triple;
}

type Notes = { warn(code: "W1051" | "W1052", headline: string, facts: readonly string[], hint?: string): void };

/** Reads the header at the start of `bytes`; a `Fault` when this is no NIfTI file or its sizes make no sense. */
export function readHeader(path: string, bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 0) throw notNifti(path, "The file is empty (0 bytes).");
  if (bytes.length < 348) throw notNifti(path, `It has only ${bytes.length} bytes; a header alone takes 348.`);
  for (const littleEndian of [true, false]) {
    const declared = view.getInt32(0, littleEndian);
    if (declared === 348) return readFirst(path, view, littleEndian);
    if (declared === 540) return readSecond(path, view, littleEndian);
  }
  throw notNifti(path, firstBytes(bytes));
}

function notNifti(path: string, fact: string): Fault {
  // What begins as one of the others does not come here.
  const format = /\.nrrd$/i.test(path) ? "a NRRD" : /\.mh[ad]$/i.test(path) ? "a MetaImage" : "a NIfTI";
  return new Fault(diagnostic("N1001", `${path} is not ${format} file`, {
    facts: [fact],
    hint: "give an image, .nii.gz, .nii, .nrrd, .mha or .mhd; export it again if it should be one",
  }));
}

function firstBytes(bytes: Uint8Array): string {
  const head = bytes.subarray(0, 24);
  const isText = head.every((byte) => (byte >= 32 && byte < 127) || byte === 9 || byte === 10 || byte === 13);
  if (isText) return `It begins with the text ${JSON.stringify(new TextDecoder().decode(head))}.`;
  return `It begins with the bytes ${[...head.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}, not with a header size of 348 or 540.`;
}

function magic(view: DataView, at: number): string {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2));
}

function readFirst(path: string, view: DataView, little: boolean): Header {
  const found = magic(view, 344);
  if (found === "ni1") throw notNifti(path, "It is one half of a NIfTI pair (.hdr and .img).");
  if (found !== "n+1") throw notNifti(path, "It has the size of an Analyze 7.5 header but not the mark of NIfTI, so its orientation is unknown.");
  const float = (at: number): number => view.getFloat32(at, little);
  const dim = [...Array(8).keys()].map((n) => view.getInt16(40 + 2 * n, little));
  const srow = (at: number): readonly [number, number, number, number] => [float(at), float(at + 4), float(at + 8), float(at + 12)];
  return assemble(path, {
    version: 1,
    littleEndian: little,
    dim,
    datatype: view.getInt16(70, little),
    offset: float(108),
    slope: float(112),
    intercept: float(116),
    units: view.getUint8(123),
    sformCode: view.getInt16(254, little),
    srows: [srow(280), srow(296), srow(312)],
    qformCode: view.getInt16(252, little),
    qfac: float(76),
    pixdim: [float(80), float(84), float(88)],
    quaternion: [float(256), float(260), float(264)],
    qoffset: [float(268), float(272), float(276)],
  });
}

function readSecond(path: string, view: DataView, little: boolean): Header {
  if (view.byteLength < 540) throw notNifti(path, `It has only ${view.byteLength} bytes; a NIfTI-2 header takes 540.`);
  const found = magic(view, 4);
  if (found === "ni2") throw notNifti(path, "It is one half of a NIfTI-2 pair (.hdr and .img).");
  if (found !== "n+2") throw notNifti(path, "It has the size of a NIfTI-2 header but not its mark.");
  const double = (at: number): number => view.getFloat64(at, little);
  const long = (at: number): number => Number(view.getBigInt64(at, little));
  const srow = (at: number): readonly [number, number, number, number] => [double(at), double(at + 8), double(at + 16), double(at + 24)];
  return assemble(path, {
    version: 2,
    littleEndian: little,
    dim: [...Array(8).keys()].map((n) => long(16 + 8 * n)),
    datatype: view.getInt16(12, little),
    offset: long(168),
    slope: double(176),
    intercept: double(184),
    units: view.getInt32(500, little) & 0xff,
    sformCode: view.getInt32(348, little),
    srows: [srow(400), srow(432), srow(464)],
    qformCode: view.getInt32(344, little),
    qfac: double(104),
    pixdim: [double(112), double(120), double(128)],
    quaternion: [double(352), double(360), double(368)],
    qoffset: [double(376), double(384), double(392)],
  });
}

interface Raw {
  readonly version: 1 | 2;
  readonly littleEndian: boolean;
  readonly dim: readonly number[];
  readonly datatype: number;
  readonly offset: number;
  readonly slope: number;
  readonly intercept: number;
  readonly units: number;
  readonly sformCode: number;
  readonly srows: Affine;
  readonly qformCode: number;
  readonly qfac: number;
  readonly pixdim: Triple;
  readonly quaternion: Triple;
  readonly qoffset: Triple;
}

function assemble(path: string, raw: Raw): Header {
  const least = raw.version === 1 ? 352 : 544;
  const offset = raw.offset === 0 ? least : raw.offset;
  if (!Number.isInteger(offset) || offset < 0) {
    throw new Fault(diagnostic("N1003", `${path} says its data begin at byte ${raw.offset}`, { facts: ["The header is damaged."], hint: "export the image again" }));
  }
  // Lengths may be in metres or micrometres; unknown means millimetres, as everywhere.
  const unit = (raw.units & 7) === 1 ? 1000 : (raw.units & 7) === 3 ? 0.001 : 1;
  const inMillimetres = (affine: Affine): Affine => {
    const row = (r: 0 | 1 | 2): Affine[0] => [affine[r][0] * unit, affine[r][1] * unit, affine[r][2] * unit, affine[r][3] * unit];
    return [row(0), row(1), row(2)];
  };
  const spacing: Triple = [Math.abs(raw.pixdim[0]), Math.abs(raw.pixdim[1]), Math.abs(raw.pixdim[2])];
  const [b, c, d] = raw.quaternion;
  const qform: Qform = { b, c, d, offset: raw.qoffset, handed: raw.qfac < 0 ? -1 : 1, spacing };
  const scaled = Number.isFinite(raw.slope) && raw.slope !== 0;
  return {
    version: raw.version,
    littleEndian: raw.littleEndian,
    size: checkedSize(path, raw.dim),
    datatype: raw.datatype,
    offset,
    slope: scaled ? raw.slope : 1,
    intercept: scaled && Number.isFinite(raw.intercept) ? raw.intercept : 0,
    sform: { code: raw.sformCode, affine: inMillimetres(raw.srows) },
    qform: { code: raw.qformCode, affine: inMillimetres(fromQform(qform)) },
    pixdim: [spacing[0] * unit, spacing[1] * unit, spacing[2] * unit],
  };
}

function checkedSize(path: string, dim: readonly number[]): Triple {
  const rank = dim[0] ?? 0;
  const damaged = (what: string): Fault =>
    new Fault(diagnostic("N1003", `${path} ${what}`, { facts: [`Its header has dim = [${dim.join(", ")}].`], hint: "the header is damaged; export the image again" }));
  if (rank < 1 || rank > 7) throw damaged(`claims to have ${rank} axes`);
  const at = (n: number): number => (n <= rank ? (dim[n] ?? 1) : 1);
  for (let n = 1; n <= rank; n++) if (at(n) < 1) throw damaged(`claims to have ${at(n)} voxels along axis ${n}`);
  const volumes = at(4) * at(5) * at(6) * at(7);
  if (volumes !== 1) {
    throw new Fault(diagnostic("N1005", `${path} holds ${volumes} volumes, one was expected`, {
      facts: [`Its header has dim = [${dim.join(", ")}].`],
      hint: "give one file per channel, named CASE_0000.nii.gz, CASE_0001.nii.gz and so on",
    }));
  }
  return [at(1), at(2), at(3)];
}

/** The affine that holds: sform before qform before bare spacings, with what there is to warn about. */
export function chooseAffine(path: string, header: Header, notes: Notes): { readonly affine: Affine; readonly sformCode: number; readonly qformCode: number } {
  const { sform, qform, size } = header;
  const sformHolds = sform.code > 0 && isUsable(sform.affine);
  const qformHolds = qform.code > 0 && isUsable(qform.affine);
  if (sformHolds) {
    const apart = qformHolds ? cornerDistance(sform.affine, qform.affine, size) : 0;
    if (apart > 0.5 * Math.min(...columnLengths(sform.affine))) {
      notes.warn("W1052", `${path} gives two positions for its voxels`, [`Its sform and qform disagree by up to ${apart.toFixed(2)} mm; the sform is used, as the standard says.`]);
    }
    return { affine: sform.affine, sformCode: sform.code, qformCode: qformHolds ? qform.code : 0 };
  }
  if (qformHolds) return { affine: qform.affine, sformCode: 0, qformCode: qform.code };
  const whole = header.pixdim.every((step) => Number.isFinite(step) && step > 0);
  const spacing: Triple = whole ? header.pixdim : [1, 1, 1];
  notes.warn("W1051", `${path} does not say how it is oriented`, [
    sform.code > 0 || qform.code > 0 ? "Its sform or qform is not a usable matrix." : "Both its sform and its qform code are 0.",
    `Its axes are taken as right, front, up${whole ? "" : " and its voxels as 1 mm, for it gives no spacing either"}.`,
  ], "left and right may be swapped; export the image again with its orientation");
  return { affine: scaling(spacing), sformCode: 0, qformCode: 0 };
}

/** A header (with the four bytes after it) for one volume of `datatype` on `grid`; data follow directly. */
export function writeHeader(grid: StoredGrid, datatype: number, bits: number): Uint8Array {
  const second = grid.version === 2 || grid.size.some((n) => n > 32767);
  const bytes = new Uint8Array(second ? 544 : 352);
  const view = new DataView(bytes.buffer);
  const known = grid.sformCode > 0 || grid.qformCode > 0;
  const code = grid.sformCode || grid.qformCode;
  // A rotation cannot hold shear, so such a grid has only its sform.
  const qformCode = known && isOrthogonal(grid.affine) ? grid.qformCode || code : 0;
  const turn = toQform(grid.affine);
  const turnNumbers = qformCode > 0 ? [turn.b, turn.c, turn.d, ...turn.offset] : [0, 0, 0, 0, 0, 0];
  const dim = [3, ...grid.size, 1, 1, 1, 1];
  const pixdim = [turn.handed, ...columnLengths(grid.affine), 1, 1, 1, 1];
  const srows = known ? grid.affine.flat() : Array<number>(12).fill(0);
  const text = (at: number, letters: string): void => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  const double = (at: number, numbers: readonly number[]): void => numbers.forEach((number, n) => view.setFloat64(at + 8 * n, number, true));
  const float = (at: number, numbers: readonly number[]): void => numbers.forEach((number, n) => view.setFloat32(at + 4 * n, number, true));
  if (second) {
    view.setInt32(0, 540, true);
    text(4, "n+2\0\r\n\x1a\n");
    view.setInt16(12, datatype, true);
    view.setInt16(14, bits, true);
    dim.forEach((n, at) => view.setBigInt64(16 + 8 * at, BigInt(n), true));
    double(104, pixdim);
    view.setBigInt64(168, 544n, true);
    double(176, [1, 0]);
    view.setInt32(344, qformCode, true);
    view.setInt32(348, known ? code : 0, true);
    double(352, turnNumbers);
    double(400, srows);
    view.setInt32(500, 2, true);
  } else {
    view.setInt32(0, 348, true);
    view.setUint8(38, 114);
    dim.forEach((n, at) => view.setInt16(40 + 2 * at, n, true));
    view.setInt16(70, datatype, true);
    view.setInt16(72, bits, true);
    float(76, pixdim);
    float(108, [352, 1, 0]);
    view.setUint8(123, 2);
    view.setInt16(252, qformCode, true);
    view.setInt16(254, known ? code : 0, true);
    float(256, turnNumbers);
    float(280, srows);
    text(344, "n+1\0");
  }
  return bytes;
}
