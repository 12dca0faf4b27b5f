// Chooses what is held and what is made again, so that all that lives at once fits a budget at a low price.

import { Player, type Cuts, type Gap, type Score, type Timeline, type Value } from "../plan/timeline.ts";

export interface Choice {
  readonly cuts: Cuts;
  readonly timeline: Timeline;
}

/** Gaps that are tried in one round once something helps, and when nothing does. */
const tried = { enough: 24, most: 96 };
/** A value this many times smaller than what is made of it is rather held than made again. */
const small = 8;
/** Values this many times smaller than the peak are not worth a launch of their own. */
const tiny = 2000;
/** Where nothing helps, these shares of the budget are aimed at instead: the way down may lead over a pass. */
const lower = [0.85, 0.7, 0.5, 0.25];

type Cut = readonly [value: number, launch: number];

/**
 * Starting from `cuts`, gives up values in the gaps between their uses, those first that free the most memory where it is
 * short for the least work, until at most `budget` bytes live at once. Then takes back what was not needed. Where nothing
 * fits, the least that was met.
 */
export function choose(values: readonly Value[], budget: number, cuts: Cuts = new Map()): Choice {
  let now: Choice = { cuts, timeline: new Player(values, budget).timeline(cuts) };
  let least = now;
  for (const share of [1, ...lower]) {
    const descent = new Descent(values, budget * share);
    for (let next: Choice | undefined = now; next && least.timeline.peak > budget; next = descent.next(next)) {
      now = next;
      if (now.timeline.peak < least.timeline.peak) least = now;
    }
  }
  return least.cuts.size > 0 && least.timeline.peak <= budget ? pruned(values, new Player(values, budget), least) : least;
}

interface Offer {
  readonly added: readonly Cut[];
  readonly gain: number;
  readonly score: number;
}

/** The way down to a budget. */
class Descent {
  readonly #values: readonly Value[];
  readonly #budget: number;
  readonly #player: Player;
  /** What giving up a value in a gap brought for its price when it was last tried; it seldom grows. */
  readonly #known = new Map<string, number>();

  constructor(values: readonly Value[], budget: number) {
    this.#values = values;
    this.#budget = budget;
    this.#player = new Player(values, budget);
  }

  /** Gives up what brings most for its price, and with it what brings about as much; undefined when nothing helps. */
  next(now: Choice): Choice | undefined {
    const before = this.#player.score(now.cuts);
    if (before.excess === 0) return undefined;
    const made = this.#round(now, before);
    if (made || this.#known.size === 0) return made;
    this.#known.clear();
    return this.#round(now, before);
  }

  #round({ cuts: given, timeline }: Choice, before: Score): Choice | undefined {
    const player = this.#player;
    const offers: Offer[] = [];
    let best = 0;
    for (const [i, { gap, bound }] of this.#promising(timeline).entries()) {
      if (bound <= best / 2 || i >= (best > 0 ? tried.enough : tried.most)) break;
      const own: Cut = [gap.value, gap.from + 1];
      const inputs = inputsOf(this.#values, timeline, gap);
      let mine = 0;
      for (const added of inputs.length > 0 ? [[own], [own, ...inputs]] : [[own]]) {
        const { excess, price } = player.score(withCuts(given, added));
        const gain = before.excess - excess;
        if (gain <= 0) continue;
        const score = gain / Math.max(1, price - before.price);
        offers.push({ added, gain, score });
        mine = Math.max(mine, score);
      }
      this.#known.set(`${gap.value} ${gap.from}`, mine);
      best = Math.max(best, mine);
    }
    offers.sort((a, b) => b.score - a.score);
    let cuts = given;
    let { excess } = before;
    for (const { added, gain, score } of offers) {
      if (score < best / 2 || excess === 0) break;
      const more = withCuts(cuts, added);
      const next = player.score(more).excess;
      if (excess - next >= gain / 2) [cuts, excess] = [more, next];
    }
    return cuts === given ? undefined : { cuts, timeline: player.timeline(cuts) };
  }

  /** The gaps in which memory is short, with the most that giving up the value there may bring for its price, best first. */
  #promising({ gaps, live, start, peak }: Timeline): readonly { readonly gap: Gap; readonly bound: number }[] {
    const short = new Int32Array(live.length + 1);
    live.forEach((bytes, at) => {
      short[at + 1] = (short[at] as number) + (bytes > this.#budget ? 1 : 0);
    });
    return gaps.flatMap((gap) => {
      const value = this.#values[gap.value] as Value;
      if (gap.to > value.until || gap.to >= this.#values.length || value.bytes * tiny < peak) return [];
      const moments = (short[start[gap.to] as number] as number) - (short[start[gap.from + 1] as number] as number);
      const bound = Math.min((value.bytes * moments) / Math.max(1, value.price), this.#known.get(`${gap.value} ${gap.from}`) ?? Infinity);
      return bound > 0 ? [{ gap, bound }] : [];
    }).sort((a, b) => b.bound - a.bound);
  }
}

function withCuts(cuts: Cuts, added: readonly Cut[]): Cuts {
  const all = new Map(cuts);
  for (const [value, launch] of added) all.set(value, [...new Set([...(all.get(value) ?? []), launch])].sort((a, b) => a - b));
  return all;
}

/** What else must be given up, else it would be held in the value's place: inputs that are not held so long anyway, and theirs. */
function inputsOf(values: readonly Value[], { makings, start }: Timeline, gap: Gap): readonly Cut[] {
  const all = new Map<number, number>();
  const at = start[gap.to] as number;
  const visit = (i: number): void => {
    for (const r of (values[i] as Value).reads) {
      const value = values[r] as Value;
      if (value.fixed || all.has(r) || value.bytes * small < (values[gap.value] as Value).bytes || value.until < gap.to) continue;
      let end = start[r] as number;
      for (const m of makings) if (m.value === r && m.first < at) end = Math.max(end, m.last);
      if (end >= at) continue;
      all.set(r, launchAt(start, end) + 1);
      visit(r);
    }
  };
  visit(gap.value);
  return [...all];
}

/** The launch that a place among the makings belongs to. */
function launchAt(start: Int32Array, place: number): number {
  let [low, high] = [0, start.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((start[middle] as number) <= place) low = middle;
    else high = middle;
  }
  return low;
}

/** Takes back cuts that the budget does not need, the dearest first. */
function pruned(values: readonly Value[], player: Player, given: Choice): Choice {
  let { cuts } = given;
  let { price } = given.timeline;
  const all = [...cuts].flatMap(([value, launches]) => launches.map((launch): Cut => [value, launch]));
  all.sort(([a], [b]) => (values[b] as Value).price - (values[a] as Value).price);
  for (const [value, launch] of all) {
    const fewer = new Map(cuts);
    const rest = (cuts.get(value) ?? []).filter((c) => c !== launch);
    if (rest.length > 0) fewer.set(value, rest);
    else fewer.delete(value);
    const made = player.score(fewer);
    if (made.excess === 0 && made.price <= price) [cuts, price] = [fewer, made.price];
  }
  return { cuts, timeline: player.timeline(cuts) };
}
