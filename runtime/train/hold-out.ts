// Which cases a run learns from and which it only watches.

import { draws } from "../draws.ts";

/** Names of cases. */
export interface Split {
  readonly training: readonly string[];
  /** Empty when there are too few cases to spare any. */
  readonly heldOut: readonly string[];
}

/** Fewer cases than this are all learned from. */
const fewCases = 10;

/** Holds out `wanted` cases, by default a fifth of ten or more and none of fewer; which ones depends on the seed alone. */
export function splitCases(names: readonly string[], wanted: number | undefined, seed: number): Split {
  const count = Math.min(wanted ?? (names.length < fewCases ? 0 : Math.floor(names.length / 5)), Math.max(0, names.length - 1));
  const random = draws(seed, 0x73706c /* "spl" */);
  const left = [...names];
  const heldOut = new Set<string>();
  while (heldOut.size < count) for (const name of left.splice(random.below(left.length), 1)) heldOut.add(name);
  return { training: names.filter((name) => !heldOut.has(name)), heldOut: names.filter((name) => heldOut.has(name)) };
}
