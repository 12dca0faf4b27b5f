// What one network says of one case: by windows over the whole image, or within the cube that a coarse network finds.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { Case } from "../data/case.ts";
import { clickMap } from "../data/click.ts";
import type { Region } from "../data/dataset.ts";
import type { Fingerprint } from "../data/fingerprint.ts";
import { cutLabel } from "../data/nonzero.ts";
import { inPrepared, prepareCase } from "../data/prepare.ts";
import type { Place } from "../data/prepare.ts";
import { backwards, resampleLabels } from "../data/resample.ts";
import { cubeOf } from "../data/samples.ts";
import type { Samples } from "../data/samples.ts";
import { sizeText } from "../data/volume.ts";
import type { Triple } from "../data/volume.ts";
import { cubeSlices } from "./cube.ts";
import { labelsFrom, placed, resized } from "./slices.ts";
import type { Slices } from "./slices.ts";
import { windowSlices } from "./window.ts";
import type { Axis, Blending, RunWindows } from "./window.ts";

/** A network ready to predict, and what its images must look like. */
export interface Predictor {
  readonly run: RunWindows;
  /** Values of the network per voxel: the number of classes, or one less for independent targets. */
  readonly outputs: number;
  readonly window: Triple;
  readonly batch: number;
  readonly channels: readonly string[];
  /** Of classes, or of regions, the background first. */
  readonly classes: readonly string[];
  /** What the classes but the background are, where they are regions. */
  readonly regions?: readonly Region[] | undefined;
  readonly fingerprint: Fingerprint;
  readonly overlap: number;
  readonly blend: Blending;
  readonly mirror: readonly Axis[];
  readonly samples: Samples;
  /** The network whose mask tells a cropping one where to look. */
  readonly coarse: Predictor | undefined;
}

/** A network and those before it, the last first. */
export function stages(predictor: Predictor): readonly Predictor[] {
  return [predictor, ...(predictor.coarse === undefined ? [] : stages(predictor.coarse))];
}

/** What happens meanwhile. */
export interface CaseHooks {
  /** How many windows of how many are done. */
  readonly progress: (done: number, total: number) => void;
  readonly warn: (finding: Diagnostic) => void;
}

/** The probabilities of a case on the grid of its image, of which `click` is a voxel. */
export async function* caseSlices(predictor: Predictor, one: Case, click: Triple | undefined, hooks: CaseHooks): Slices {
  const { run, outputs, window, batch, channels, classes, fingerprint, overlap, blend, mirror, samples, coarse } = predictor;
  const { prepared, place } = prepareCase({ ...one, label: undefined }, fingerprint);
  const { image, shape, spacing } = prepared;
  const seen = samples.guide === true && click !== undefined ? inPrepared(place, click) : undefined;
  const how = { patch: window, batch, channels: channels.length, classes: classes.length, outputs, mirror };
  if (samples.crop === undefined || coarse === undefined) {
    const guide = seen && ((start: Triple, windows: Float32Array, at: number): void => clickMap([seen[0] - start[0], seen[1] - start[1], seen[2] - start[2]], window, spacing, windows, at));
    sizeFindings(one.name, shape, window).forEach(hooks.warn);
    yield* onImage(windowSlices(image, shape, { ...how, overlap, blend, guide, progress: hooks.progress }, run), place, classes.length);
    return;
  }
  const found = await labelsFrom(caseSlices(coarse, one, click, hooks), one.shape, coarse.classes.length);
  const mask = found.map((value) => (classes.includes(coarse.classes[value] ?? "", 1) ? 1 : 0));
  const box = cubeOf(resampleLabels(cutLabel(mask, one.shape, place.box), place.way), shape, spacing, samples.crop);
  if (box === undefined) {
    throw new Fault(diagnostic("N1085", `the coarse network finds nothing in ${one.name}`, {
      facts: [`No voxel was labelled ${classes.slice(1).join(" or ")}, so there is nothing to look at more closely.`],
      hint: "check the click and the image; predict with the coarse run alone to see what it finds",
    }));
  }
  yield* onImage(cubeSlices(image, shape, box, { ...how, spacing, click: seen }, run), place, classes.length);
}

/** What was said of a prepared image, on the grid of the image it was made of. */
function onImage(slices: Slices, { shape, box, way }: Place, classes: number): Slices {
  const same = (a: Triple, b: Triple): boolean => a.join() === b.join();
  const unzoomed = same(way.from, way.to) ? slices : resized(slices, backwards(way), classes);
  return same(box.size, shape) ? unzoomed : placed(unzoomed, box, shape, classes);
}

function sizeFindings(name: string, shape: Triple, window: Triple): readonly Diagnostic[] {
  if (shape.every((extent, axis) => extent >= (window[axis] ?? 0))) return [];
  return [diagnostic("W1072", `${name} is smaller than the window`, {
    facts: [`It has ${sizeText(shape)} voxels, the window ${sizeText(window)}; zeros stand for the rest.`],
    hint: "a network trained on smaller patches may do better on such images",
  })];
}
