// Evaluation as its parts call it: through the world, so that no import goes in a circle.

import type { Term } from "../../grammar/ast.ts";
import type { Env, Value } from "./values.ts";

/** The value of a term; with `fraction`, `/` between whole numbers does not floor. */
export function evaluate(term: Term, env: Env, fraction = false): Value {
  return env.world.evaluate(term, env, fraction);
}
