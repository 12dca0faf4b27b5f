// Prediction in stages with stand-ins for networks that know the answer: what they say must come back to where it was.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { locate, nearestAxes } from "../../runtime/data/geometry.ts";
import { readVolume } from "../../runtime/data/image.ts";
import { encodeImage } from "../../runtime/data/nifti.ts";
import { cubeOf } from "../../runtime/data/samples.ts";
import { turnedShape, turnVoxels } from "../../runtime/data/voxels.ts";
import { unravel, voxels, type Affine, type StoredGrid, type Triple } from "../../runtime/data/volume.ts";
import type { Predictor } from "../../runtime/infer/case-slices.ts";
import { cubeSlices, type CubeOptions } from "../../runtime/infer/cube.ts";
import { Engine } from "../../runtime/infer/engine.ts";
import { predictCases, type Request } from "../../runtime/infer/predict.ts";
import { labelsFrom } from "../../runtime/infer/slices.ts";
import type { RunWindows } from "../../runtime/infer/window.ts";
import type { Session } from "../../runtime/session.ts";

/** Slices of 3 mm, rows of 1 mm, columns of 1.5 mm. */
const shape: Triple = [20, 70, 48];
const spacing: Triple = [3, 1, 1.5];

/** An ellipsoid in millimetres that lies across all axes, about `centre`. */
function ellipsoid(centre: Triple): Uint8Array {
  const axes = [[0.6, 0.64, 0.48, 18], [-0.8, 0.48, 0.36, 9], [0, -0.6, 0.8, 7]] as const;
  return Uint8Array.from({ length: voxels(shape) }, (_, n) => {
    const away = unravel(n, shape).map((at, axis) => (at - (centre[axis] ?? 0)) * (spacing[axis] ?? 1));
    return axes.reduce((sum, [a, b, c, radius]) => sum + ((a * (away[0] ?? 0) + b * (away[1] ?? 0) + c * (away[2] ?? 0)) / radius) ** 2, 0) <= 1 ? 1 : 0;
  });
}

function dice(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [both, all] = [0, 0];
  for (let n = 0; n < a.length; n++) {
    const [p, q] = [(a[n] ?? 0) > 0 ? 1 : 0, (b[n] ?? 0) > 0 ? 1 : 0];
    both += 2 * p * q;
    all += p + q;
  }
  return both / all;
}

function centroid(mask: ArrayLike<number>): Triple {
  const sum = [0, 0, 0];
  let count = 0;
  for (let n = 0; n < mask.length; n++) {
    if ((mask[n] ?? 0) === 0) continue;
    unravel(n, shape).forEach((at, axis) => { sum[axis] = (sum[axis] ?? 0) + at; });
    count++;
  }
  return [(sum[0] ?? 0) / count, (sum[1] ?? 0) / count, (sum[2] ?? 0) / count];
}

/** The mask moved by voxels along each axis. */
function moved(mask: Uint8Array, by: Triple): Uint8Array {
  return mask.map((_, n) => {
    const [z, y, x] = unravel(n, shape);
    const [a, b, c] = [z - by[0], y - by[1], x - by[2]];
    return a < 0 || b < 0 || c < 0 || a >= shape[0] || b >= shape[1] || c >= shape[2] ? 0 : (mask[(a * shape[1] + b) * shape[2] + c] ?? 0);
  });
}

const patch: Triple = [32, 40, 36];
const inBox = { patch, batch: 1, channels: 1, mirror: [], spacing, click: undefined };
const predictCube = (image: Float32Array, size: Triple, box: Parameters<typeof cubeSlices>[2], options: CubeOptions, run: RunWindows): Promise<Uint8Array> =>
  labelsFrom(cubeSlices(image, size, box, options, run), size, options.classes);
const sure = (value: number): number => 1 / (1 + Math.exp(-(value - 0.5) * 40));

describe("a cube", () => {
  it.each<Triple>([[10, 34, 24], [4, 60, 8], [17, 10, 44]])("around %j comes back to the voxel", async (...centre) => {
    const mask = ellipsoid(centre);
    const box = cubeOf(mask, shape, spacing, { factor: 1.5, least: 32 });
    if (box === undefined) throw new Error("no cube");
    const back = await predictCube(Float32Array.from(mask), shape, box, { ...inBox, classes: 2, outputs: 1 }, async (input) => input.map(sure));
    expect(dice(back, mask)).toBeGreaterThan(0.93);
    // Off by a voxel along any axis would be seen.
    for (const by of [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]] as const) expect(dice(moved(mask, by), back)).toBeLessThan(dice(mask, back) - 0.02);
    centroid(back).forEach((at, axis) => expect(Math.abs(at - (centroid(mask)[axis] ?? 0))).toBeLessThan(0.25));
  });

  it("gives competing classes by their softmax, and background outside", async () => {
    const mask = ellipsoid([10, 34, 24]);
    const values = Float32Array.from(mask, (value, n) => (value === 0 ? 0 : (n % shape[2]) < 24 ? 1 : 2));
    const box = { start: [3, 12, 9] as Triple, size: [14, 44, 30] as Triple };
    const back = await predictCube(values, shape, box, { ...inBox, classes: 3, outputs: 3 }, async (input) => {
      const out = new Float32Array(3 * input.length);
      input.forEach((value, n) => { out[(value < 0.5 ? 0 : value < 1.5 ? 1 : 2) * input.length + n] = 1; });
      return out;
    });
    let wrong = 0;
    values.forEach((value, n) => { wrong += value > 0 && back[n] !== value ? 1 : 0; });
    expect(wrong / mask.reduce((sum: number, value) => sum + value, 0)).toBeLessThan(0.12);
    back.forEach((value, n) => {
      const inside = unravel(n, shape).every((at, axis) => at >= (box.start[axis] ?? 0) && at < (box.start[axis] ?? 0) + (box.size[axis] ?? 0));
      if (!inside) expect(value).toBe(0);
    });
  });

  it("shows the click where it was, in the cube's own millimetres", async () => {
    const box = { start: [-2, 10, 5] as Triple, size: [16, 20, 12] as Triple };
    const size = voxels(patch);
    let map = new Float32Array();
    await predictCube(new Float32Array(voxels(shape)), shape, box, { ...inBox, classes: 2, outputs: 1, click: [3, 25, 7] }, async (input) => {
      map = input.slice(size, 2 * size);
      return new Float32Array(size);
    });
    const at = unravel(map.indexOf(Math.min(...map)), patch);
    // Centre of the clicked voxel, as a share of the box.
    [5.5 / 16, 15.5 / 20, 2.5 / 12].forEach((share, axis) => expect(Math.abs((at[axis] ?? 0) + 0.5 - share * (patch[axis] ?? 0))).toBeLessThanOrEqual(0.5));
    const far = map.indexOf(Math.max(...map));
    const mm = unravel(far, patch).map((n, axis) => ((n + 0.5) / (patch[axis] ?? 1)) * (box.size[axis] ?? 0) * (spacing[axis] ?? 0));
    const clicked = [5.5 * 3, 15.5 * 1, 2.5 * 1.5];
    const wanted = Math.hypot(...mm.map((n, axis) => n - (clicked[axis] ?? 0)));
    const corner = Math.hypot(...[0, 1, 2].map((axis) => (0.5 / (patch[axis] ?? 1)) * (box.size[axis] ?? 0) * (spacing[axis] ?? 0) - (clicked[axis] ?? 0)));
    expect((map[0] ?? 0) / (map[far] ?? 1)).toBeCloseTo(corner / wanted, 5);
  });
});

/** A stand-in for a session: what `answer` makes of the input [1, C, …]. */
function standIn(channels: number, size: Triple, answer: (input: Float32Array) => Float32Array): Pick<Predictor, "run" | "outputs" | "window" | "batch"> {
  let input = new Float32Array();
  const session = {
    plan: { inputs: [{ name: "image", shape: [1, channels, ...size] }] },
    write: (_: string, data: Float32Array) => { input = data.slice(); },
    run: async () => undefined,
    read: async () => answer(input),
  };
  const engine = new Engine(session as unknown as Session, { name: "logits", shape: [1, 1, ...size] } as unknown as ConstructorParameters<typeof Engine>[1]);
  return { run: engine.runner(() => undefined), outputs: engine.outputs, window: size, batch: 1 };
}

describe("two stages on a file", () => {
  // Stored as columns, slices, rows; two of them backwards, and turned by a few degrees.
  const turn = Math.PI / 20;
  const affine: Affine = [
    [-1.5 * Math.cos(turn), 0, -Math.sin(turn), 30], [1.5 * -Math.sin(turn), 0, Math.cos(turn), -12], [0, -3, 0, 99],
  ];
  const grid: StoredGrid = { size: [48, 20, 70], affine, sources: nearestAxes(affine), sformCode: 1, qformCode: 0, version: 1 };
  const [one, other] = [ellipsoid([6, 18, 14]), ellipsoid([14, 52, 35])];
  const image = Float32Array.from(one, (value, n) => Math.max(value, other[n] ?? 0));
  const channel = { name: "noNorm", scheme: "none", mean: 0, deviation: 1, low: 0, high: 1 } as const;
  const common = { channels: ["noNorm"], classes: ["background", "blob"], fingerprint: { channels: [channel], spacing, shape }, overlap: 0.5, blend: "gaussian", mirror: [] } as const;
  const seen: number[] = [];
  // Knows what is bright, and takes what is near the click.
  const coarse: Predictor = { ...common, ...standIn(2, shape, (input) => input.slice(0, voxels(shape)).map((value, n) => (value > 0.5 && (input[voxels(shape) + n] ?? 1) < 0.4 ? 1 : 0))), samples: { guide: true, target: 4 }, coarse: undefined };
  const fine: Predictor = { ...common, ...standIn(1, patch, (input) => { seen.push(input.length); return input.map(sure); }), samples: { crop: { factor: 1.5, least: 32 }, target: 4 }, coarse };
  const hooks = { progress: () => undefined, written: () => undefined };
  const into = (out: string) => ({ folder: out, probabilities: false, largest: [] });

  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "netc-stages-"));
    writeFileSync(join(folder, "a_0000.nii"), encodeImage(image, grid, false));
    writeFileSync(join(folder, "dark_0000.nii"), encodeImage(new Float32Array(image.length).fill(0.1).fill(0, 5), grid, false));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const request = (name: string, click: Request["click"]): Request => ({ name, images: [join(folder, `${name}_0000.nii`)], label: undefined, output: `${name}.nii`, click });

  it("the grid is one that the test is about", () => {
    expect(turnedShape(grid)).toEqual(shape);
    expect(grid.sources.map(({ axis, flipped }) => `${axis}${flipped}`)).toEqual(["0true", "2false", "1true"]);
  });

  // Where voxel z, y, x of the turned volume is in the file: x and z run backwards there.
  const stored = ([z, y, x]: Triple): Triple => [48 - 1 - x, 20 - 1 - z, y];

  it.each([
    { what: "a click in voxels", mask: one, centre: [6, 18, 14] as Triple, unit: "voxel" as const },
    { what: "a click in mm", mask: other, centre: [14, 52, 35] as Triple, unit: "mm" as const },
  ])("label what $what points at, where it is in the file", async ({ mask, centre, unit }) => {
    seen.length = 0;
    const at = unit === "voxel" ? stored(centre) : locate(affine, stored(centre));
    const out = join(folder, unit);
    const { errors } = await predictCases([fine], [request("a", { unit, at, from: "test" })], into(out), hooks);
    expect(errors).toEqual([]);
    expect(seen).toEqual([voxels(patch)]);
    const { volume } = readVolume(join(out, "a.nii"));
    expect(volume.stored.size).toEqual(grid.size);
    volume.stored.affine.flat().forEach((value, n) => expect(value).toBeCloseTo(affine.flat()[n] ?? NaN, 4));
    expect(dice(volume.data, mask)).toBeGreaterThan(0.9);
    expect(new Set(volume.data)).toEqual(new Set([0, 4]));
    // The file's own order, read without any turning.
    const plain = { size: grid.size, sources: [0, 1, 2].map((axis) => ({ axis, flipped: false })) as unknown as StoredGrid["sources"] };
    const [k, j, i] = [stored(centre)[2], stored(centre)[1], stored(centre)[0]];
    const inFile = turnVoxels(fileOrder(volume.data, grid), plain, 1, 0);
    expect(inFile[(k * 20 + j) * 48 + i]).toBe(4);
  });

  it("say when the first finds nothing, or the click lies outside, and go on with the others", async () => {
    const out = join(folder, "some");
    const good = stored([6, 18, 14]);
    const { errors } = await predictCases([fine], [
      request("dark", { unit: "voxel", at: good, from: "test" }), request("a", { unit: "voxel", at: [48, 0, 0], from: "test" }), request("a", { unit: "voxel", at: good, from: "test" }),
    ], into(out), hooks);
    expect(errors.map(({ code, headline }) => `${code} ${headline}`)).toEqual(["N1085 the coarse network finds nothing in dark", "N1082 the click of a lies outside its image"]);
    expect(dice(readVolume(join(out, "a.nii")).volume.data, one)).toBeGreaterThan(0.9);
  });
});

/** Values of the turned volume in the order of the file, voxel by voxel. */
function fileOrder(data: Float32Array, { size, sources }: StoredGrid): Float32Array {
  const [, height, width] = turnedShape({ size, sources });
  return Float32Array.from({ length: data.length }, (_, n) => {
    const ijk = [n % size[0], Math.floor(n / size[0]) % size[1], Math.floor(n / (size[0] * size[1]))];
    const [x = 0, y = 0, z = 0] = sources.map(({ axis, flipped }) => (flipped ? (size[axis] ?? 0) - 1 - (ijk[axis] ?? 0) : (ijk[axis] ?? 0)));
    return data[(z * height + y) * width + x] ?? 0;
  });
}
