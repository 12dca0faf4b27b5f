// Rebuilding expressions: substitution of axes, replacement of reads, fresh names for bound axes.

import { applied, draw, index, makeAxis, read, reduce, type Axis, type Expr, type Read, type Reduce } from "./expr.ts";
import type { Tensor } from "./graph.ts";
import { Notes } from "./notes.ts";
import { simplifyNode } from "./simplify.ts";

/** The same node over other parts; the parts are simplified together where that is local. */
export function withParts(e: Expr, parts: readonly Expr[]): Expr {
  switch (e.kind) {
    case "number": case "axis": case "dial": return e;
    case "draw": return draw(e.site, parts[0] as Expr);
    case "read": return simplifyNode(read(e.tensor, parts, e.outside));
    case "apply": return simplifyNode(applied(e.fn, parts));
    case "reduce": return reduce(e.by, e.over, parts.slice(0, -1), parts[parts.length - 1] as Expr);
  }
}

/** The expression with each part changed; the same one where none is. */
export function changed(e: Expr, change: (part: Expr) => Expr): Expr {
  const { parts } = e;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Expr;
    const now = change(part);
    if (now === part) continue;
    const next = parts.slice();
    next[i] = now;
    for (let k = i + 1; k < parts.length; k++) next[k] = change(parts[k] as Expr);
    return withParts(e, next);
  }
  return e;
}

/** The parts an expression is made of, in the order `withParts` takes them. */
export const partsOf = (e: Expr): readonly Expr[] => e.parts;

/**
 * Replaces axes by expressions. Bound axes get fresh identities on the way, else a reduction inside a value that is
 * read at an index of the same reduction would capture it. `keepBound` leaves them, for replacements that bring no bound axis.
 */
export function substitute(e: Expr, by: ReadonlyMap<Axis, Expr>, keepBound = false): Expr {
  if (!touches(e, by)) return e;
  if (e.kind === "axis") return by.get(e.axis) as Expr;
  const memo = new Map<Expr, Expr>();
  const go = (x: Expr): Expr => {
    if (!touches(x, by)) return x;
    if (x.kind === "axis") return by.get(x.axis) as Expr;
    let made = memo.get(x);
    if (made) return made;
    if (x.kind === "reduce" && !keepBound) {
      const fresh = x.over.map((a) => makeAxis(a.name, a.extent));
      const inner = new Map(by);
      x.over.forEach((a, i) => inner.set(a, index(fresh[i] as Axis)));
      made = reduce(x.by, fresh, x.where.map((w) => substitute(w, inner)), substitute(x.body, inner));
    } else {
      made = changed(x, go);
    }
    memo.set(x, made);
    return made;
  };
  return go(e);
}

function touches(e: Expr, by: ReadonlyMap<Axis, Expr>): boolean {
  for (const a of e.free) if (by.has(a)) return true;
  return false;
}

/** Replaces every read, also inside reductions, by what `change` makes of it (its indices already changed). */
export function mapReads(e: Expr, change: (r: Read) => Expr): Expr {
  if (!e.reads) return e;
  const memo = new Map<Expr, Expr>();
  const go = (x: Expr): Expr => {
    if (!x.reads) return x;
    const known = memo.get(x);
    if (known) return known;
    const rebuilt = changed(x, go);
    const made = rebuilt.kind === "read" ? change(rebuilt) : rebuilt;
    memo.set(x, made);
    return made;
  };
  return go(e);
}

/** Every distinct sub-expression, parts before wholes. */
export function walk(e: Expr, visit: (x: Expr) => void, seen = new Set<Expr>()): void {
  if (seen.has(e)) return;
  seen.add(e);
  for (const p of e.parts) walk(p, visit, seen);
  visit(e);
}

const readsIn = new Notes<readonly Read[]>();
const noReads: readonly Read[] = [];

/** The distinct reads in an expression, those in an index before the one it belongs to. */
export function readsOf(e: Expr): readonly Read[] {
  if (!e.reads) return noReads;
  let found = readsIn.get(e);
  if (!found) readsIn.set(e, found = collectReads(e));
  return found;
}

const tensorsIn = new Notes<readonly Tensor[]>();

/** The distinct tensors that an expression reads, in the order of `readsOf`. */
export function tensorsOf(e: Expr): readonly Tensor[] {
  let found = tensorsIn.get(e);
  if (!found) tensorsIn.set(e, found = [...new Set(readsOf(e).map((r) => r.tensor))]);
  return found;
}

function collectReads(e: Expr): readonly Read[] {
  const found: Read[] = [];
  const seen = new Set<Expr>();
  const visit = (x: Expr): void => {
    if (!x.reads || seen.has(x)) return;
    seen.add(x);
    for (const p of x.parts) visit(p);
    if (x.kind === "read") found.push(x);
  };
  visit(e);
  // Without the room that growing left.
  return found.slice();
}

/** The reductions of an expression that stand in no other. */
export function outermost(e: Expr): readonly Reduce[] {
  const found: Reduce[] = [];
  const seen = new Set<Expr>();
  const visit = (x: Expr): void => {
    if (seen.has(x)) return;
    seen.add(x);
    if (x.kind === "reduce") found.push(x);
    else if (x.reduces) partsOf(x).forEach(visit);
  };
  visit(e);
  return found;
}
