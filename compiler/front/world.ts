// A fresh world: what one graph gathers, with the evaluator in it.

import { emptyWorld } from "./env.ts";
import { evaluate } from "./evaluate.ts";
import type { World } from "./values.ts";

/** A world in which nothing has been built yet. */
export function newWorld(training: boolean): World {
  return emptyWorld(training, evaluate);
}
