// Where a run stopped being numbers: the first tensor that has one that is none, its equation, and the case it came with.

import type { Provenance } from "../../compiler/plan/plan.ts";
import type { Draw, Indexed, Sampling } from "../data/patches.ts";
import { placeText } from "../faults.ts";
import type { Session } from "../session.ts";
import type { Made } from "../watching.ts";
import type { Weights } from "./checkpoint.ts";
import { batchPorts, Feed } from "./feed.ts";
import { dialsAt, setDials, type Length, type Part } from "./loop.ts";
import { firstBroken, gather, isMemory, put } from "./state.ts";

/** A definition without memory of its own. */
export interface Within {
  readonly name: string;
  readonly origin: Provenance;
}

/** What the search goes over. */
export interface Search {
  readonly session: Session;
  readonly cases: readonly Indexed[];
  readonly sampling: Sampling;
  readonly length: Length;
  /** The step that the session stands at, and the one after which something was no number. */
  readonly from: number;
  readonly to: number;
  /** Definitions that were written into a launch, so that their values are seen in its own only. */
  readonly within: (launch: number) => readonly Within[];
  readonly tell: (text: string) => void;
  readonly interrupted: () => boolean;
}

/**
 * Does the steps `from` ..< `to` again, as they were, until weights or loss are no numbers; then that step once more, launch by
 * launch. Gives sentences about what was found; a step is done again with the same bits, so none is a riddle of its own.
 */
export async function culprit(search: Search): Promise<readonly string[]> {
  const { session, cases, sampling, from, to, tell, interrupted } = search;
  const feed = new Feed(session, cases, sampling);
  const { parts } = feed;
  let before = await gather(session);
  for (let step = from; step < to; step++) {
    if (interrupted()) return [];
    tell(`looking for the first value that is no number: step ${step + 1} of ${to} again`);
    let loss = 0;
    for (let part = 0; part < parts; part++) {
      await feed.give(step * parts + part);
      setDials(session, dialsAt(step, search.length, sampling.seed, { part, parts }));
      await session.run({ update: part === parts - 1 });
      loss += (await session.read("loss"))[0] ?? Number.NaN;
    }
    const after = await gather(session);
    if (Number.isFinite(loss) && firstBroken(after) === undefined) {
      before = after;
      continue;
    }
    tell(`looking for the first value that is no number: step ${step + 1}, launch by launch`);
    for (let part = 0; part < parts; part++) {
      await feed.give(step * parts + part);
      const found = await pinned(search, { step, part: { part, parts }, before, ...feed.given });
      if (found.length > 0) return found;
    }
    return [];
  }
  return ["Done again from the checkpoint before, the same steps gave numbers: the device does not repeat itself."];
}

/** A part of a step that breaks, with what the step began with. */
interface Broken {
  readonly step: number;
  readonly part: Part;
  readonly before: ReadonlyMap<string, Weights>;
  readonly images: Float32Array;
  readonly labels: Float32Array;
  readonly draws: readonly Draw[];
}

async function pinned({ session, cases, sampling, length, within, interrupted }: Search, { step, part, before, images, labels, draws }: Broken): Promise<readonly string[]> {
  // By itself: the sum of gradients begins with this part.
  setDials(session, { ...dialsAt(step, length, sampling.seed, part), "gradient/part": 0 });
  const nameOf = (sample: number): string => cases[draws[sample]?.from ?? 0]?.source.name ?? "";
  const per = images.length / draws.length;
  const bad = draws.flatMap((_, n) => (images.subarray(n * per, (n + 1) * per).every(Number.isFinite) ? [] : [nameOf(n)]));
  if (bad.length > 0) return [`The image of ${listed(bad)} has values that are no numbers.`];
  const first = await firstMade(session, before, images, labels);
  if (first === undefined) return [];
  const value = first.values.find((one) => !Number.isFinite(one)) ?? Number.NaN;
  const facts = [`The first is ${Number.isNaN(value) ? "a NaN" : "an infinity"} in \`${first.name}\` of step ${step + 1}: ${first.origin.path}, ${placeText(first.origin)}.`];
  const inner = within(first.launch).map(({ name, origin }) => `\`${name}\` (${origin.path}, ${placeText(origin)})`);
  if (inner.length > 0) facts.push(`It is computed in one go with ${inner.slice(0, 6).join(", ")}${inner.length > 6 ? ` and ${inner.length - 6} more` : ""}.`);
  const guilty: string[] = [];
  for (let n = 0; n < draws.length && draws.length > 1; n++) {
    if (interrupted()) return facts;
    if ((await firstMade(session, before, alone(images, n, draws.length), alone(labels, n, draws.length))) !== undefined) guilty.push(nameOf(n));
  }
  const batch = listed(draws.map((_, n) => nameOf(n)));
  const whose = guilty.length > 0 && guilty.length < draws.length ? `It comes with the patch of ${listed(guilty)} alone; the batch was ${batch}.` : `The batch was ${batch}; each of its patches does it.`;
  return [...facts, draws.length > 1 && guilty.length > 0 ? whose : `The batch was ${batch}.`, ...largest(before)];
}

/** The first launch of a step that makes a value that is no number. */
async function firstMade(session: Session, before: ReadonlyMap<string, Weights>, images: Float32Array, labels: Float32Array): Promise<Made | undefined> {
  const { image, label } = batchPorts(session.plan);
  put(session, before);
  // What an earlier step left behind must not be taken for this one's.
  session.poison({ zeros: true });
  session.write(image.name, images);
  session.write(label.name, labels);
  let first: Made | undefined;
  await session.runWatched((made) => {
    if (made.values.every(Number.isFinite)) return false;
    first = made;
    return true;
  });
  return first;
}

/** A batch made of one of its samples, over and over. */
function alone(batch: Float32Array, sample: number, of: number): Float32Array {
  const size = batch.length / of;
  const out = new Float32Array(batch.length);
  for (let n = 0; n < of; n++) out.set(batch.subarray(sample * size, (sample + 1) * size), n * size);
  return out;
}

/** Weights that have grown beyond all measure say that the rate is too high. */
function largest(before: ReadonlyMap<string, Weights>): readonly string[] {
  let [most, where] = [0, ""];
  for (const [name, { data }] of before) {
    if (isMemory(name)) continue;
    for (const value of data) if (Math.abs(value) > most) [most, where] = [Math.abs(value), name];
  }
  return where === "" ? [] : [`The largest weight before the step was ${Number(most.toPrecision(3))}, in \`${where}\`.`];
}

function listed(names: readonly string[]): string {
  return [...new Set(names)].join(", ");
}
