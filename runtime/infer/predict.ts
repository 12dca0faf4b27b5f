// Predicts cases one after the other and writes each label map on the grid of its image.

import { join, resolve } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Port } from "../../compiler/plan/plan.ts";
import { loadCase } from "../data/case.ts";
import type { Case } from "../data/case.ts";
import { clickMap, locateClick } from "../data/click.ts";
import type { Click } from "../data/click.ts";
import { normalise, spacingFindings } from "../data/fingerprint.ts";
import type { Fingerprint } from "../data/fingerprint.ts";
import { writeLabels } from "../data/nifti.ts";
import { cubeOf } from "../data/samples.ts";
import type { Samples } from "../data/samples.ts";
import { sizeText } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import type { Session } from "../session.ts";
import { predictCube } from "./cube.ts";
import type { Wanted } from "./inputs.ts";
import { predictVolume } from "./window.ts";
import type { Blending, RunWindows } from "./window.ts";

/** A network ready to predict, and what its images must look like. */
export interface Predictor {
  readonly session: Session;
  /** The output [N, K, D, H, W]; K is the number of classes, or one less for independent targets. */
  readonly output: Port;
  readonly window: Triple;
  readonly batch: number;
  readonly channels: readonly string[];
  readonly classes: readonly string[];
  readonly fingerprint: Fingerprint;
  readonly overlap: number;
  /** By a gaussian where it is absent. */
  readonly blend?: Blending | undefined;
  readonly samples: Samples;
  /** The network whose mask tells a cropping one where to look. */
  readonly coarse: Predictor | undefined;
}

/** A network and those before it, the last first. */
export function stages(predictor: Predictor): readonly Predictor[] {
  return [predictor, ...(predictor.coarse === undefined ? [] : stages(predictor.coarse))];
}

/** What to predict: images, and a click where a network needs one. */
export interface Request extends Wanted {
  readonly click: Click | undefined;
}

/** What happens meanwhile. */
export interface PredictionHooks {
  /** `windows` of `of` windows of a case are done. */
  readonly progress: (name: string, windows: number, of: number) => void;
  /** A case is written. */
  readonly written: (name: string, path: string, labels: Uint8Array) => void;
  readonly interrupted?: () => boolean;
}

/** Predicts every case into `folder`. A case that cannot be read is told of and left out; the others are predicted. */
export async function predictCases(predictor: Predictor, cases: readonly Request[], folder: string, hooks: PredictionHooks): Promise<{ readonly warnings: readonly Diagnostic[]; readonly errors: readonly Diagnostic[] }> {
  const warnings: Diagnostic[] = [];
  const errors: Diagnostic[] = [];
  for (const one of cases) {
    if (hooks.interrupted?.() === true) break;
    try {
      warnings.push(...(await predictCase(predictor, one, folder, hooks)));
    } catch (error) {
      // A lost device or a full disk would fail for every other case too.
      if (!(error instanceof Fault) || error.findings.some(({ code }) => code.startsWith("N09") || code === "N1007")) throw error;
      errors.push(...error.findings);
    }
  }
  return { warnings, errors };
}

async function predictCase(predictor: Predictor, wanted: Request, folder: string, hooks: PredictionHooks): Promise<readonly Diagnostic[]> {
  const path = join(folder, wanted.output);
  if (wanted.images.some((image) => resolve(image) === resolve(path))) {
    throw new Fault(diagnostic("N1064", `the prediction of ${wanted.name} would replace its image`, { facts: [`Both are ${path}.`], hint: "give another folder to `-o`" }));
  }
  const { loaded, warnings } = loadCase(predictor, wanted);
  const click = wanted.click && locateClick(wanted.click, loaded.stored, wanted.name);
  const labels = await labelsOf(predictor, loaded, click, (done, total) => hooks.progress(wanted.name, done, total));
  const { target } = predictor.samples;
  const written = target === undefined ? labels : labels.map((value) => (value === 0 ? 0 : target));
  writeLabels(path, written, loaded.stored);
  hooks.written(wanted.name, path, written);
  const whole = stages(predictor).filter(({ samples }) => samples.crop === undefined);
  return [...warnings, ...whole.flatMap(({ fingerprint, window }) => [...spacingFindings([loaded], fingerprint.spacing), ...sizeFindings(wanted.name, loaded.shape, window)])];
}

/** The labels of a case, by windows or within the cube that the coarse network finds. */
async function labelsOf(predictor: Predictor, one: Case, click: Triple | undefined, progress: (done: number, total: number) => void): Promise<Uint8Array> {
  const { session, output, window, batch, channels, classes, fingerprint, overlap, blend, samples, coarse } = predictor;
  const [input] = session.plan.inputs;
  if (input === undefined) throw new Error("internal: a network without an input");
  const run: RunWindows = async (windows) => {
    session.write(input.name, windows);
    await session.run();
    return session.read(output.name);
  };
  const seen = samples.guide === true ? click : undefined;
  const image = normalise(one.image, fingerprint);
  const shape = { patch: window, batch, channels: channels.length, classes: classes.length, outputs: output.shape[1] ?? classes.length };
  if (samples.crop === undefined || coarse === undefined) {
    const guide = seen && ((start: Triple, windows: Float32Array, at: number): void => clickMap([seen[0] - start[0], seen[1] - start[1], seen[2] - start[2]], window, one.spacing, windows, at));
    return predictVolume(image, one.shape, { ...shape, overlap, blend, guide, progress }, run);
  }
  const found = await labelsOf(coarse, one, click, progress);
  const box = cubeOf(found.map((value) => (classes.includes(coarse.classes[value] ?? "", 1) ? 1 : 0)), one.shape, one.spacing, samples.crop);
  if (box === undefined) {
    throw new Fault(diagnostic("N1085", `the coarse network finds nothing in ${one.name}`, {
      facts: [`No voxel was labelled ${classes.slice(1).join(" or ")}, so there is nothing to look at more closely.`],
      hint: "check the click and the image; predict with the coarse run alone to see what it finds",
    }));
  }
  return predictCube(image, one.shape, box, { ...shape, spacing: one.spacing, click: seen }, run);
}

function sizeFindings(name: string, shape: Triple, window: Triple): readonly Diagnostic[] {
  if (shape.every((extent, axis) => extent >= (window[axis] ?? 0))) return [];
  return [diagnostic("W1072", `${name} is smaller than the window`, {
    facts: [`It has ${sizeText(shape)} voxels, the window ${sizeText(window)}; zeros stand for the rest.`],
    hint: "a network trained on smaller patches may do better on such images",
  })];
}
