// Random choices as a pure function of a seed and a place, so that a resumed run draws what an unbroken one would.

import { threefry } from "./random.ts";

/** A sequence of draws; each call moves on by one. */
export interface Draws {
  /** Uniform over `0 ..< 1`, with 53 random bits. */
  next(): number;
  /** A whole number, uniform over `0 ..< count`. */
  below(count: number): number;
}

/**
 * The sequence that belongs to `place` (whole numbers, e.g. purpose, step, sample) under `seed`. The key of the
 * sequence is the seed enciphered part by part with Threefry; draw n enciphers the counter n under that key.
 * Equal arguments give equal sequences, different places unrelated ones.
 */
export function draws(seed: number, ...place: readonly number[]): Draws {
  const words = new Uint32Array(2);
  let key0 = low(seed);
  let key1 = high(seed);
  for (const part of place) {
    words[0] = low(part);
    // No counter of a draw has this bit, so a key is never a value that was drawn.
    words[1] = high(part) ^ 0x80000000;
    threefry(words, key0, key1);
    [key0, key1] = [words[0] ?? 0, words[1] ?? 0];
  }
  let count = 0;
  const next = (): number => {
    words[0] = low(count);
    words[1] = high(count);
    count++;
    threefry(words, key0, key1);
    return (((words[0] ?? 0) >>> 5) * 67108864 + ((words[1] ?? 0) >>> 6)) / 9007199254740992;
  };
  return { next, below: (limit) => Math.floor(next() * limit) };
}

function low(value: number): number {
  return value >>> 0;
}

function high(value: number): number {
  return Math.floor(value / 4294967296) >>> 0;
}
