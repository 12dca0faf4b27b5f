// A case as its network sees it, and what the network says back on the grid of the image: cut, resampled, mirrored, one of several.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type { Case } from "../../runtime/data/case.ts";
import type { Fingerprint } from "../../runtime/data/fingerprint.ts";
import { encodeImage } from "../../runtime/data/nifti.ts";
import { prepareCase } from "../../runtime/data/prepare.ts";
import { unravel, voxels, type StoredGrid, type Triple } from "../../runtime/data/volume.ts";
import { caseSlices, type Predictor } from "../../runtime/infer/case-slices.ts";
import { Engine } from "../../runtime/infer/engine.ts";
import { predictCases } from "../../runtime/infer/predict.ts";
import { labelsFrom } from "../../runtime/infer/slices.ts";
import type { Session } from "../../runtime/session.ts";

const shape: Triple = [18, 60, 44];
const spacing: Triple = [3, 1, 1.5];

/** Two balls in millimetres; around all a margin of zeros that is wider on one side. */
const truth = Uint8Array.from({ length: voxels(shape) }, (_, n) => {
  const at = unravel(n, shape).map((place, axis) => place * (spacing[axis] ?? 1));
  const away = (centre: Triple): number => Math.hypot(...at.map((place, axis) => place - (centre[axis] ?? 0)));
  return away([24, 25, 33]) < 11 ? 1 : away([36, 44, 27]) < 8 ? 2 : 0;
});
const outside = (n: number): boolean => {
  const [z, y, x] = unravel(n, shape);
  return z < 2 || y < 6 || y >= 57 || x < 4 || x >= 43;
};
const image = Float32Array.from(truth, (value, n) => (outside(n) ? 0 : 1 + value));

const noNorm = { name: "noNorm", scheme: "none", mean: 0, deviation: 1, low: 0, high: 1 } as const;
const sources = [0, 1, 2].map((axis) => ({ axis, flipped: false })) as unknown as StoredGrid["sources"];
const one: Case = {
  name: "a", channels: 1, image, label: undefined, shape, spacing, affine: [[1.5, 0, 0, 0], [0, 1, 0, 0], [0, 0, 3, 0]],
  stored: { size: [44, 60, 18], affine: [[1.5, 0, 0, 0], [0, 1, 0, 0], [0, 0, 3, 0]], sources, sformCode: 1, qformCode: 0, version: 1 },
};

const window: Triple = [12, 16, 20];

/** Knows three classes by how bright a voxel is. */
function predictor(fingerprint: Partial<Fingerprint>, more: Partial<Predictor> = {}): Predictor {
  return {
    run: async (windows) => {
      const out = new Float32Array(3 * windows.length);
      windows.forEach((value, n) => { out[(value < 1.5 ? 0 : value < 2.5 ? 1 : 2) * windows.length + n] = 1; });
      return out;
    },
    outputs: 3, window, batch: 1, channels: ["noNorm"], classes: ["background", "large", "small"],
    fingerprint: { channels: [noNorm], spacing, shape, ...fingerprint }, overlap: 0.5, blend: "gaussian", mirror: [], samples: {}, coarse: undefined, ...more,
  };
}

const hooks = { progress: () => undefined, warn: () => undefined };
const labels = (network: Predictor): Promise<Uint8Array> => labelsFrom(caseSlices(network, one, undefined, hooks), shape, 3);

function dice(found: Uint8Array, value: number, by: Triple = [0, 0, 0]): number {
  let [both, all] = [0, 0];
  found.forEach((label, n) => {
    const [z, y, x] = unravel(n, shape);
    const other = truth[((z - by[0]) * shape[1] + y - by[1]) * shape[2] + x - by[2]] ?? 0;
    all += (label === value ? 1 : 0) + (other === value ? 1 : 0);
    both += label === value && other === value ? 2 : 0;
  });
  return both / all;
}

describe("a case", () => {
  it("as it is gives every voxel its own label, mirrored or not", async () => {
    expect(await labels(predictor({}))).toEqual(truth);
    expect(await labels(predictor({}, { mirror: [0, 1, 2] }))).toEqual(truth);
  });

  it("that is cut to what is not zero comes back where it was, with background around it", async () => {
    const { place } = prepareCase(one, predictor({ crop: true }).fingerprint);
    expect(place.box).toEqual({ start: [2, 6, 4], size: [16, 51, 39] });
    expect(await labels(predictor({ crop: true }))).toEqual(truth);
  });

  it.each<Triple>([[2, 2, 2], [1.5, 0.9, 1.2], [6, 2, 3]])("that is resampled to %j comes back to the voxel", async (...target) => {
    const network = predictor({ crop: true, target });
    expect(prepareCase(one, network.fingerprint).prepared.shape).not.toEqual([16, 51, 39]);
    const found = await labels(network);
    for (const value of [1, 2]) {
      expect(dice(found, value)).toBeGreaterThan(target[0] === 6 ? 0.8 : 0.9);
      for (const by of [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]] as const) expect(dice(found, value, by)).toBeLessThan(dice(found, value));
    }
    found.forEach((label, n) => { if (outside(n)) expect(label).toBe(0); });
  });

  it("that is resampled is found a click in where it was", async () => {
    const seen: Triple[] = [];
    const guided = predictor({ crop: true, target: [2, 2, 2] }, { samples: { guide: true } });
    const run: Predictor["run"] = async (windows) => {
      const size = voxels(window);
      const map = windows.subarray(size, 2 * size);
      const least = map.indexOf(Math.min(...map));
      // The bright voxel that was clicked lies under the least distance.
      if ((map[least] ?? 1) < 0.05) seen.push([windows[least] ?? 0, map[least] ?? 1, least]);
      return guided.run(windows.subarray(0, size));
    };
    await labelsFrom(caseSlices({ ...guided, run }, one, [12, 44, 18], hooks), shape, 3);
    expect(seen.length).toBeGreaterThan(0);
    for (const [value] of seen) expect(value).toBeCloseTo(3, 1);
  });
});

it("a case that memory cannot hold is refused by name before anything is run, and leaves nothing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "netc-memory-"));
  writeFileSync(join(folder, "a_0000.nii"), encodeImage(image, one.stored, false));
  const run = vi.fn();
  const free = vi.spyOn(process, "availableMemory").mockReturnValue(1_000_000);
  try {
    const request = { name: "a", images: [join(folder, "a_0000.nii")], label: undefined, output: "a.nii", click: undefined };
    const { errors } = await predictCases([predictor({}, { run }), predictor({}, { run })], [request], { folder: join(folder, "out"), probabilities: true, largest: [] }, { progress: () => undefined, written: () => undefined });
    expect(errors).toMatchObject([{ code: "N1088", headline: "a does not fit into memory" }]);
    expect(errors[0]?.facts[1]).toBe("Summed at a time are 12 slices of 44 x 60 voxels in 3 classes, for each of 2 runs.");
    expect(run).not.toHaveBeenCalled();
    expect(readdirSync(folder)).toEqual(["a_0000.nii"]);
  } finally {
    free.mockRestore();
    rmSync(folder, { recursive: true });
  }
});

describe("an engine", () => {
  it("puts weights into a session that others used meanwhile, and no more often", async () => {
    const did: string[] = [];
    let held = "";
    const session = {
      plan: { inputs: [{ name: "image" }] },
      write: (_: string, data: Float32Array) => void did.push(`${held}${data[0]}`),
      run: async () => { await Promise.resolve(); },
      read: async () => Float32Array.of(did.length),
    };
    const engine = new Engine(session as unknown as Session, { name: "y", shape: [1, 2, 1, 1, 1] } as unknown as ConstructorParameters<typeof Engine>[1]);
    const weights = (name: string) => engine.runner(() => { held = name; did.push(`load ${name}`); });
    const [a, b] = [weights("a"), weights("b")];
    await Promise.all([a(Float32Array.of(1)), a(Float32Array.of(2)), b(Float32Array.of(3)), a(Float32Array.of(4))]);
    expect(did).toEqual(["load a", "a1", "a2", "load b", "b3", "load a", "a4"]);
    expect(engine.outputs).toBe(2);
  });

  it("goes on after a run that failed", async () => {
    let fails = true;
    const session = { plan: { inputs: [{ name: "image" }] }, write: () => { if (fails) throw new Error("no"); }, run: async () => undefined, read: async () => Float32Array.of(7) };
    const run = new Engine(session as unknown as Session, { name: "y", shape: [1, 1] } as unknown as ConstructorParameters<typeof Engine>[1]).runner(() => undefined);
    await expect(run(new Float32Array(1))).rejects.toThrow("no");
    fails = false;
    expect(await run(new Float32Array(1))).toEqual(Float32Array.of(7));
  });
});
