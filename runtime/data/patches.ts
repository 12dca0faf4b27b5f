// Training batches: which patch of which case every sample is, by nnU-Net's rule, and filling the tensors with it.

import { invariant } from "../../compiler/report/diagnostic.ts";
import { draws } from "../draws.ts";
import type { Draws } from "../draws.ts";
import type { Case } from "./case.ts";
import { caseVoxels } from "./case.ts";
import { clickMap } from "./click.ts";
import { cropInto } from "./crop.ts";
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
  /** What is cut out around each patch, the patch in its middle, so that it can be turned later; by default the patch alone. */
  readonly around?: Triple | undefined;
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
  /** The voxel of the patch that was clicked; it may lie outside. */
  readonly click: Triple | undefined;
}

/** Voxels remembered per class and case, or a hundredth of them where that is more; evenly spread when a class has more. */
const REMEMBERED = 10_000;
/** Walks the unit interval evenly: voxels taken at one distance would lie on a lattice wherever that divides a row. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Finds out where the classes of a case are; or its `regions` of label values, of which the first is 1. */
export function indexed(source: Case, regions?: readonly (readonly number[])[]): Indexed {
  const classesOf = Array.from({ length: 256 }, (_, label) => regions?.flatMap((values, n) => (values.includes(label) ? [n + 1] : [])) ?? [label]);
  const counts = new Uint32Array(256);
  for (const label of source.label ?? []) for (const value of classesOf[label] ?? []) counts[value] = (counts[value] ?? 0) + 1;
  const lists = [...counts].map((count, value) => ({ value, every: Math.max(1, Math.floor(count / Math.max(REMEMBERED, count / 100))), seen: 0, count }));
  const found = lists.map(({ count, every, value }) => (value === 0 ? new Uint32Array() : new Uint32Array(Math.floor(count / every))));
  source.label?.forEach((label, at) => {
    for (const value of classesOf[label] ?? []) {
      const list = lists[value];
      const into = found[value];
      if (value === 0 || list === undefined || into === undefined) continue;
      // One of every so many that follow each other; what is left over at the end is beyond the array, and dropped.
      const group = Math.floor(list.seen / list.every);
      if (list.seen % list.every === Math.floor(((group * GOLDEN) % 1) * list.every)) into[group] = at;
      list.seen++;
    }
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
  const clicked = sampling.guide === true ? anyForeground(chosen, random) : undefined;
  const click: Triple | undefined = clicked && [clicked[0] - start[0], clicked[1] - start[1], clicked[2] - start[2]];
  return { from, start, around: group?.value, click };
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

/**
 * Fills `image` [N, C, D, H, W] (a click's map is the last of the channels) and `label` [N, 1, D, H, W] with the batch of a step, all that is
 * cut out around its patches, or with as much of it as they hold, from sample `first` on.
 */
export function fillBatch(cases: readonly Indexed[], sampling: Sampling, step: number, image: Float32Array, label: Float32Array, first = 0): readonly Draw[] {
  const { patch, around = patch } = sampling;
  const size = around[0] * around[1] * around[2];
  const begin = (at: Triple, axis: 0 | 1 | 2): number => at[axis] - Math.floor((around[axis] - patch[axis]) / 2);
  const count = label.length / size;
  invariant(Number.isInteger(count) && first + count <= sampling.batch, () => `a label tensor of ${label.length} for ${sampling.batch} patches of ${size}`);
  return Array.from({ length: count }, (_, sample) => {
    const draw = choosePatch(cases, sampling, step, first + sample);
    const source = cases[draw.from]?.source;
    const channels = (source?.channels ?? 0) + (draw.click === undefined ? 0 : 1);
    invariant(source !== undefined && image.length === label.length * channels, () => `an image tensor of ${image.length} for ${channels} channels`);
    const whole = caseVoxels(source);
    const start: Triple = [begin(draw.start, 0), begin(draw.start, 1), begin(draw.start, 2)];
    for (let channel = 0; channel < source.channels; channel++) {
      const at = (sample * channels + channel) * size;
      cropInto(source.image.subarray(channel * whole, (channel + 1) * whole), source.shape, start, around, image, at);
    }
    if (draw.click !== undefined) {
      const at = (sample * channels + source.channels) * size;
      clickMap(draw.click, patch, source.spacing, image, at, around);
    }
    if (source.label === undefined) label.fill(0, sample * size, (sample + 1) * size);
    else cropInto(source.label, source.shape, start, around, label, sample * size);
    return draw;
  });
}
