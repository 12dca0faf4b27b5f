// Simplifies whole expressions: affine normal form, digits, decided comparisons, folded constants.

import type { Expr } from "./expr.ts";
import { Notes } from "./notes.ts";
import { changed } from "./rewrite.ts";
import { simplifyNode } from "./simplify.ts";

const simplified = new Notes<Expr>();

/** An equal expression with every node simplified once, parts before wholes. */
export function simplifyExpression(e: Expr): Expr {
  if (e.kind === "number" || e.kind === "axis") return e;
  const known = simplified.get(e);
  if (known) return known;
  const made = constantOf(e) ?? simplifyNode(changed(e, simplifyExpression));
  simplified.set(e, made);
  return made;
}

/** The number that a read gives wherever it looks. */
function constantOf(e: Expr): Expr | undefined {
  if (e.kind !== "read" || (e.outside !== "never" && e.outside !== "edge")) return undefined;
  const { body } = e.tensor;
  return body?.kind === "number" ? body : undefined;
}
