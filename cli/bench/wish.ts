// The flags that say which step of a file is meant, for commands that time one.

import type { Flags, Values } from "../arguments.ts";
import { bytesAsked } from "../memory.ts";
import type { Wish } from "./subject.ts";

/** To be spread into a command's flags. */
export const wishFlags = {
  predict: { kind: "switch", text: "the network as it predicts, instead of the training step of its `train` run" },
  input: { kind: "integers", least: 1, text: "shape of the input: N,C,D,H,W; a run brings its own" },
  set: { kind: "pairs", text: "a parameter of the network or a setting of the run, e.g. --set classes=14" },
  memory: { kind: "text", holds: "4GiB", text: "what the training step may take, as of `netc train`" },
} as const satisfies Flags;

/** What the flags ask for. */
export function wishOf({ input, set, predict, memory }: Values<typeof wishFlags>): Wish {
  return { input, set, predict, budget: memory === undefined ? Infinity : bytesAsked(memory) };
}
