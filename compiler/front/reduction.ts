// `sum[c, *k where …](…)` and its kin.

import type { Term } from "../../grammar/ast.ts";
import { apply, asReal, real, reduce, type Axis, type Expr } from "../ir/expr.ts";
import { fault, within } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { bindRun, runsOf } from "./ranges.ts";
import { expandPack } from "./reads.ts";
import { describe, exprOf, scalar, type Env, type Value } from "./values.ts";

/** The value of a reduction; its indices exist inside it only. */
export function reduction(term: Extract<Term, { kind: "reduction" }>, env: Env): Value {
  if (!env.inOp) {
    throw fault(env, "N0605", "only an op reduces over indices", term.span, "this is a block", {
      hint: "write an `op`; a list of values is summed by `sum([…])`",
    });
  }
  const outer = { ...env, axis: undefined };
  const runs = runsOf(term.over, [term.body, ...term.where.map((w) => w.term)], outer);
  const axes: Axis[] = [];
  const names: (readonly [string, Value])[] = [];
  for (const run of runs) {
    const bound = bindRun(run);
    axes.push(...bound.axes);
    names.push([run.name, bound.value]);
  }
  // The axis of an enclosing `*( … )` stays known: its packs have a component there too.
  const inner = within(env, names, term.span);
  const where = term.where.flatMap((w) => (w.pack ? expandPack(w, inner, undefined) : [evaluate(w.term, inner)]).map((v) => test(v, w.span, env)));
  const value = evaluate(term.body, inner);
  const body = exprOf(value);
  if (!body) throw fault(env, "N0302", `\`${term.by}\` reduces numbers, this is ${describe(value)}`, term.body.span, "");
  if (term.by === "sum" && axes.every((a) => a.extent === 1)) env.world.pointSums.add(body);
  return scalar(make(term.by, axes, where, body.type === "bool" ? apply("select", body, real(1), real(0)) : body));
}

function test(v: Value, span: Term["span"], env: Env): Expr {
  const e = exprOf(v);
  if (e?.type === "bool") return e;
  throw fault(env, "N0302", `\`where\` keeps what satisfies a test, this is ${describe(v)}`, span, "");
}

function make(by: "sum" | "mean" | "max" | "min" | "prod", axes: readonly Axis[], where: readonly Expr[], body: Expr): Expr {
  if (by !== "mean") return reduce(by, axes, where, body);
  const total = reduce("sum", axes, where, asReal(body));
  if (where.length > 0) return apply("div", total, reduce("sum", axes, where, real(1)));
  const count = axes.reduce((n, a) => n * a.extent, 1);
  return apply("mul", total, real(1 / count));
}
