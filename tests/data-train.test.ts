// Training and prediction where images have different spacings: prepared alike, and back on their own grids.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readVolume, writeLabels } from "../runtime/data/image.ts";
import type { StoredGrid, Triple } from "../runtime/data/volume.ts";
import { netc } from "./train/cli.ts";

const root = mkdtempSync(join(tmpdir(), "spacings-"));
const at = (...parts: readonly string[]): string => join(root, ...parts);
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Bright balls of 7 mm in dark space of 24 mm, on voxels of `spacing` [z, y, x], some rows of zeros before them. */
function ball(name: string, spacing: Triple, zeros: number): void {
  const size: Triple = [24 / spacing[2], 24 / spacing[1] + zeros, 24 / spacing[0]];
  const grid: StoredGrid = {
    size, affine: [[-spacing[2], 0, 0, 0], [0, spacing[1], 0, 0], [0, 0, spacing[0], 0]], sources: [{ axis: 0, flipped: true }, { axis: 1, flipped: false }, { axis: 2, flipped: false }], sformCode: 1, qformCode: 0, version: 1,
  };
  const label = new Uint8Array(size[0] * size[1] * size[2]);
  const image = new Uint8Array(label.length);
  for (let n = 0, z = 0; z < size[2]; z++) for (let y = 0; y < size[1]; y++) for (let x = 0; x < size[0]; x++, n++) {
    if (y < zeros) continue;
    label[n] = Math.hypot((z + 0.5) * spacing[0] - 12, (y - zeros + 0.5) * spacing[1] - 12, (x + 0.5) * spacing[2] - 12) < 7 ? 1 : 0;
    image[n] = 50 + 100 * (label[n] ?? 0);
  }
  writeLabels(at("data", "imagesTr", `${name}_0000.nrrd`), image, grid);
  writeLabels(at("data", "labelsTr", `${name}.nrrd`), label, grid);
}

const net = `
network Bright(image: [N, M, *S], classes: int) {
  out logits = image |> Conv(4, 1) |> relu |> Conv(classes, 1)
}
train bright for Bright {
  patch = [8, 16, 16]
  batch = 2
  epochs = 6
  steps = 10
  loss = cross_entropy(logits, label)
  optimizer = adam(lr = 5e-2)
}
`;

it("a network sees one spacing and labels every image on its own", { timeout: 180_000 }, async () => {
  for (const part of ["imagesTr", "labelsTr"]) mkdirSync(at("data", part), { recursive: true });
  writeFileSync(at("data", "dataset.json"), JSON.stringify({ channel_names: { 0: "MRI" }, labels: { background: 0, ball: 1 }, numTraining: 3, file_ending: ".nrrd" }));
  ball("a", [2, 1, 1], 0);
  ball("b", [2, 1.5, 1.5], 12);
  ball("c", [4, 1, 1], 0);
  writeFileSync(at("bright.net"), net);
  const trained = await netc(["train", at("bright.net"), "--data", at("data"), "--out", at("run"), "--validate-every", "0", "--fold", "0"]);
  expect(trained.code, trained.err).toBe(0);
  expect(trained.err).not.toContain("W1055");
  const { fingerprint, data } = JSON.parse(readFileSync(at("run", "run.json"), "utf8")) as { fingerprint: { target: Triple; crop: boolean }; data: { training: string[]; heldOut: string[] } };
  expect(fingerprint).toMatchObject({ crop: true, target: expect.any(Array) as Triple });
  expect([...data.training, ...data.heldOut].sort()).toEqual(["a", "b", "c"]);
  expect(data.heldOut).toHaveLength(1);
  const predicted = await netc(["predict", "--run", at("run"), "-i", at("data", "imagesTr"), "-o", at("out"), "--which", "latest"]);
  expect(predicted.code, predicted.err).toBe(0);
  for (const name of ["a", "b", "c"]) {
    const [guess, truth] = [readVolume(at("out", `${name}.nrrd`)).volume, readVolume(at("data", "labelsTr", `${name}.nrrd`)).volume];
    expect(guess.stored).toEqual(truth.stored);
    let [both, sum] = [0, 0];
    truth.data.forEach((value, n) => {
      both += value * (guess.data[n] ?? 0);
      sum += value + (guess.data[n] ?? 0);
    });
    expect((2 * both) / sum, name).toBeGreaterThan(0.85);
  }
  // On request nothing is resampled, or all is to what the run says.
  const refused = await netc(["train", at("bright.net"), "--data", at("data"), "--out", at("flat"), "--set", "spacing=[2, 1]"]);
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("N1066") as string });
  const own = await netc(["train", at("bright.net"), "--data", at("data"), "--out", at("own"), "--set", "spacing=[3, 2, 2]", "--steps", "1", "--set", "steps=1", "--validate-every", "0"]);
  expect(own.code, own.err).toBe(0);
  expect(JSON.parse(readFileSync(at("own", "run.json"), "utf8"))).toMatchObject({ fingerprint: { target: [3, 2, 2] } });
  const none = await netc(["train", at("bright.net"), "--data", at("data"), "--out", at("none"), "--set", "spacing=none", "--steps", "1", "--set", "steps=1", "--validate-every", "0"]);
  expect(none.code, none.err).toBe(0);
  expect(none.err).toContain("W1055");
  expect(JSON.parse(readFileSync(at("none", "run.json"), "utf8"))).not.toHaveProperty("fingerprint.target");
});

const thin = join(process.env["DATA_DIR"] ?? "../shared/data", "Dataset002_TotalSegSampleMR");
if (!existsSync(thin)) console.log(`skipped: ${thin} is not here`);

it.skipIf(!existsSync(thin))("two cases of ten slices are enough for every step, or are told of", { timeout: 180_000 }, async () => {
  expect(await netc(["data", "check", thin])).toMatchObject({ code: 0, err: expect.stringContaining("W1063") as string });
  const planned = await netc(["data", "plan", thin, "-o", at("plan")]);
  expect(planned).toMatchObject({ code: 0, out: expect.stringMatching(/2 folds[^]*patch = \[1, 96, 64\][^]*patch = \[10, 96, 64\]/) as string });
  writeFileSync(at("deep.net"), net.replace("patch = [8, 16, 16]", "patch = [16, 24, 24]"));
  const train = (out: string, ...more: readonly string[]) => netc(["train", at("deep.net"), "--data", thin, "--out", at(out), "--steps", "2", "--set", "steps=2", ...more]);
  for (const more of [["--fold", "2"], ["--hold-out", "2"]]) expect(await train("no", ...more)).toMatchObject({ code: 1, err: expect.stringContaining("N1024") as string });
  // The patch is deeper than the images; what is held out is scored at the end.
  const trained = await train("thin", "--fold", "1");
  expect(trained.code, trained.err).toBe(0);
  const [held = ""] = (JSON.parse(readFileSync(at("thin", "run.json"), "utf8")) as { data: { heldOut: string[] } }).data.heldOut;
  const predicted = readVolume(at("thin", "validation", `${held}.nii.gz`)).volume;
  expect(predicted.stored).toEqual(readVolume(join(thin, "labelsTr", `${held}.nii.gz`)).volume.stored);
  const scored = await netc(["evaluate", at("thin", "validation", `${held}.nii.gz`), join(thin, "labelsTr", `${held}.nii.gz`), "--json"]);
  expect(scored.code, scored.err).toBe(0);
  expect(scored.out).toContain('"foreground_mean"');
});
