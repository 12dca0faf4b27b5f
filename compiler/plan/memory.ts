// Buffer reuse: values whose lives do not overlap share a buffer.

/** A value that lives from step `first` to step `last`, both included. */
export interface Life {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Gives every value a buffer, the largest values first, each to the buffer that fits it best among those free for its
 * whole life ("greedy by size", Pisarchyk and Lee, 2020, arXiv 2001.03288). Returns each value's buffer and the buffers' sizes.
 */
export function assign(lives: readonly Life[]): { readonly buffer: readonly number[]; readonly bytes: readonly number[] } {
  const buffers: { bytes: number; lives: Life[] }[] = [];
  const buffer = new Array<number>(lives.length).fill(-1);
  const bySize = lives.map((life, i) => ({ life, i })).sort((a, b) => b.life.bytes - a.life.bytes || a.i - b.i);
  for (const { life, i } of bySize) {
    let best = -1;
    buffers.forEach((b, k) => {
      if (b.lives.some((o) => o.first <= life.last && life.first <= o.last)) return;
      if (best < 0 || b.bytes < (buffers[best]?.bytes ?? 0)) best = k;
    });
    if (best < 0) best = buffers.push({ bytes: life.bytes, lives: [] }) - 1;
    buffers[best]?.lives.push(life);
    buffer[i] = best;
  }
  return { buffer, bytes: buffers.map((b) => b.bytes) };
}
