// Tables of weight names: which entry of an official state dictionary is which of our paths.

import { diagnostic, Fault } from "../report/diagnostic.ts";
import type { SourceFile, Span } from "../source.ts";

/** `official = ours`, both with integer variables in braces. */
export interface NameRule {
  readonly official: Pattern;
  readonly ours: Pattern;
}

/** A table as read: its rules, and its constants, each the largest number our paths have at a place. */
export interface NameTable {
  readonly rules: readonly NameRule[];
  readonly constants: readonly { readonly name: string; readonly pattern: Pattern }[];
}

/** Text with sums of variables, constants and numbers in it. */
interface Pattern {
  readonly texts: readonly string[];
  readonly sums: readonly Sum[];
}

/** `number + Σ sign · name`. */
interface Sum {
  readonly number: number;
  readonly names: readonly { readonly name: string; readonly sign: 1 | -1 }[];
}

/** Reads a table; the top of `nets/mednext.names` says how one is written. */
export function parseNames(text: string, path = "names"): NameTable {
  const file: SourceFile = { path, text };
  const rules: NameRule[] = [];
  const constants: { name: string; pattern: Pattern }[] = [];
  const kinds = new Map<string, readonly (readonly [string, string])[]>();
  let offset = 0;
  for (const raw of text.split("\n")) {
    const span: Span = { file, start: offset, end: offset + raw.length };
    offset += raw.length + 1;
    const line = raw.replace(/#.*$/, "").trim();
    if (line === "") continue;
    const at = line.indexOf(" ");
    const [word, rest] = [line.slice(0, at < 0 ? line.length : at), at < 0 ? "" : line.slice(at + 1).trim()];
    if (word === "kind") {
      const [name = "", ...pairs] = rest.split(/[\s,]+/);
      kinds.set(name, [...(kinds.get(name) ?? []), ...splitPairs(pairs.join(" "), span)]);
    } else if (word === "last") {
      const [name, pattern] = sides(rest, span);
      constants.push({ name, pattern: patternOf(pattern, span) });
    } else {
      const pairs = kinds.get(word);
      if (!pairs) throw unreadable(span, `there is no kind \`${word}\``);
      const [official, ours] = sides(rest, span);
      for (const [o, w] of pairs) rules.push({ official: patternOf(`${official}.${o}`, span), ours: patternOf(`${ours}.${w}`, span) });
    }
  }
  return { rules, constants };
}

function splitPairs(text: string, span: Span): readonly (readonly [string, string])[] {
  return [...text.matchAll(/(\S+)\s*=\s*(\S+)/g)].map((m) => {
    const [, official, ours] = m;
    if (official === undefined || ours === undefined) throw unreadable(span, "a kind is a list of `official=ours`");
    return [official, ours] as const;
  });
}

function sides(text: string, span: Span): [string, string] {
  const [left, right, more] = text.split("=").map((s) => s.trim());
  if (!left || !right || more !== undefined) throw unreadable(span, "a rule is `official = ours`");
  return [left, right];
}

function unreadable(span: Span, why: string): Fault {
  return new Fault(diagnostic("N0703", "a line of a name table cannot be read", { labels: [{ span, text: why }] }));
}

function patternOf(text: string, span: Span): Pattern {
  const parts = text.split(/\{([^}]*)\}/);
  return { texts: parts.filter((_, i) => i % 2 === 0), sums: parts.filter((_, i) => i % 2 === 1).map((s) => sumOf(s, span)) };
}

function sumOf(text: string, span: Span): Sum {
  const terms = [...text.replace(/\s/g, "").matchAll(/([+-]?)([A-Za-z]\w*|\d+)/g)];
  if (terms.length === 0 || terms.map((m) => m[0]).join("") !== text.replace(/\s/g, "")) throw unreadable(span, `\`{${text}}\` is not a sum`);
  let number = 0;
  const names: { name: string; sign: 1 | -1 }[] = [];
  for (const [, s, atom = ""] of terms) {
    const sign = s === "-" ? -1 : 1;
    if (/^\d/.test(atom)) number += sign * Number(atom);
    else names.push({ name: atom, sign });
  }
  return { number, names };
}

/** The official name of every one of our paths that a rule covers; the first rule that fits counts. */
export function officialNames(table: NameTable, ourPaths: Iterable<string>): Map<string, string> {
  const paths = [...ourPaths];
  const constants = constantsOf(table, paths);
  const out = new Map<string, string>();
  for (const path of paths) {
    for (const rule of table.rules) {
      const found = match(rule.ours, path, constants);
      const name = found && write(rule.official, found);
      if (name === undefined) continue;
      out.set(path, name);
      break;
    }
  }
  return out;
}

/** The same the other way round: our path of every official name. */
export function ourNames(table: NameTable, ourPaths: Iterable<string>): Map<string, string> {
  return new Map([...officialNames(table, ourPaths)].map(([ours, official]) => [official, ours]));
}

function constantsOf(table: NameTable, paths: readonly string[]): ReadonlyMap<string, number> {
  const known = new Map<string, number>();
  for (const { name, pattern } of table.constants) {
    const values = paths.flatMap((p) => {
      const found = match(pattern, p, known, true)?.get(name);
      return found === undefined ? [] : [found];
    });
    if (values.length > 0) known.set(name, Math.max(...values));
  }
  return known;
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

const compiled = new WeakMap<Pattern, RegExp>();

function regexp(p: Pattern, prefix: boolean): RegExp {
  let made = compiled.get(p);
  if (!made) {
    made = new RegExp(`^${p.texts.map(escape).join("(\\d+)")}${prefix ? "" : "$"}`);
    compiled.set(p, made);
  }
  return made;
}

/** The variables for which the pattern is the text; undefined where there are none. */
function match(p: Pattern, text: string, constants: ReadonlyMap<string, number>, prefix = false): Map<string, number> | undefined {
  const found = regexp(p, prefix).exec(text);
  if (!found) return undefined;
  const vars = new Map(constants);
  for (const [i, sum] of p.sums.entries()) {
    let rest = Number(found[i + 1]) - sum.number;
    let open: Sum["names"][number] | undefined;
    for (const n of sum.names) {
      const value = vars.get(n.name);
      if (value !== undefined) rest -= n.sign * value;
      else if (open) return undefined;
      else open = n;
    }
    if (open) vars.set(open.name, open.sign * rest);
    else if (rest !== 0) return undefined;
  }
  return vars;
}

function write(p: Pattern, vars: ReadonlyMap<string, number>): string | undefined {
  let out = p.texts[0] ?? "";
  for (const [i, sum] of p.sums.entries()) {
    let value = sum.number;
    for (const n of sum.names) {
      const v = vars.get(n.name);
      if (v === undefined) return undefined;
      value += n.sign * v;
    }
    if (value < 0) return undefined;
    out += `${value}${p.texts[i + 1] ?? ""}`;
  }
  return out;
}
