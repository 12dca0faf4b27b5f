// Clicks: the map that a network sees, and where a place read off a viewer lies in the turned volume.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { clickMap, locateClick } from "../../runtime/data/click.ts";
import { locate, nearestAxes, voxelAt } from "../../runtime/data/geometry.ts";
import { turnVoxels, turnedShape } from "../../runtime/data/voxels.ts";
import { unravel, voxels, type Affine, type StoredGrid, type Triple } from "../../runtime/data/volume.ts";
import { readTensors } from "../../runtime/safetensors.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const present = existsSync(join(golden, "training.json"));
if (!present) console.log(`skipped: ${golden} is not here`);

describe("the map", () => {
  it.skipIf(!present)("is the reference's", () => {
    const { click } = JSON.parse(readFileSync(join(golden, "training.json"), "utf8")) as { click: { click_voxel: Triple; spacing: Triple } };
    const wanted = readTensors(join(golden, "training.safetensors")).tensors.get("click/map");
    const [d = 0, h = 0, w = 0] = wanted?.shape ?? [];
    const map = new Float32Array(d * h * w);
    expect(map.length).toBeGreaterThan(100);
    clickMap(click.click_voxel, [d, h, w], click.spacing, map, 0);
    map.forEach((value, n) => expect(Math.abs(value - Number(wanted?.data[n]))).toBeLessThan(1e-6));
  });

  it("has its millimetres along the right axes, and leaves what is around it alone", () => {
    const map = new Float32Array(2 * 3 * 4 + 2).fill(-1);
    clickMap([0, 0, 0], [2, 3, 4], [10, 3, 1], map, 1);
    const far = Math.hypot(10, 6, 3);
    expect(map[0]).toBe(-1);
    expect(map[1]).toBe(0);
    expect(map[1 + 1]).toBeCloseTo(1 / far, 6);
    expect(map[1 + 4]).toBeCloseTo(3 / far, 6);
    expect(map[1 + 12]).toBeCloseTo(10 / far, 6);
    expect(map[24]).toBeCloseTo(1, 6);
    expect(map[25]).toBe(-1);
  });

  it("of a click outside the patch grows towards the other end; a single voxel is 0", () => {
    const map = new Float32Array(4);
    clickMap([0, 0, -3], [1, 1, 4], [1, 1, 2], map, 0);
    [3 / 6, 4 / 6, 5 / 6, 1].forEach((wanted, n) => expect(map[n]).toBeCloseTo(wanted, 6));
    const one = new Float32Array(1).fill(5);
    clickMap([0, 0, 0], [1, 1, 1], [1, 1, 1], one, 0);
    expect(one[0]).toBe(0);
  });
});

/** Stored grids in all 48 orders and directions, with unequal voxels, a little oblique. */
function* grids(): Generator<StoredGrid> {
  const steps = [2, 3, 5] as const;
  for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] as const) {
    for (let signs = 0; signs < 8; signs++) {
      const row = (r: 0 | 1 | 2): readonly [number, number, number, number] => {
        const entry = (c: 0 | 1 | 2): number => (order[c] === r ? steps[c] * ((signs >> c) & 1 ? -1 : 1) : 0.2 * (r - c));
        return [entry(0), entry(1), entry(2), 40 * r - 17];
      };
      const affine: Affine = [row(0), row(1), row(2)];
      yield { size: [4, 5, 6], affine, sources: nearestAxes(affine), sformCode: 1, qformCode: 0, version: 1 };
    }
  }
}

describe("a place", () => {
  it("is the voxel of the file, however its axes run, in voxels and in millimetres", () => {
    let seen = 0;
    for (const grid of grids()) {
      const ijk: Triple = [3, 1, 4];
      const stored = new Float32Array(120);
      stored[ijk[0] + 4 * (ijk[1] + 5 * ijk[2])] = 1;
      const shape = turnedShape(grid);
      const turned = turnVoxels(stored, grid, 1, 0);
      const wanted = unravel(turned.indexOf(1), shape);
      expect(turned.length).toBe(voxels(shape));
      expect(locateClick({ unit: "voxel", at: ijk, from: "test" }, grid, "a")).toEqual(wanted);
      const mm = locate(grid.affine, [3.3, 0.8, 4.2]);
      expect(locateClick({ unit: "mm", at: mm, from: "test" }, grid, "a")).toEqual(wanted);
      voxelAt(grid.affine, mm).forEach((n, axis) => expect(n).toBeCloseTo([3.3, 0.8, 4.2][axis] ?? 0, 9));
      seen++;
    }
    expect(seen).toBe(48);
  });

  it.each<{ unit: "voxel" | "mm"; at: Triple; says: RegExp }>([
    { unit: "voxel", at: [4, 0, 0], says: /4 x 5 x 6.*3, 4, 5/ },
    { unit: "voxel", at: [0, -1, 0], says: /voxel 0, -1, 0/ },
    { unit: "mm", at: [100, 0, 0], says: /100, 0, 0 mm/ },
  ])("outside the image is N1082: $unit $at", ({ unit, at, says }) => {
    const affine: Affine = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]];
    const grid: StoredGrid = { size: [4, 5, 6], affine, sources: nearestAxes(affine), sformCode: 1, qformCode: 0, version: 1 };
    const fault = (() => {
      try {
        locateClick({ unit, at, from: "`--click a`" }, grid, "a");
        return undefined;
      } catch (error) {
        return error as { findings: readonly { code: string; headline: string; facts: readonly string[] }[] };
      }
    })();
    expect(fault?.findings[0]).toMatchObject({ code: "N1082", headline: expect.stringContaining("a lies outside") as string });
    expect(fault?.findings[0]?.facts.join(" ")).toMatch(says);
    expect(fault?.findings[0]?.facts.join(" ")).toContain("`--click a`");
  });
});
