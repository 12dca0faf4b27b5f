// Predictions slice by slice: means, parts of a volume, other grids; and the file that numpy reads.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resizeBox } from "../../runtime/data/resize.ts";
import { backwards, regrid, resampleLinear } from "../../runtime/data/resample.ts";
import { voxels, type StoredGrid, type Triple } from "../../runtime/data/volume.ts";
import { Probabilities } from "../../runtime/infer/npz.ts";
import { averaged, labelsFrom, placed, resized, slicesOf, type Slices } from "../../runtime/infer/slices.ts";
import { readNpz } from "./npz.ts";

/** Two classes that add up to one, float32 values so that other ways of resampling see the same. */
function shares(shape: Triple, phase = 0): Float64Array {
  const size = voxels(shape);
  const first = Float64Array.from({ length: size }, (_, n) => Math.fround(0.5 + 0.4 * Math.sin(n * 1.3 + phase)));
  return Float64Array.from({ length: 2 * size }, (_, n) => (n < size ? (first[n] ?? 0) : 1 - (first[n - size] ?? 0)));
}

/** [K, D, H, W]. */
async function whole(slices: Slices, shape: Triple, classes = 2): Promise<Float64Array> {
  const out = new Float64Array(classes * voxels(shape));
  const plane = shape[1] * shape[2];
  let z = 0;
  for await (const slice of slices) {
    for (let k = 0; k < classes; k++) out.set(slice.subarray(k * plane, (k + 1) * plane), (k * shape[0] + z) * plane);
    z++;
  }
  expect(z).toBe(shape[0]);
  return out;
}

const shape: Triple = [4, 3, 5];

describe("slices", () => {
  it("of what is all there", async () => expect(await whole(slicesOf(shares(shape), shape, 2), shape)).toEqual(shares(shape)));

  it("are averaged place by place", async () => {
    const all = [shares(shape, 0), shares(shape, 1), shares(shape, 2)];
    const mean = await whole(averaged(all.map((one) => slicesOf(one, shape, 2))), shape);
    mean.forEach((value, n) => expect(value).toBeCloseTo(all.reduce((sum, one) => sum + (one[n] ?? 0), 0) / 3, 12));
  });

  it("are decided: the first of equals wins", async () => {
    const labels = await labelsFrom(slicesOf(Float64Array.of(0.5, 0.4, 0.1, 0.5, 0.6, 0.9), [3, 1, 1], 2), [3, 1, 1], 2);
    expect([...labels]).toEqual([0, 1, 1]);
  });

  it.each<[Triple, Triple]>([[[4, 3, 5], [9, 3, 11]], [[9, 8, 11], [4, 3, 5]], [[1, 4, 1], [3, 2, 4]], [[3, 3, 3], [3, 3, 3]]])("from %j to %j are resized as whole volumes are", async (from, to) => {
    const ours = await whole(resized(slicesOf(shares(from), from, 2), { from, to, apart: undefined }, 2), to);
    for (let k = 0; k < 2; k++) {
      const wanted = new Float32Array(voxels(to));
      const volume = Float32Array.from(shares(from).subarray(k * voxels(from), (k + 1) * voxels(from)));
      resizeBox(volume, from, { start: [0, 0, 0], size: from }, to, "linear", wanted);
      wanted.forEach((value, n) => expect(ours[k * wanted.length + n]).toBeCloseTo(value, 5));
    }
  });

  it.each([0, 1, 2] as const)("with thick slices along axis %i come back from another spacing as images do", async (axis) => {
    const spacing: Triple = [axis === 0 ? 5 : 1, axis === 1 ? 5 : 1, axis === 2 ? 5 : 1];
    const way = backwards(regrid(shape, spacing, [1.4, 1.4, 1.4]));
    expect(way.apart).toBe(axis);
    const ours = await whole(resized(slicesOf(shares(way.from), way.from, 2), way, 2), shape);
    const wanted = resampleLinear(Float32Array.from(shares(way.from).subarray(0, voxels(way.from))), way);
    wanted.forEach((value, n) => expect(ours[n]).toBeCloseTo(value, 5));
  });

  it.each([{ start: [1, 2, 0] as Triple, size: [2, 4, 3] as Triple }, { start: [-2, -1, 2] as Triple, size: [9, 3, 9] as Triple }, { start: [3, 0, -2] as Triple, size: [4, 6, 4] as Triple }, { start: [0, 0, 9] as Triple, size: [4, 6, 4] as Triple }])(
    "of the part at $start of $size lie in it, all else is background", async (box) => {
      const volume: Triple = [4, 6, 5];
      const part = shares(box.size);
      const out = await whole(placed(slicesOf(part, box.size, 2), box, volume, 2), volume);
      for (let z = 0; z < 4; z++) for (let y = 0; y < 6; y++) for (let x = 0; x < 5; x++) {
        const [a, b, c] = [z - box.start[0], y - box.start[1], x - box.start[2]];
        const inside = a >= 0 && b >= 0 && c >= 0 && a < box.size[0] && b < box.size[1] && c < box.size[2];
        const at = (z * 6 + y) * 5 + x;
        for (let k = 0; k < 2; k++) expect(out[k * 120 + at]).toBe(inside ? part[k * voxels(box.size) + (a * box.size[1] + b) * box.size[2] + c] : 1 - k);
      }
    });
});

describe("probabilities on disk", () => {
  let folder: string;
  beforeAll(() => { folder = mkdtempSync(join(tmpdir(), "netc-npz-")); });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const plain: StoredGrid = {
    size: [5, 3, 4], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], sources: [{ axis: 0, flipped: false }, { axis: 1, flipped: false }, { axis: 2, flipped: false }], sformCode: 1, qformCode: 0, version: 1,
  };
  const turned: StoredGrid = { ...plain, size: [4, 5, 3], sources: [{ axis: 1, flipped: true }, { axis: 2, flipped: false }, { axis: 0, flipped: true }] };

  it.each([{ what: "as it is", grid: plain }, { what: "turned", grid: turned }])("are an array of numpy, on the stored grid $what", async ({ what, grid }) => {
    const path = join(folder, `${what}.npz`);
    const file = new Probabilities(path, grid, 2);
    const all = shares(shape);
    let z = 0;
    for await (const slice of slicesOf(all, shape, 2)) file.put(slice, z++);
    expect(readdirSync(folder)).not.toContain(`${what}.npz`);
    await file.finish();
    const { name, header, values } = readNpz(path);
    expect(name).toBe("probabilities.npy");
    const [width, height, depth] = grid.size;
    expect(header).toBe(`{'descr': '<f4', 'fortran_order': False, 'shape': (2, ${depth}, ${height}, ${width}), }`);
    expect(values).toHaveLength(120);
    for (let k = 0; k < 2; k++) for (let d = 0; d < 4; d++) for (let h = 0; h < 3; h++) for (let w = 0; w < 5; w++) {
      const ijk = [0, 0, 0];
      [w, h, d].forEach((n, axis) => {
        const source = grid.sources[axis];
        if (source !== undefined) ijk[source.axis] = source.flipped ? (grid.size[source.axis] ?? 0) - 1 - n : n;
      });
      const [i = 0, j = 0, l = 0] = ijk;
      expect(values[((k * depth + l) * height + j) * width + i]).toBe(Math.fround(all[k * 60 + (d * 3 + h) * 5 + w] ?? NaN));
    }
  });

  it("leave nothing behind when they are given up, and say where they cannot be written", async () => {
    const before = readdirSync(folder);
    const file = new Probabilities(join(folder, "gone.npz"), plain, 2);
    file.put(new Float64Array(30), 0);
    file.discard();
    expect(readdirSync(folder)).toEqual(before);
    writeFileSync(join(folder, "file"), "");
    expect(() => new Probabilities(join(folder, "file", "a.npz"), plain, 2)).toThrow(/cannot write .*a\.npz/);
  });
});
