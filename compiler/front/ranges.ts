// How far an index runs: from its own `in`, or from a use where it stands alone in a read.

import type { Binder, Term } from "../../grammar/ast.ts";
import { index, int, apply, makeAxis, type Axis, type Expr } from "../ir/expr.ts";
import { shapeOf, type Tensor } from "../ir/graph.ts";
import { fault, force, lookup } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { packLength } from "./reads.ts";
import { describe, scalar, type Env, type Value } from "./values.ts";
import { namesIn, partsOfTerm } from "./walk.ts";

/** An index, or a pack of them: where it begins and how far it runs, per axis. */
export interface Run {
  readonly name: string;
  readonly pack: boolean;
  readonly from: readonly number[];
  readonly extents: readonly number[];
}

/** The runs of all binders; `body` is where they are used. */
export function runsOf(binders: readonly Binder[], body: readonly Term[], env: Env): readonly Run[] {
  const found = new Map<string, Run>();
  const open = new Map<string, boolean>();
  for (const b of binders) {
    const name = nameOf(b, env);
    if (b.range) found.set(name, fromRange(b, name, b.range, env));
    else open.set(name, b.pack);
  }
  // Where several packs of one read have no length yet, they are taken to be equally long: but only when nothing else tells.
  for (let even = false; [...open.keys()].some((n) => !found.has(n)); ) {
    const before = found.size;
    for (const t of body) search(t, { open, found, env, even });
    if (found.size > before) even = false;
    else if (even) break;
    else even = true;
  }
  return binders.map((b) => {
    const name = nameOf(b, env);
    const run = found.get(name);
    if (run) return run;
    throw fault(env, "N0602", `how far does \`${name}\` run?`, b.span, "it never indexes an axis on its own", {
      hint: `write \`${b.pack ? "*" : ""}${name} in 0..<…\``,
    });
  });
}

function nameOf(b: Binder, env: Env): string {
  if (b.term.kind === "name") return b.term.text;
  throw fault(env, "N0302", "an index is a name", b.span, "this is a value");
}

function fromRange(b: Binder, name: string, range: Term, env: Env): Run {
  const one = (inner: Env): { from: number; to: number } => {
    const v = evaluate(range, inner);
    if (v.kind === "range" && v.to > v.from) return v;
    if (v.kind === "range") throw fault(env, "N0602", `\`${name}\` runs over nothing`, range.span, `${v.from}..<${v.to}`);
    throw fault(env, "N0302", `an index runs over a range, this is ${describe(v)}`, range.span, "e.g. `0..<4`");
  };
  const rank = b.pack ? packLength(range, env) : 1;
  if (rank === undefined) throw fault(env, "N0602", `over how many axes does \`${name}\` run?`, range.span, "no size is in it");
  const runs = Array.from({ length: rank }, (_, axis) => one(b.pack ? { ...env, axis } : env));
  return { name, pack: b.pack, from: runs.map((r) => r.from), extents: runs.map((r) => r.to - r.from) };
}

interface Search {
  /** The indices without a range, and whether each is a pack. */
  readonly open: ReadonlyMap<string, boolean>;
  readonly found: Map<string, Run>;
  readonly env: Env;
  readonly even: boolean;
}

/** Looks for uses of open indices that stand alone. */
function search(term: Term, s: Search): void {
  if (term.kind === "reduction") {
    // Indices bound inside hide those of the same name outside.
    const hidden = new Set(term.over.flatMap((b) => (b.term.kind === "name" ? [b.term.text] : [])));
    const open = new Map([...s.open].filter(([n]) => !hidden.has(n)));
    for (const part of partsOfTerm(term)) search(part, { ...s, open });
    return;
  }
  if (term.kind === "index") {
    const tensor = tensorOfHead(term.head, s.env);
    if (tensor && [...s.open.keys()].some((n) => namesIn(term).has(n))) learn(term, tensor, s);
  }
  for (const part of partsOfTerm(term)) search(part, s);
}

function learn(term: Extract<Term, { kind: "index" }>, tensor: Tensor, { open, found, env, even }: Search): void {
  const shape = shapeOf(tensor);
  const lengths = term.at.map((e) => (e.pack ? lengthOf(e.term, open, found, env) : 1));
  const unknown = lengths.filter((n) => n === undefined).length;
  const rest = (shape.length - lengths.reduce<number>((n, l) => n + (l ?? 0), 0)) / Math.max(unknown, 1);
  if (rest < 0 || (unknown > 1 && !even) || !Number.isInteger(rest)) return;
  let at = 0;
  for (const [i, e] of term.at.entries()) {
    const n = lengths[i] ?? rest;
    const t = e.term;
    if (t.kind === "name" && open.get(t.text) === e.pack && !found.has(t.text)) {
      const extents = shape.slice(at, at + n);
      found.set(t.text, { name: t.text, pack: e.pack, from: extents.map(() => 0), extents });
    }
    at += n;
  }
}

function lengthOf(term: Term, open: ReadonlyMap<string, boolean>, found: ReadonlyMap<string, Run>, env: Env): number | undefined {
  for (const name of namesIn(term)) {
    const run = found.get(name);
    if (run?.pack) return run.extents.length;
    if (open.has(name)) return undefined;
  }
  return packLength(term, env);
}

function tensorOfHead(head: Term, env: Env): Tensor | undefined {
  if (head.kind === "member" || head.kind === "group") return tensorOfHead(head.kind === "member" ? head.head : head.term, env);
  if (head.kind !== "name") return undefined;
  const entry = lookup(env.scope, head.text);
  if (!entry || entry.state === "busy") return undefined;
  const v = force(entry, env, head.span);
  return v.kind === "tensor" ? v.tensor : undefined;
}

/** Axes for a run, and the value its name has in the body. */
export function bindRun(run: Run): { axes: readonly Axis[]; value: Value } {
  const axes = run.extents.map((extent, i) => makeAxis(run.extents.length === 1 ? run.name : `${run.name}${i}`, extent));
  const at: Expr[] = axes.map((a, i) => {
    const from = run.from[i] ?? 0;
    return from === 0 ? index(a) : apply("add", index(a), int(from));
  });
  const [only] = at;
  return { axes, value: run.pack || !only ? { kind: "pack", items: at } : scalar(only) };
}
