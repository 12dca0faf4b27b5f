// nnU-Net's five folds: the same cases in the same folds, so that scores can be compared.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { readBytes } from "../files.ts";

/** One fold, under the names of `splits_final.json`. */
export interface Fold {
  readonly train: readonly string[];
  readonly val: readonly string[];
}

/** The seed and the number of folds that nnU-Net uses. */
export const FOLD_SEED = 12345;
export const FOLDS = 5;

const WORDS = 624;
const MIDDLE = 397;

/** The whole 32-bit numbers of the Mersenne Twister MT19937, seeded as numpy's `RandomState` is (Matsumoto and Nishimura, 1998). */
export function twister(seed: number): () => number {
  const state = new Uint32Array(WORDS);
  state[0] = seed;
  for (let n = 1; n < WORDS; n++) {
    const before = state[n - 1] ?? 0;
    state[n] = Math.imul(before ^ (before >>> 30), 1812433253) + n;
  }
  let at = WORDS;
  return () => {
    if (at === WORDS) {
      for (let n = 0; n < WORDS; n++) {
        const mixed = ((state[n] ?? 0) & 0x80000000) | ((state[(n + 1) % WORDS] ?? 0) & 0x7fffffff);
        state[n] = (state[(n + MIDDLE) % WORDS] ?? 0) ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let word = state[at++] ?? 0;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}

/** 0 to `count` - 1 in the order of `numpy.random.RandomState(seed).permutation`. */
export function shuffled(count: number, seed: number): readonly number[] {
  const next = twister(seed);
  const order = Array.from({ length: count }, (_, n) => n);
  for (let n = count - 1; n > 0; n--) {
    // As many bits as the largest answer has; what is still too large is drawn again.
    const mask = 2 ** (32 - Math.clz32(n)) - 1;
    let other = (next() & mask) >>> 0;
    while (other > n) other = (next() & mask) >>> 0;
    [order[n], order[other]] = [order[other] ?? 0, order[n] ?? 0];
  }
  return order;
}

/**
 * The folds of the cases, in the order of their names: scikit-learn's `KFold(n_splits = 5, shuffle = True, random_state = 12345)`.
 * Fewer cases than folds make as many folds as there are cases; one case makes none.
 */
export function foldsOf(names: readonly string[]): readonly Fold[] {
  const sorted = [...names].sort(byCodePoints);
  const order = shuffled(sorted.length, FOLD_SEED);
  const count = Math.min(FOLDS, sorted.length);
  if (count < 2) return [];
  let from = 0;
  return Array.from({ length: count }, (_, fold) => {
    const size = Math.floor(sorted.length / count) + (fold < sorted.length % count ? 1 : 0);
    const held = new Set(order.slice(from, from + size));
    from += size;
    return { train: sorted.filter((_name, n) => !held.has(n)), val: sorted.filter((_name, n) => held.has(n)) };
  });
}

/** The folds that a `splits_final.json` in the folder of a data set says, else nnU-Net's own; a `Fault` where it names cases that are not there. */
export function foldsIn(folder: string, names: readonly string[]): readonly Fold[] {
  const path = join(folder, "splits_final.json");
  if (!existsSync(path)) return foldsOf(names);
  const wrong = (fact: string): Fault => new Fault(diagnostic("N1024", `${path} cannot be used`, { facts: [fact], hint: "`netc data plan DIR -o OUT` writes one; or take it away, for folds by nnU-Net's rule" }));
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(readBytes(path)));
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw wrong(error instanceof Error ? `${error.message}.` : String(error));
  }
  const texts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((one) => typeof one === "string");
  const isFold = (value: unknown): value is Fold => typeof value === "object" && value !== null && "train" in value && "val" in value && texts(value.train) && texts(value.val);
  if (!Array.isArray(json) || !json.every(isFold)) throw wrong("It is not a list of { \"train\": […], \"val\": […] }.");
  const known = new Set(names);
  const stray = json.flatMap(({ train, val }) => [...train, ...val]).find((name) => !known.has(name));
  if (stray !== undefined) throw wrong(`It names ${stray}, which is no training case.`);
  const both = json.flatMap(({ train, val }) => val.filter((name) => train.includes(name)))[0];
  if (both !== undefined) throw wrong(`It trains on ${both} in a fold that is scored on it.`);
  return json;
}

/** Python's order of texts, which differs from JavaScript's beyond the first 65 536 characters. */
function byCodePoints(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let n = 0; n < Math.min(left.length, right.length); n++) {
    const apart = (left[n]?.codePointAt(0) ?? 0) - (right[n]?.codePointAt(0) ?? 0);
    if (apart !== 0) return apart;
  }
  return left.length - right.length;
}
