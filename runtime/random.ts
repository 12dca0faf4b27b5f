// Starting values of weights: a counter-based generator, so each value is a pure function of seed, path and index.

import type { Start } from "../compiler/plan/plan.ts";

const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;

/**
 * Threefry-2x32 with 20 rounds (Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", 2011):
 * encrypts the counter `into[0], into[1]` in place with the key `k0, k1`.
 */
export function threefry(into: Uint32Array, k0: number, k1: number): void {
  const k2 = k0 ^ k1 ^ 0x1bd11bda;
  let a = ((into[0] ?? 0) + k0) | 0;
  let b = ((into[1] ?? 0) + k1) | 0;
  let [next, after, last] = [k1, k2, k0];
  for (let round = 0; round < 20; round++) {
    const by = rotations[round & 7] ?? 0;
    a = (a + b) | 0;
    b = ((b << by) | (b >>> (32 - by))) ^ a;
    if ((round & 3) === 3) {
      a = (a + next) | 0;
      b = (b + after + (round + 1) / 4) | 0;
      [next, after, last] = [after, last, next];
    }
  }
  into[0] = a;
  into[1] = b;
}

/** FNV-1a over the UTF-16 units of a text, begun at `basis`. */
function hash(text: string, basis: number): number {
  let h = basis;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/**
 * The first values of the weight at `path`: element `i` depends on `seed`, `path` and `i` alone.
 * Pair `p = floor(i / 2)` is Threefry of the counter (p, hash of the path) under the key (seed, second hash of the path);
 * uniform values take the upper 24 bits of a word, normal ones both words by Box and Muller.
 */
export function startValues(start: Start, count: number, seed: number, path: string): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  if (start.kind === "constant") return values.fill(start.value);
  const words = new Uint32Array(2);
  const key = hash(path, 0x811c9dc5);
  const stream = hash(path, 0x9747b28c);
  for (let i = 0; i < count; i += 2) {
    words[0] = i / 2;
    words[1] = stream;
    threefry(words, seed >>> 0, key);
    const [a = 0, b = 0] = words;
    if (start.kind === "uniform") {
      values[i] = start.bound * ((a >>> 8) * 2 ** -23 - 1);
      if (i + 1 < count) values[i + 1] = start.bound * ((b >>> 8) * 2 ** -23 - 1);
    } else {
      const radius = start.deviation * Math.sqrt(-2 * Math.log((a + 1) * 2 ** -32));
      const angle = 2 * Math.PI * b * 2 ** -32;
      values[i] = radius * Math.cos(angle);
      if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
    }
  }
  return values;
}
