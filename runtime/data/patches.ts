// Training batches: which patch of which case every sample is, by nnU-Net's rule, and filling the tensors with it.

import { invariant } from "../../compiler/report/diagnostic.ts";
import { draws } from "../draws.ts";
import type { Draws } from "../draws.ts";
import type { Case } from "./case.ts";
import { caseVoxels } from "./case.ts";
import { clickMap } from "./click.ts";
import { cropInto, flipAxis } from "./crop.ts";
import { unravel } from "./volume.ts";
import type { Triple } from "./volume.ts";

/** A case together with where its classes are. */
export interface Indexed {
  readonly source: Case;
  /** Offsets of foreground voxels, one list per class that the case has. */
  readonly classes: readonly { readonly value: number; readonly at: Uint32Array }[];
}

/** What batches look like. */
export interface Sampling {
  readonly seed: number;
  readonly batch: number;
  readonly patch: Triple;
  /** Whether each axis D, H, W may be mirrored at random; never unless asked for. */
  readonly mirror?: readonly [boolean, boolean, boolean];
  /** Whether images have one more channel, the map of a click on a random foreground voxel; every case needs foreground then. */
  readonly guide?: boolean;
}

/** What one sample of a batch was made from. */
export interface Draw {
  /** Index of the case. */
  readonly from: number;
  /** The first voxel; negative or late where the case is smaller than the patch. */
  readonly start: Triple;
  /** The class the patch was centred on. */
  readonly around: number | undefined;
  readonly mirrored: readonly [boolean, boolean, boolean];
  /** The voxel of the patch that was clicked, before mirroring; it may lie outside. */
  readonly click: Triple | undefined;
}

/** Voxels remembered per class; evenly spread when a class has more. */
const REMEMBERED = 200_000;

/** Finds out where the classes of a case are. */
export function indexed(source: Case): Indexed {
  const counts = new Uint32Array(256);
  for (const value of source.label ?? []) counts[value] = (counts[value] ?? 0) + 1;
  const lists = [...counts].map((count, value) => ({ value, every: Math.max(1, Math.ceil(count / REMEMBERED)), seen: 0, count }));
  const found = lists.map(({ count, every, value }) => (value === 0 ? new Uint32Array() : new Uint32Array(Math.ceil(count / every))));
  source.label?.forEach((value, at) => {
    const list = lists[value];
    const into = found[value];
    if (value === 0 || list === undefined || into === undefined) return;
    if (list.seen % list.every === 0) into[list.seen / list.every] = at;
    list.seen++;
  });
  return { source, classes: found.flatMap((at, value) => (at.length > 0 ? [{ value, at }] : [])) };
}

/** Share of the samples that must show foreground. */
const FORCED = 0.33;

/** Python's rounding, half to even: which samples are forced depends on it. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/**
 * Whether sample `sample` of a batch must be centred on foreground: the last third of the batch.
 * A batch of one would never be, so it is by chance, a third of the time.
 */
export function isForced(sample: number, batch: number, random: Draws): boolean {
  const chance = random.next();
  return batch === 1 ? chance < FORCED : sample >= roundHalfEven(batch * (1 - FORCED));
}

/** Chooses one sample: a pure function of the seed, the step, the sample's number and the cases. */
export function choosePatch(cases: readonly Indexed[], sampling: Sampling, step: number, sample: number): Draw {
  invariant(cases.length > 0, () => "patches of no case");
  const random = draws(sampling.seed, 0x706174 /* "pat" */, step, sample);
  const from = random.below(cases.length);
  const forced = isForced(sample, sampling.batch, random);
  const chosen = cases[from];
  invariant(chosen !== undefined, () => `case ${from} of ${cases.length}`);
  const { shape } = chosen.source;
  const span = [0, 1, 2].map((axis) => reach(shape[axis] ?? 1, sampling.patch[axis] ?? 1));
  const group = forced && chosen.classes.length > 0 ? chosen.classes[random.below(chosen.classes.length)] : undefined;
  const centre = group === undefined ? undefined : unravel(group.at[random.below(group.at.length)] ?? 0, shape);
  const place = (axis: 0 | 1 | 2): number => {
    const [low, high] = span[axis] ?? [0, 0];
    if (centre === undefined) return low + random.below(high - low + 1);
    return Math.min(Math.max(centre[axis] - Math.floor(sampling.patch[axis] / 2), low), high);
  };
  const start: Triple = [place(0), place(1), place(2)];
  const mirror = (axis: 0 | 1 | 2): boolean => sampling.mirror?.[axis] === true && random.next() < 0.5;
  const mirrored = [mirror(0), mirror(1), mirror(2)] as const;
  const clicked = sampling.guide === true ? anyForeground(chosen, random) : undefined;
  const click: Triple | undefined = clicked && [clicked[0] - start[0], clicked[1] - start[1], clicked[2] - start[2]];
  return { from, start, around: group?.value, mirrored, click };
}

/** A voxel of any class, all of them equally likely (as far as they are remembered). */
function anyForeground({ source, classes }: Indexed, random: Draws): Triple {
  let left = random.below(classes.reduce((sum, { at }) => sum + at.length, 0));
  for (const { at } of classes) {
    if (left < at.length) return unravel(at[left] ?? 0, source.shape);
    left -= at.length;
  }
  throw new Error(`internal: a click into ${source.name}, which has no foreground`);
}

/** First and last place a patch may begin; a shorter image sits in the middle of its padding. */
function reach(size: number, patch: number): readonly [number, number] {
  const lacking = Math.max(0, patch - size);
  return lacking > 0 ? [-Math.ceil(lacking / 2), -Math.floor(lacking / 2)] : [0, size - patch];
}

/** Fills `image` [N, C, D, H, W] (a click's map is the last of the channels) and `label` [N, 1, D, H, W] with the batch of a step. */
export function fillBatch(cases: readonly Indexed[], sampling: Sampling, step: number, image: Float32Array, label: Float32Array): readonly Draw[] {
  const size = sampling.patch[0] * sampling.patch[1] * sampling.patch[2];
  invariant(label.length === sampling.batch * size, () => `a label tensor of ${label.length} for ${sampling.batch} patches of ${size}`);
  return Array.from({ length: sampling.batch }, (_, sample) => {
    const draw = choosePatch(cases, sampling, step, sample);
    const source = cases[draw.from]?.source;
    const channels = (source?.channels ?? 0) + (draw.click === undefined ? 0 : 1);
    invariant(source !== undefined && image.length === label.length * channels, () => `an image tensor of ${image.length} for ${channels} channels`);
    const whole = caseVoxels(source);
    for (let channel = 0; channel < source.channels; channel++) {
      const at = (sample * channels + channel) * size;
      cropInto(source.image.subarray(channel * whole, (channel + 1) * whole), source.shape, draw.start, sampling.patch, image, at);
      mirrorBox(image, at, sampling.patch, draw);
    }
    if (draw.click !== undefined) {
      const at = (sample * channels + source.channels) * size;
      clickMap(draw.click, sampling.patch, source.spacing, image, at);
      mirrorBox(image, at, sampling.patch, draw);
    }
    if (source.label === undefined) label.fill(0, sample * size, (sample + 1) * size);
    else cropInto(source.label, source.shape, draw.start, sampling.patch, label, sample * size);
    mirrorBox(label, sample * size, sampling.patch, draw);
    return draw;
  });
}

function mirrorBox(box: Float32Array, at: number, size: Triple, draw: Draw): void {
  for (const axis of [0, 1, 2] as const) if (draw.mirrored[axis]) flipAxis(box, at, size, axis);
}
