// Reproducible test values.

/** `count` values in [-1, 1), never the same for two seeds. */
export function noise(count: number, seed: number): Float64Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround((state / 4294967296) * 2 - 1);
  });
}
