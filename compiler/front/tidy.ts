// Indices in their simplest form, so that their ranges are tight.

import type { Expr } from "../ir/expr.ts";
import { partsOf, withParts } from "../ir/rewrite.ts";

const tidied = new WeakMap<Expr, Expr>();

/** The expression with its divisions simplified. */
export function tidy(e: Expr): Expr {
  const before = tidied.get(e);
  if (before) return before;
  const made = withParts(e, partsOf(e).map(tidy));
  tidied.set(e, made);
  return made;
}
