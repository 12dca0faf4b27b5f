// Looking through written expressions: their parts, and the names they mention.

import type { Argument, Element, Term } from "../../grammar/ast.ts";

/** The terms directly inside a term, in source order. Names bound on the way are the caller's business. */
export function partsOfTerm(term: Term): readonly Term[] {
  switch (term.kind) {
    case "pipe": return [term.from, ...term.stages.flatMap(partsOfStage)];
    case "call": return [term.head, ...values(term.args)];
    case "index": return [term.head, ...inside(term.at)];
    case "member": return [term.head];
    case "reduction":
      return [...term.over.flatMap((b) => (b.range ? [b.range] : [])), ...inside(term.where), term.body];
    case "if": return [term.test, term.then, term.otherwise];
    case "binary": return [term.left, term.right];
    case "unary": case "group": return [term.term];
    case "tuple": return term.items;
    case "list": return inside(term.items);
    case "fill": return [term.item, term.count];
    case "each": return [term.range, term.item];
    case "number": case "bool": case "name": case "text": return [];
  }
}

type Stage = Extract<Term, { kind: "pipe" }>["stages"][number];

function partsOfStage(stage: Stage): readonly Term[] {
  return stage.kind === "apply" ? [stage.head, ...values(stage.args ?? [])] : [stage.count, ...stage.stages.flatMap(partsOfStage)];
}

const values = (args: readonly Argument[]): readonly Term[] => args.map((a) => a.value);
const inside = (elements: readonly Element[]): readonly Term[] => elements.map((e) => e.term);

/** Every term in a term, itself first. */
export function* termsIn(term: Term): Generator<Term> {
  yield term;
  for (const part of partsOfTerm(term)) yield* termsIn(part);
}

const mentioned = new WeakMap<Term, ReadonlySet<string>>();

/** The names a term mentions, bound or not. */
export function namesIn(term: Term): ReadonlySet<string> {
  let names = mentioned.get(term);
  if (!names) mentioned.set(term, names = new Set([...termsIn(term)].flatMap((t) => (t.kind === "name" ? [t.text] : []))));
  return names;
}

/** A term without the parentheses around it. */
export function bare(term: Term): Term {
  return term.kind === "group" ? bare(term.term) : term;
}

export const isUpper = (name: string): boolean => /^[A-Z]/.test(name);

type Alias = NonNullable<Stage["as"]>;
const aliases = new WeakMap<Term, readonly Alias[]>();

/** The points of a pipe that are named by `as`, outside repeats. */
export function aliasesIn(term: Term): readonly Alias[] {
  let found = aliases.get(term);
  if (!found) aliases.set(term, found = [...termsIn(term)].flatMap((t) => (t.kind === "pipe" ? t.stages.flatMap((stage) => stage.as ?? []) : [])));
  return found;
}
