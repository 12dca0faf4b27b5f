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
    const terms = new Map<string, number>();
    if (this.#most < Infinity) signed.forEach(({ key }, i) => terms.get(key) ?? terms.set(key, termsOf(groups[i] as Group)));
    for (let n = 0; ; n++) {
      const few = this.#lanes.wanted * least * further ** n;
      const made = groups.map((g, i) => {
        const signature = signed[i] as Signature;
        return ((terms.get(signature.key) ?? Infinity) < few ? this.#short : this.#long).of(g, signature);
      });
      if (n === mostTries || this.isKept(made.map((m) => m.loops))) return made;
    }
  }

  /** Whether a driver keeps the compiled kernels of a step of these programs. */
  isKept(programs: readonly Loops[]): boolean {
    if (this.#most === Infinity) return true;
    const texts = new Set(programs.map((p) => p.like ?? p));
    return [...texts].reduce((n, p) => n + this.#lengthOf(p), 0) <= this.#most;
  }

  #lengthOf(program: Loops): number {
    const known = this.#lengths.get(program) ?? accessesOf(program).reduce((n, a) => n + a.elements, 0);
    this.#lengths.set(program, known);
    return known;
  }
}
