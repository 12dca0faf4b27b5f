// Simplifies whole expressions: affine normal form, digits, decided comparisons, folded constants.

import { reduce, type Expr } from "../ir/expr.ts";
import { Notes } from "../ir/notes.ts";
import { partsOf, withParts } from "../ir/rewrite.ts";
import { simplifyNode } from "../ir/simplify.ts";

const simplified = new Notes<Expr>();

/** An equal expression with every node simplified once, parts before wholes. */
export function simplifyExpression(e: Expr): Expr {
  const known = simplified.get(e);
  if (known) return known;
  const parts = partsOf(e).map(simplifyExpression);
  const made = e.kind === "reduce"
    ? reduce(e.by, e.over, parts.slice(0, -1), parts[parts.length - 1] as Expr)
    : constantOf(e) ?? (parts.length === 0 ? e : simplifyNode(withParts(e, parts)));
  simplified.set(e, made);
  return made;
}

/** The number that a read gives wherever it looks. */
function constantOf(e: Expr): Expr | undefined {
  if (e.kind !== "read" || (e.outside !== "never" && e.outside !== "edge")) return undefined;
  const { body } = e.tensor;
  return body?.kind === "number" ? body : undefined;
}
