// Shapes as patterns: a bare size name binds on first sight and is checked after, everything else is checked.

import type { Element } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { fault, known, lookup } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { builtinNames, words } from "./builtins.ts";
import { find } from "./module.ts";
import { showShape, whole, wholes, wholesOf, type Env, type Value } from "./values.ts";
import { namesIn } from "./walk.ts";

/** A part of a pattern that waits until every port is seen. */
interface Later {
  readonly element: Element;
  readonly extents: readonly number[];
  readonly from: number;
}

/** What a shape belongs to, for messages. */
interface Subject {
  readonly name: string;
  readonly owner: string;
  /** Where the tensor was given. */
  readonly span: Span;
  /** Names that `where` defines; they are not bound by a pattern. */
  readonly defined: ReadonlySet<string>;
}

/** Matches a shape, binding names in `env.scope`; returns the checks that must wait. */
export function matchShape(env: Env, pattern: readonly Element[], shape: readonly number[], subject: Subject): (() => void)[] {
  const parts = pattern.map((e) => classify(env, e, subject.defined));
  const least = parts.reduce((n, p) => n + (p.length ?? 0), 0);
  const open = parts.filter((p) => p.length === undefined).length;
  if (open > 1) throw fault(env, "N0405", `\`${subject.name}\` has two runs of axes without a length`, subject.span, "");
  if (open === 0 ? least !== shape.length : least > shape.length) throw wrongRank(env, pattern, shape, least, subject);
  const later: Later[] = [];
  let at = 0;
  for (const part of parts) {
    const n = part.length ?? shape.length - least;
    const extents = shape.slice(at, at + n);
    if (part.bind !== undefined) {
      const value = part.element.pack ? wholes(extents) : whole(extents[0] ?? 0);
      env.scope.names.set(part.bind, known(part.bind, value, part.element.span));
    } else if (part.value) compare(env, part.element, part.value, extents, at, subject);
    else later.push({ element: part.element, extents, from: at });
    at += n;
  }
  return later.map((l) => () => compare(env, l.element, evaluate(l.element.term, env), l.extents, l.from, subject));
}

interface Part {
  readonly element: Element;
  readonly length: number | undefined;
  readonly bind: string | undefined;
  readonly value: Value | undefined;
}

function classify(env: Env, element: Element, defined: ReadonlySet<string>): Part {
  const { term, pack } = element;
  const unknown = [...namesIn(term)].filter((n) => defined.has(n) || !isKnown(env, n));
  if (unknown.length === 0) {
    const value = evaluate(term, env);
    const length = pack ? wholesOf(value)?.length : 1;
    return { element, length, bind: undefined, value };
  }
  const bind = term.kind === "name" && !defined.has(term.text) ? term.text : undefined;
  return { element, length: pack ? undefined : 1, bind, value: undefined };
}

function isKnown(env: Env, name: string): boolean {
  return lookup(env.scope, name) !== undefined || words.has(name) || builtinNames.has(name) || find(env.module, name) !== undefined;
}

function compare(env: Env, element: Element, value: Value, extents: readonly number[], at: number, subject: Subject): void {
  const wanted = wholesOf(value);
  if (!wanted) throw fault(env, "N0302", "an extent is a whole number", element.span, "");
  if (wanted.length !== extents.length) {
    throw fault(env, "N0405", `\`${subject.name}\` has ${extents.length} axes where \`${subject.owner}\` wants ${wanted.length}`, subject.span,
      showShape(extents), { also: [{ span: element.span, text: showShape(wanted) }] });
  }
  const wrong = wanted.findIndex((n, i) => n !== extents[i]);
  if (wrong < 0) return;
  throw fault(env, "N0406", `axis ${at + wrong} of \`${subject.name}\` is ${extents[wrong]}, \`${subject.owner}\` wants ${wanted[wrong]}`,
    subject.span, `${extents[wrong]} here`, { also: [{ span: element.span, text: `this is ${wanted[wrong]}` }] });
}

function wrongRank(env: Env, pattern: readonly Element[], shape: readonly number[], least: number, subject: Subject): Error {
  const written = patternText(pattern);
  const fixed = pattern.flatMap((e) => {
    const bound = e.pack && e.term.kind === "name" ? lookup(env.scope, e.term.text)?.value : undefined;
    return bound?.kind === "list" && e.term.kind === "name" ? [` and *${e.term.text} is fixed to ${bound.items.length} axes`] : [];
  });
  const many = shape.length > least;
  const apart = Math.abs(shape.length - least);
  return fault(env, "N0405", `\`${subject.name}\` has ${count(apart)} too ${many ? "many" : "few"}`, subject.span,
    `${showShape(shape)}, but \`${subject.owner}\` wants ${written}${fixed.join("")}`);
}

const count = (n: number): string => (n === 1 ? "one axis" : `${n} axes`);

/** A pattern as it was written. */
function patternText(pattern: readonly Element[]): string {
  return `[${pattern.map((e) => e.span.file.text.slice(e.span.start, e.span.end)).join(", ")}]`;
}

/** The extents of a shape all of whose names are known. */
export function extentsOf(env: Env, pattern: readonly Element[]): readonly number[] {
  return pattern.flatMap((element) => [...elementExtents(env, element)]);
}

/** The extents one element of a shape stands for: one, or a run. */
export function elementExtents(env: Env, element: Element): readonly number[] {
  const value = evaluate(element.term, env);
  const extents = wholesOf(value);
  if (!extents || (!element.pack && value.kind === "list")) {
    throw fault(env, "N0302", element.pack ? "an extent is a whole number" : "one extent is asked for, this is a list", element.span, "", {
      hint: element.pack ? undefined : "`*` spreads a list over its axes",
    });
  }
  const bad = extents.find((n) => n < 1);
  if (bad !== undefined) {
    throw fault(env, "N0408", `an axis cannot have ${bad} entries`, element.span, `this is ${showShape(extents)}`, {
      hint: bad === 0 ? "the input is too small for so many halvings" : "the kernel is larger than what it slides over",
    });
  }
  return extents;
}
