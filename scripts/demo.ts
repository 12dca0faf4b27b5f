// The whole way in a few minutes: trains a small network on the sample data, labels the test cases, scores them, draws a picture.

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { dispatch } from "../cli/dispatch.ts";
import { packageRoot } from "../cli/files.ts";
import { terminalOn } from "../cli/terminal.ts";
import { readDeclaration } from "../runtime/data/dataset.ts";
import { readVolume } from "../runtime/data/image.ts";
import { writeAtomic } from "../runtime/files.ts";
import { CT_WINDOW, slicePicture } from "../runtime/picture/slice.ts";
import { durationText } from "../runtime/train/progress.ts";

const root = packageRoot();
const data = join(root, "tests", "data", "Dataset001_TotalSegSample");
const out = join(root, "demo");
const run = join(out, "run");
const predictions = join(out, "predictions");
const terminal = terminalOn(process.stdout, process.stderr, process.env);
const started = performance.now();

async function step(...argv: readonly string[]): Promise<void> {
  terminal.say(`\n$ netc ${argv.join(" ")}`);
  const code = await dispatch(argv, terminal);
  if (code !== 0) process.exit(code);
}

/** The same slice, true labels on the left and predicted ones on the right. */
function picture(name: string): string {
  const { volume: image } = readVolume(join(data, "imagesTs", `${name}_0000.nii.gz`));
  const label = readVolume(join(data, "labelsTs", `${name}.nii.gz`)).volume.data;
  const prediction = readVolume(join(predictions, `${name}.nii.gz`)).volume.data;
  const path = join(out, `${name}.png`);
  writeAtomic(path, slicePicture({
    title: name, image: image.data, shape: image.shape, spacing: image.spacing, window: CT_WINDOW,
    prediction: Uint8Array.from(prediction), label: Uint8Array.from(label), classes: readDeclaration(join(data, "dataset.json")).classes,
  }));
  return path;
}

// Only what a demo before this one has left there.
rmSync(out, { recursive: true, force: true });
await step("train", join(root, "nets", "demo.net"), "--data", data, "--out", run, ...process.argv.slice(2));
await step("predict", "--run", run, "-i", join(data, "imagesTs"), "-o", predictions);
await step("evaluate", predictions, join(data, "labelsTs"));
const pictures = readdirSync(predictions).map((file) => picture(file.replace(/\.nii(\.gz)?$/, "")));
terminal.print(`\npictures: ${pictures.join(", ")}\nthe demo took ${durationText((performance.now() - started) / 1000)}`);
