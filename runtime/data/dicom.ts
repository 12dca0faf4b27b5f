// DICOM series, through a package that need not be installed: all slices of a folder as one volume.

import { readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { readBytes } from "../files.ts";
import { isDicom, sliceTags, type SliceTags } from "./dicom-tags.ts";
import { decodeRaw } from "./raw.ts";
import type { ReadVolume } from "./nifti.ts";
import type { Triple } from "./volume.ts";

/** The package that unpacks pixels, compressed ones too. */
export const DICOM_PACKAGE = "@itk-wasm/dicom";

/** What is used of the package. */
interface Reader {
  readonly readImageDicomFileSeriesNode: (options: { readonly inputImages: readonly string[]; readonly singleSortedSeries: boolean }) => Promise<{
    readonly outputImage: { readonly size: readonly number[]; readonly spacing: readonly number[]; readonly origin: readonly number[]; readonly direction: ArrayLike<number>; readonly data: ArrayLike<number> };
  }>;
}

/** Loads the package; N1022 where it is not installed. */
export async function dicomReader(name: string = DICOM_PACKAGE): Promise<Reader> {
  try {
    const loaded: unknown = await import(name);
    return loaded as Reader;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    throw new Fault(diagnostic("N1022", "DICOM series need a package that is not installed", {
      facts: [`It is ${name}.`], hint: `\`npm install ${name}\`; or convert the series with dcm2niix: \`dcm2niix -z y -f CASE_0000 -o OUT FOLDER\``,
    }));
  }
}

/** The volume of the one series in a folder; a `Fault` where there are several, slices are missing, or none is DICOM. */
export async function readSeries(folder: string, load: () => Promise<Reader> = dicomReader): Promise<ReadVolume> {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new Fault(diagnostic("N1006", `cannot read ${folder}`, { facts: ["It is not a folder."], hint: "give the folder that holds the slices" }));
  }
  const slices = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => resolve(join(folder, name))).sort().flatMap((path) => {
    const bytes = readBytes(path);
    return isDicom(bytes) ? [{ path, tags: sliceTags(bytes) }] : [];
  });
  if (slices.length === 0) throw wrong(folder, "holds no DICOM files", ["No file there has the mark DICM."], "give the folder that holds the slices themselves");
  demandOneSeries(folder, slices.map(({ tags }) => tags));
  const reader = await load();
  const { outputImage: { size, spacing, origin, direction, data } } = await readPixels(reader, folder, slices.map(({ path }) => path));
  const [i = 1, j = 1, k = 1] = size;
  // Columns of the matrix are the axes, to the left, the back and up.
  const step = (axis: 0 | 1 | 2): Triple => {
    const length = spacing[axis] ?? 1;
    return [-(direction[axis] ?? 0) * length, -(direction[3 + axis] ?? 0) * length, (direction[6 + axis] ?? 0) * length];
  };
  const values = Float32Array.from(data);
  return decodeRaw(folder, {
    kind: { name: "float32", bytes: 4, numbers: () => values }, size: [i, j, k], steps: [step(0), step(1), step(2)],
    origin: [-(origin[0] ?? 0), -(origin[1] ?? 0), origin[2] ?? 0], oriented: true, littleEndian: true, bytes: new Uint8Array(values.buffer),
  });
}

async function readPixels(reader: Reader, folder: string, paths: readonly string[]) {
  try {
    return await reader.readImageDicomFileSeriesNode({ inputImages: paths, singleSortedSeries: false });
  } catch (error) {
    // It throws numbers too.
    throw wrong(folder, "cannot be read", [`The DICOM reader gave up${error instanceof Error && error.message !== "" ? `: ${error.message.split("\n")[0]}` : ""}.`], "try dcm2niix, which knows more odd files");
  }
}

function wrong(folder: string, what: string, facts: readonly string[], hint: string): Fault {
  return new Fault(diagnostic("N1025", `${folder} ${what}`, { facts, hint }));
}

/** Slices may stand this far from where they should, as a share of their distance. */
const TOLERANCE = 0.02;

/** The reader puts whatever it is given into one volume, so what does not belong together is refused before. */
function demandOneSeries(folder: string, slices: readonly SliceTags[]): void {
  const series = new Map<string, number>();
  for (const { series: id = "(none)" } of slices) series.set(id, (series.get(id) ?? 0) + 1);
  if (series.size > 1) {
    throw wrong(folder, `holds ${series.size} series`, [`They have ${[...series.values()].slice(0, 5).join(", ")}${series.size > 5 ? ", …" : ""} slices.`], "move each series into a folder of its own");
  }
  const ways = new Set(slices.map(({ orientation }) => orientation?.map((n) => n.toFixed(3)).join()));
  if (ways.size > 1) throw wrong(folder, "holds slices that are not parallel", [`${ways.size} orientations were found, as in a localizer.`], "keep the slices of one orientation");
  const [first] = slices;
  const o = first?.orientation;
  if (o === undefined || o.length !== 6 || slices.some(({ position }) => position?.length !== 3)) return;
  const at = (n: number): number => o[n] ?? 0;
  const normal = [at(1) * at(5) - at(2) * at(4), at(2) * at(3) - at(0) * at(5), at(0) * at(4) - at(1) * at(3)];
  const heights = slices.map(({ position }) => normal.reduce((sum, n, axis) => sum + n * (position?.[axis] ?? 0), 0)).sort((a, b) => a - b);
  const gaps = heights.slice(1).map((height, n) => height - (heights[n] ?? 0));
  const usual = [...gaps].sort((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0;
  const odd = gaps.findIndex((gap) => Math.abs(gap - usual) > TOLERANCE * usual);
  if (odd < 0) return;
  throw wrong(folder, usual === 0 || gaps[odd] === 0 ? "has several slices at one place" : "lacks slices", [
    `${slices.length} slices lie ${usual.toFixed(2)} mm apart, but ${(gaps[odd] ?? 0).toFixed(2)} mm at slice ${odd + 2}.`,
  ], "copy the series again; series over time need a folder for each time");
}
