// Buffer reuse: values whose lives do not overlap share memory, and small values lie side by side in a buffer.

/** A value that lives from step `first` to step `last`, both included. */
export interface Life {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  /**
   * Numbers of the values that may not lie in the same buffer: a launch binds a buffer to read or to write, not both.
   * It is enough that one of two names the other.
   */
  readonly apart: readonly number[];
}

/** Where every value lies: number of its buffer, and offset in bytes. */
export interface Places {
  readonly buffer: readonly number[];
  readonly offset: readonly number[];
  /** The sizes of the buffers; the first value of a buffer is as large as the buffer. */
  readonly bytes: readonly number[];
}

/** Bindings begin at multiples of this on every adapter. */
const alignment = 256;

/** What lies in a buffer, and when and where. */
interface Taken {
  readonly first: number;
  readonly last: number;
  readonly from: number;
  readonly to: number;
}

interface Bin {
  readonly bytes: number;
  /** By offset. */
  readonly taken: Taken[];
}

/**
 * Gives every value a place, the largest values first, each in the smallest hole that is free for its whole life, or else in
 * a new buffer of its size ("greedy by size for offset calculation", Pisarchyk and Lee, 2020, arXiv 2001.03288, with a buffer
 * for each value that finds no hole).
 */
export function assign(lives: readonly Life[]): Places {
  const apart = lives.map((l) => new Set(l.apart));
  lives.forEach((l, i) => l.apart.forEach((k) => apart[k]?.add(i)));
  const bins: Bin[] = [];
  const buffer = new Array<number>(lives.length).fill(-1);
  const offset = new Array<number>(lives.length).fill(0);
  const bySize = lives.map((life, i) => ({ life, i, bytes: Math.ceil(life.bytes / alignment) * alignment }));
  bySize.sort((a, b) => b.bytes - a.bytes || a.i - b.i);
  for (const { life, i, bytes } of bySize) {
    const closed = new Set<number | undefined>();
    for (const k of apart[i] ?? []) closed.add(buffer[k]);
    const best = smallestHole(bins, closed, life, bytes) ?? { bin: bins.push({ bytes, taken: [] }) - 1, from: 0 };
    const { taken } = bins[best.bin] as Bin;
    const { from } = best;
    const after = taken.findIndex((t) => t.from > from);
    taken.splice(after < 0 ? taken.length : after, 0, { first: life.first, last: life.last, from, to: from + bytes });
    buffer[i] = best.bin;
    offset[i] = from;
  }
  return { buffer, offset, bytes: bins.map((b) => b.bytes) };
}

/** The smallest hole of at least so many bytes that is free for a whole life, in none of the closed buffers; of equal ones that in the youngest buffer. */
function smallestHole(bins: readonly Bin[], closed: ReadonlySet<number | undefined>, { first, last }: Life, bytes: number): { readonly bin: number; readonly from: number } | undefined {
  let bin = -1;
  let at = 0;
  let smallest = 0;
  // The youngest buffers first: they are of about its size.
  for (let k = bins.length - 1; k >= 0 && (bin < 0 || smallest > bytes); k--) {
    if (closed.has(k)) continue;
    const { bytes: end, taken } = bins[k] as Bin;
    let from = 0;
    for (let i = 0; i <= taken.length; i++) {
      const t = taken[i];
      if (t && (t.first > last || first > t.last)) continue;
      const size = (t ? t.from : end) - from;
      if (size >= bytes && (bin < 0 || size < smallest)) {
        bin = k;
        at = from;
        smallest = size;
      }
      if (t && t.to > from) from = t.to;
    }
  }
  return bin < 0 ? undefined : { bin, from: at };
}
