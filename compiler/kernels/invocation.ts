// From an invocation's number to one index per axis.

import type { Axis } from "../ir/expr.ts";
import type { Local, Statement, Value } from "./loops.ts";

/** Takes `id` apart into an index per axis, the last axis fastest; what computes them is added to `statements`. */
export function unravel(axes: readonly Axis[], id: Local, statements: Statement[]): Map<Axis, Value> {
  const bound = new Map<Axis, Value>();
  let rest: Value = { kind: "local", local: id, type: "int" };
  for (let k = axes.length - 1; k >= 0; k--) {
    const a = axes[k] as Axis;
    if (a.extent === 1) continue;
    const number: Value = { kind: "number", value: a.extent, type: "int" };
    const isLast = axes.slice(0, k).every((b) => b.extent === 1);
    const local: Local = { name: `at${k}_${a.name.replace(/[^A-Za-z]/g, "")}`, type: "int", vector: false };
    statements.push({ kind: "let", local, value: isLast ? rest : { kind: "apply", fn: "imod", args: [rest, number], type: "int" } });
    bound.set(a, { kind: "local", local, type: "int" });
    if (!isLast) rest = { kind: "apply", fn: "idiv", args: [rest, number], type: "int" };
  }
  return bound;
}
