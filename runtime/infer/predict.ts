// Predicts cases one after the other and writes each label map on the grid of its image.

import { join, resolve } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Port } from "../../compiler/plan/plan.ts";
import { loadCase } from "../data/case.ts";
import { normalise, spacingFindings } from "../data/fingerprint.ts";
import type { Fingerprint } from "../data/fingerprint.ts";
import { writeLabels } from "../data/nifti.ts";
import { sizeText } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import type { Session } from "../session.ts";
import type { Wanted } from "./inputs.ts";
import { predictVolume } from "./window.ts";

/** A network ready to predict, and what its images must look like. */
export interface Predictor {
  readonly session: Session;
  /** The output [N, K, D, H, W]. */
  readonly output: Port;
  readonly window: Triple;
  readonly batch: number;
  readonly channels: readonly string[];
  readonly classes: readonly string[];
  readonly fingerprint: Fingerprint;
  readonly overlap: number;
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
export async function predictCases(predictor: Predictor, cases: readonly Wanted[], folder: string, hooks: PredictionHooks): Promise<{ readonly warnings: readonly Diagnostic[]; readonly errors: readonly Diagnostic[] }> {
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

async function predictCase(predictor: Predictor, wanted: Wanted, folder: string, hooks: PredictionHooks): Promise<readonly Diagnostic[]> {
  const path = join(folder, wanted.output);
  if (wanted.images.some((image) => resolve(image) === resolve(path))) {
    throw new Fault(diagnostic("N1064", `the prediction of ${wanted.name} would replace its image`, { facts: [`Both are ${path}.`], hint: "give another folder to `-o`" }));
  }
  const { session, output, window, batch, channels, classes, fingerprint, overlap } = predictor;
  const { loaded, warnings } = loadCase({ classes }, wanted);
  const [input] = session.plan.inputs;
  if (input === undefined) throw new Error("internal: a network without an input");
  const labels = await predictVolume(normalise(loaded.image, fingerprint), loaded.shape, {
    patch: window, overlap, batch, channels: channels.length, classes: classes.length,
    progress: (done, total) => hooks.progress(wanted.name, done, total),
  }, async (windows) => {
    session.write(input.name, windows);
    await session.run();
    return session.read(output.name);
  });
  writeLabels(path, labels, loaded.stored);
  hooks.written(wanted.name, path, labels);
  return [...warnings, ...spacingFindings([loaded], fingerprint.spacing), ...sizeFindings(wanted.name, loaded.shape, window)];
}

function sizeFindings(name: string, shape: Triple, window: Triple): readonly Diagnostic[] {
  if (shape.every((extent, axis) => extent >= (window[axis] ?? 0))) return [];
  return [diagnostic("W1072", `${name} is smaller than the window`, {
    facts: [`It has ${sizeText(shape)} voxels, the window ${sizeText(window)}; zeros stand for the rest.`],
    hint: "a network trained on smaller patches may do better on such images",
  })];
}
