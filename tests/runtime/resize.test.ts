// Boxes at another resolution and back, against reference numbers and slow ways.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cropInto } from "../../runtime/data/crop.ts";
import type { Box } from "../../runtime/data/long-axis.ts";
import { resizeBox } from "../../runtime/data/resize.ts";
import { voxels, type Triple } from "../../runtime/data/volume.ts";
import { readTensors } from "../../runtime/safetensors.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const present = existsSync(join(golden, "ops.json"));
if (!present) console.log(`skipped: ${golden} is not here`);

describe.skipIf(!present)("reference numbers", () => {
  interface Case { op: string; attrs: { mode?: string; size?: Triple; align_corners?: boolean }; inputs: { x?: readonly number[] } }
  const cases = present ? Object.entries((JSON.parse(readFileSync(join(golden, "ops.json"), "utf8")) as { cases: Record<string, Case> }).cases)
    .filter(([, { op, attrs }]) => op === "interpolate" && attrs.align_corners !== true) : [];

  it("are there", () => expect(cases.length).toBeGreaterThan(4));

  it.each(cases)("%s", (name, { attrs, inputs }) => {
    const { tensors } = readTensors(join(golden, "ops.safetensors"));
    const find = (port: string): Float32Array => Float32Array.from([...tensors].find(([key]) => key.startsWith(`${name}/`) && key.endsWith(`/${port}`))?.[1].data ?? [], Number);
    const [x, y] = [find("x"), find("y")];
    const [samples = 0, channels = 0, d = 0, h = 0, w = 0] = inputs.x ?? [];
    const size = attrs.size ?? [0, 0, 0];
    const shape: Triple = [d, h, w];
    expect(y.length).toBe(samples * channels * voxels(size));
    const kind = attrs.mode === "nearest" ? "nearest" : "linear";
    const whole: Box = { start: [0, 0, 0], size: shape };
    for (let n = 0; n < samples * channels; n++) {
      const from = x.subarray(n * voxels(shape), (n + 1) * voxels(shape));
      const wanted = y.subarray(n * voxels(size), (n + 1) * voxels(size));
      const out = new Float32Array(voxels(size));
      resizeBox(from, shape, whole, size, kind, out);
      out.forEach((value, at) => expect(Math.abs(value - (wanted[at] ?? NaN))).toBeLessThan(1e-6));
    }
  });
});

const shape: Triple = [5, 7, 6];
const volume = Float32Array.from({ length: voxels(shape) }, (_, n) => Math.sin(n * 1.3) + 2);

describe.each<Box>([
  { start: [1, 2, 3], size: [3, 4, 2] }, { start: [-2, -3, -1], size: [9, 13, 8] }, { start: [3, 5, -4], size: [4, 4, 7] }, { start: [20, 0, 0], size: [3, 3, 3] },
])("a box at $start of $size", (box) => {
  it("is cut out first, then resized", () => {
    const size: Triple = [4, 3, 5];
    const cut = new Float32Array(voxels(box.size));
    cropInto(volume, shape, box.start, box.size, cut, 0);
    for (const kind of ["linear", "nearest"] as const) {
      const [ours, wanted] = [new Float32Array(voxels(size) + 1).fill(9), new Float32Array(voxels(size))];
      resizeBox(volume, shape, box, size, kind, ours, 1);
      resizeBox(cut, box.size, { start: [0, 0, 0], size: box.size }, size, kind, wanted);
      expect(ours.subarray(1)).toEqual(wanted);
      expect(ours[0]).toBe(9);
    }
  });

  it("of its own size is copied", () => {
    const [ours, wanted] = [new Float32Array(voxels(box.size)), new Float32Array(voxels(box.size))];
    resizeBox(volume, shape, box, box.size, "linear", ours);
    cropInto(volume, shape, box.start, box.size, wanted, 0);
    expect(ours).toEqual(wanted);
  });
});

it("a ramp stays a ramp, its middle where it was", () => {
  const ramp = Float32Array.from({ length: 8 }, (_, n) => n);
  const out = new Float32Array(4);
  resizeBox(ramp, [1, 1, 8], { start: [0, 0, 0], size: [1, 1, 8] }, [1, 1, 4], "linear", out);
  expect([...out]).toEqual([0.5, 2.5, 4.5, 6.5]);
  resizeBox(ramp, [1, 1, 8], { start: [0, 0, 0], size: [1, 1, 8] }, [1, 1, 4], "nearest", out);
  expect([...out]).toEqual([1, 3, 5, 7]);
});
