// Tables of weight names: which entry of an official state dictionary is which of our paths.

import { diagnostic, Fault } from "../report/diagnostic.ts";
import type { SourceFile, Span } from "../source.ts";

/** `official = ours`, both with integer variables in braces. */
export interface NameRule {
  readonly official: Pattern;
  readonly ours: Pattern;
  /** How the official tensor lays out our axes; undefined where the shapes are the same. */
  readonly form: Form | undefined;
  /** A further official entry of a tensor that has one already. */
  readonly also: boolean;
}

/** `_` is one of our axes, `*` all that are left joined into one, `...` all that are left, `1` an axis of extent 1 of theirs. */
type Form = readonly ("_" | "*" | "..." | "1")[];

/** A tensor of a network: our path and our shape. */
export interface OurTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** What a tensor is in the official state dictionary. The elements are the same, in the same order. */
export interface OfficialTensor {
  readonly ours: OurTensor;
  readonly name: string;
  readonly shape: readonly number[];
  /** Further entries that hold the same tensor, where a module is used at several places. */
  readonly also: readonly string[];
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
  const kinds = new Map<string, readonly Pair[]>();
  let offset = 0;
  for (const raw of text.split("\n")) {
    const span: Span = { file, start: offset, end: offset + raw.length };
    offset += raw.length + 1;
    const whole = raw.replace(/#.*$/, "").trim();
    if (whole === "") continue;
    const also = whole.startsWith("also ");
    const line = also ? whole.slice(5).trim() : whole;
    const at = line.indexOf(" ");
    const [word, rest] = [line.slice(0, at < 0 ? line.length : at), at < 0 ? "" : line.slice(at + 1).trim()];
    if (word === "kind") {
      const [name = "", ...pairs] = rest.split(/[\s,]+/);
      kinds.set(name, [...(kinds.get(name) ?? []), ...splitPairs(pairs.join(" "), span)]);
    } else if (word === "last") {
      const [name, pattern] = sides(rest, span);
      constants.push({ name, pattern: patternOf(pattern, span) });
    } else if (word === "weight") {
      const [official, ours] = sides(rest, span);
      rules.push({ official: patternOf(official, span), ours: patternOf(ours, span), form: undefined, also });
    } else {
      const pairs = kinds.get(word);
      if (!pairs) throw unreadable(span, `there is no kind \`${word}\``);
      const [official, ours] = sides(rest, span);
      for (const pair of pairs) {
        const [o, w] = [`${official}.${pair.official}`, `${ours}.${pair.ours}`];
        rules.push({ official: patternOf(o, span), ours: patternOf(w, span), form: pair.form, also });
      }
    }
  }
  return { rules, constants };
}

/** A tensor of a kind of layer, on either side. */
interface Pair {
  readonly official: string;
  readonly ours: string;
  readonly form: Form | undefined;
}

function splitPairs(text: string, span: Span): readonly Pair[] {
  return [...text.matchAll(/(\S+)\s*=\s*(\S+)/g)].map((m) => {
    const [, official, right = ""] = m;
    const [ours, form] = right.split(":");
    if (!official || !ours) throw unreadable(span, "a kind is a list of `official=ours`");
    return { official, ours, form: form === undefined ? undefined : formOf(form, span) };
  });
}

function formOf(text: string, span: Span): Form {
  const parts = text.split("x").map((part) => {
    if (part !== "_" && part !== "*" && part !== "..." && part !== "1") throw unreadable(span, `\`${part}\` is no part of a shape; \`_\`, \`*\`, \`...\` and \`1\` are`);
    return part;
  });
  if (parts.filter((p) => p === "*" || p === "...").length > 1) throw unreadable(span, "only one part of a shape can stand for the axes that are left");
  return parts;
}

/** The shape of a tensor of ours in an official layout; undefined when it has too few axes for it. */
function laidOut(form: Form, shape: readonly number[]): readonly number[] | undefined {
  const left = shape.length - form.filter((p) => p === "_").length;
  if (left < 0 || (left > 0 && !form.includes("*") && !form.includes("..."))) return undefined;
  let at = 0;
  return form.flatMap((part) => {
    if (part === "1") return [1];
    const some = shape.slice(at, at + (part === "_" ? 1 : left));
    at += some.length;
    return part === "*" ? [some.reduce((a, b) => a * b, 1)] : some;
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
  const ours = [...ourPaths].map((name) => ({ name, shape: [] }));
  return new Map(officialTensors(table, ours).map((t) => [t.ours.name, t.name]));
}

/** What each of our tensors is officially; those that no rule covers are left out. */
export function officialTensors(table: NameTable, tensors: readonly OurTensor[]): readonly OfficialTensor[] {
  const constants = constantsOf(table, tensors.map((t) => t.name));
  return tensors.flatMap((ours): readonly OfficialTensor[] => {
    const written = table.rules.flatMap((rule) => {
      const found = match(rule.ours, ours.name, constants);
      const name = found && write(rule.official, found);
      return name === undefined ? [] : [{ name, rule }];
    });
    const first = written.find(({ rule }) => !rule.also);
    if (!first) return [];
    const shape = first.rule.form ? laidOut(first.rule.form, ours.shape) ?? ours.shape : ours.shape;
    return [{ ours, name: first.name, shape, also: written.flatMap(({ name, rule }) => (rule.also ? [name] : [])) }];
  });
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
