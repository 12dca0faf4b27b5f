// Indices in their simplest form, so that their ranges are tight.

import type { Expr } from "../ir/expr.ts";
import { Notes } from "../ir/notes.ts";
import { changed } from "../ir/rewrite.ts";
import { simplifyNode } from "../ir/simplify.ts";

const tidied = new Notes<Expr>();

/** The expression with its divisions simplified. */
export function tidy(e: Expr): Expr {
  if (e.parts.length === 0) return e;
  const before = tidied.get(e);
  if (before) return before;
  const made = simplifyNode(changed(e, tidy));
  tidied.set(e, made);
  return made;
}
