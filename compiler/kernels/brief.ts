// Writes the smaller launches of a step shortly where a driver keeps only so much compiled code.

import type { Choose, Group, Lanes } from "./kernel.ts";
import { accessesOf, type Loops } from "./loops.ts";
import { signatureOf, type Signature } from "./signature.ts";
import { termsOf } from "./touch.ts";
import { Twins, type Made } from "./twins.ts";

/** Invocations of a subgroup from which on a driver writes out an access for each of so many that it takes long to compile. */
const manyMates = 8;
/**
 * Elements that the texts of a step load and store in all, at most. llvmpipe forgets compiled kernels, and compiles them again in every step,
 * where all together have more than 2^21 instructions; an access takes it some eighty and comes with some twenty of other kinds.
 */
const most = 18_000;
/** Launches that share one have more text in all, a sixth to a third in large steps: where texts fill this much alone, none will share. */
const mostToShare = 0.85;
/** Terms per lane up to which a launch is written shortly in any case, and how much further each try goes. */
const [least, further] = [1 << 13, 8];
const mostTries = 8;

/** Schedules and lowers launches, so that no step has more text than a driver keeps. */
export class Brief {
  readonly #lanes: Lanes;
  readonly #most: number;
  readonly #long: Twins;
  readonly #short: Twins;
  /** Elements that a program loads and stores. */
  readonly #lengths = new Map<Loops, number>();

  constructor(lanes: Lanes, choose?: Choose, limit = most) {
    this.#lanes = lanes;
    this.#most = (lanes.mates ?? 0) >= manyMates ? limit : Infinity;
    this.#long = new Twins(lanes, choose);
    this.#short = new Twins({ ...lanes, brief: true }, choose);
  }

  /** The launches with their programs, in the same order. */
  of(groups: readonly Group[]): readonly Made[] {
    const signed = groups.map(signatureOf);
    const firsts = new Map<string, { readonly place: number; readonly terms: number }>();
    signed.forEach(({ key }, place) => {
      if (!firsts.has(key)) firsts.set(key, { place, terms: this.#most < Infinity ? termsOf(groups[place] as Group) : Infinity });
    });
    for (let n = 0; ; n++) {
      const few = this.#lanes.wanted * least * further ** n;
      const made = (place: number): Made => {
        const signature = signed[place] as Signature;
        return ((firsts.get(signature.key)?.terms ?? Infinity) < few ? this.#short : this.#long).of(groups[place] as Group, signature);
      };
      const texts = [...firsts.values()].map(({ place }) => made(place).loops);
      if (n === mostTries || this.isKept(texts)) return groups.map((_, place) => made(place));
    }
  }

  /** Whether a driver keeps the compiled kernels of a step of these programs, and whether it would if they shared launches. */
  isKept(programs: readonly Loops[], toShare = false): boolean {
    if (this.#most === Infinity) return true;
    const texts = new Set(programs.map((p) => p.like ?? p));
    return [...texts].reduce((n, p) => n + this.#lengthOf(p), 0) <= this.#most * (toShare ? mostToShare : 1);
  }

  #lengthOf(program: Loops): number {
    const known = this.#lengths.get(program) ?? accessesOf(program).reduce((n, a) => n + a.elements, 0);
    this.#lengths.set(program, known);
    return known;
  }
}
