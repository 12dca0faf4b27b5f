// Families: `e[0] = …`, `e[i in 1..=4] = … e[i - 1] …`, lists defined by cases and computed on demand.

import type { Binder, Term } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { fault, force, lazy, lookup, within } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { describe, whole, type Env, type Family, type Lazy, type Value } from "./values.ts";

/** One equation of a family. */
export interface Case {
  readonly binders: readonly Binder[];
  readonly value: Term;
  readonly when: Term | undefined;
  readonly span: Span;
}

/** What one binder of a case covers: one index, or a named range of them. */
type Cover = { readonly name: string | undefined; readonly from: number; readonly to: number; readonly span: Span };

const most = 1 << 20;

/** A family; `make` evaluates the right side of a case for one index. */
export function family(
  name: string, cases: readonly Case[], env: Env, make: (c: Case, key: string, inner: Env) => Value,
): Family {
  const entries = new Map<string, Lazy>();
  const covers = new Map<Case, readonly Cover[]>();
  const coverOf = (c: Case): readonly Cover[] => {
    let found = covers.get(c);
    if (!found) {
      found = c.binders.map((b) => cover(b, env));
      covers.set(c, found);
    }
    return found;
  };
  const exists = (c: Case): boolean => {
    if (!c.when) return true;
    const v = evaluate(c.when, env);
    if (v.kind === "bool") return v.value;
    throw fault(env, "N0302", `\`when\` is true or false, this is ${describe(v)}`, c.when.span, "");
  };
  const get = (index: readonly number[], from: Env, span: Span): Value => {
    const key = `${name}[${index.join(", ")}]`;
    let entry = entries.get(key);
    if (!entry) {
      const matching = cases.filter((c) => matches(coverOf(c), index) && exists(c));
      const [c, other] = matching;
      if (!c) throw hole(name, key, cases, coverOf, exists, from, span);
      if (other) {
        throw fault(env, "N0203", `\`${key}\` is defined twice`, other.span, "and again here", { also: [{ span: c.span, text: "first here" }] });
      }
      if (++env.world.entries > most) throw fault(env, "N0504", "these families have too many entries", c.span, `more than ${most}`);
      const names = coverOf(c).flatMap((k, i): (readonly [string, Value])[] => (k.name === undefined ? [] : [[k.name, whole(index[i] ?? 0)]]));
      entry = lazy(key, c.span, () => make(c, `[${index.join(", ")}]`, within(env, names, c.span)));
      entries.set(key, entry);
    }
    return force(entry, from, span);
  };
  const indices = (): readonly (readonly number[])[] => cases.filter(exists).flatMap((c) => product(coverOf(c), env));
  return { kind: "family", name, get, indices };
}

function matches(covers: readonly Cover[], index: readonly number[]): boolean {
  return covers.length === index.length && covers.every((c, i) => (index[i] ?? -1) >= c.from && (index[i] ?? -1) < c.to);
}

function cover(b: Binder, env: Env): Cover {
  if (!b.range) {
    if (b.term.kind === "name" && !lookup(env.scope, b.term.text)) {
      throw fault(env, "N0602", `how far does \`${b.term.text}\` run?`, b.span, "a family's index is static", { hint: `write \`${b.term.text} in 0..=4\`` });
    }
    const v = evaluate(b.term, env);
    if (v.kind !== "int") throw fault(env, "N0302", `an entry of a family has a whole number, this is ${describe(v)}`, b.span, "");
    return { name: undefined, from: v.value, to: v.value + 1, span: b.span };
  }
  const v = evaluate(b.range, env);
  if (v.kind !== "range") throw fault(env, "N0302", `an index runs over a range, this is ${describe(v)}`, b.range.span, "e.g. `1..=4`");
  if (v.to - v.from > most) throw fault(env, "N0504", "these families have too many entries", b.range.span, `more than ${most}`);
  return { name: b.term.kind === "name" ? b.term.text : undefined, from: v.from, to: v.to, span: b.span };
}

function product(covers: readonly Cover[], env: Env): readonly (readonly number[])[] {
  let out: number[][] = [[]];
  for (const c of covers) {
    if (out.length * (c.to - c.from) > most) throw fault(env, "N0504", "these families have too many entries", c.span, `more than ${most}`);
    out = out.flatMap((head) => Array.from({ length: Math.max(0, c.to - c.from) }, (_, i) => [...head, c.from + i]));
  }
  return out;
}

function hole(
  name: string, key: string, cases: readonly Case[], coverOf: (c: Case) => readonly Cover[], exists: (c: Case) => boolean, env: Env, span: Span,
): Error {
  const off = cases.find((c) => !exists(c));
  const parts = cases.filter(exists).map((c) => coverOf(c).map((k) => (k.to === k.from + 1 ? `${k.from}` : `${k.from}..<${k.to}`)).join(", "));
  return fault(env, "N0501", `\`${key}\` is used but never defined`, span, `this is \`${key}\``, {
    facts: [parts.length > 0 ? `\`${name}\` is defined for ${parts.join(" and ")}.` : `No case of \`${name}\` exists here.`,
      ...(off ? ["A case with `when` does not exist in this mode."] : [])],
    hint: `add a case, e.g. \`${key} = …\``,
  });
}
