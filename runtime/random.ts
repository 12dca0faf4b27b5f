// Random numbers as a pure function of a seed and a place, so that a resumed run draws what an unbroken one would.

const ROTATIONS: readonly number[] = [13, 15, 26, 6, 17, 29, 16, 24];

/**
 * Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011):
 * a bijection of the counter for every key, whose outputs pass the usual statistical batteries.
 */
export function threefry(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  const keys = [key0 | 0, key1 | 0, key0 ^ key1 ^ 0x1bd11bda];
  let a = (counter0 + key0) | 0;
  let b = (counter1 + key1) | 0;
  for (let round = 0; round < 20; round++) {
    const turn = ROTATIONS[round % 8] ?? 0;
    a = (a + b) | 0;
    b = ((b << turn) | (b >>> (32 - turn))) ^ a;
    if (round % 4 === 3) {
      const mix = (round + 1) / 4;
      a = (a + (keys[mix % 3] ?? 0)) | 0;
      b = (b + (keys[(mix + 1) % 3] ?? 0) + mix) | 0;
    }
  }
  return [a >>> 0, b >>> 0];
}

/** A sequence of draws; each call moves on by one. */
export interface Draws {
  /** Uniform over `0 ..< 1`, with 53 random bits. */
  next(): number;
  /** A whole number, uniform over `0 ..< count`. */
  below(count: number): number;
}

/**
 * The sequence that belongs to `place` under `seed`. Equal arguments give equal sequences,
 * and sequences of different places do not overlap in any way a program could notice.
 */
export function draws(seed: number, ...place: readonly number[]): Draws {
  let key0 = low(seed);
  let key1 = high(seed);
  place.forEach((part, depth) => {
    // The depth keeps (1) and (1, 0) apart; the last word of the counter stays free for it.
    [key0, key1] = threefry(key0, key1, low(part), high(part) ^ ((depth + 1) << 24));
  });
  let count = 0;
  const next = (): number => {
    const [a, b] = threefry(key0, key1, low(count), high(count));
    count++;
    return ((a >>> 5) * 67108864 + (b >>> 6)) / 9007199254740992;
  };
  return { next, below: (limit) => Math.floor(next() * limit) };
}

function low(value: number): number {
  return value >>> 0;
}

function high(value: number): number {
  return Math.floor(value / 4294967296) >>> 0;
}
