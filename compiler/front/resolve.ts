// Every name of a file looked up once, without building anything: unknown names, double definitions, weights in ops.

import type { Block, Body, Element, Fn, Item, Network, Op, Port, Result, Run, Statement, Term, Type } from "../../grammar/ast.ts";
import { diagnostic, type Diagnostic } from "../report/diagnostic.ts";
import type { Span } from "../source.ts";
import { builtinNames, words } from "./builtins.ts";
import { nearest } from "../report/spelling.ts";
import { find, visible, type Module, type Written } from "./module.ts";
import { unused } from "./unused.ts";
import { aliasesIn, isUpper } from "./walk.ts";

/** What is found wrong with the names of a file. */
export function resolve(module: Written): readonly Diagnostic[] {
  const findings: Diagnostic[] = [];
  twice(module.file.items.flatMap((i) => ("name" in i && i.name && i.kind !== "run" ? [i.name] : [])), findings);
  for (const item of module.file.items) lookInto(item, { module, names: new Set(), findings, owner: undefined, index: false });
  return findings;
}

interface Look {
  readonly module: Written;
  readonly names: ReadonlySet<string>;
  readonly findings: Diagnostic[];
  /** The op or fn the term stands in, which cannot own weights. */
  readonly owner: "op" | "fn" | undefined;
  /** True in an index of an op. */
  readonly index: boolean;
}

const inside = (look: Look, names: Iterable<string>): Look => ({ ...look, names: new Set([...look.names, ...names]) });

function twice(names: readonly { readonly text: string; readonly span: Span }[], findings: Diagnostic[]): void {
  const first = new Map<string, Span>();
  for (const { text, span } of names) {
    const before = first.get(text);
    if (before === undefined) first.set(text, span);
    else {
      findings.push(diagnostic("N0203", `\`${text}\` is defined twice`, {
        labels: [{ span, text: "and again here" }, { span: before, text: "first here" }],
        hint: "definitions do not overwrite; give the second its own name or extend the pipe",
      }));
    }
  }
}

function lookInto(item: Item, look: Look): void {
  switch (item.kind) {
    case "import": return;
    case "const": term(item.value, look); return;
    case "dial": for (const t of [item.value, ...item.where]) term(t, look); return;
    case "fn": lookIntoFn(item, look); return;
    case "op": case "block": lookIntoCallable(item, look); return;
    case "network":
      if (item.alias) term(item.alias, look);
      else lookIntoCallable(item, look);
      return;
    case "data": for (const s of item.body.statements) if (!worded.has(nameOf(s))) term(s.value, look); return;
    case "run": lookIntoRun(item, look); return;
    case "check": term(item.test, look); return;
  }
}

/** Settings whose values are words of their own. */
const worded: ReadonlySet<string> = new Set(["start", "stop", "best", "blend", "mirror", "precision", "prepare", "split", "guide", "crop", "drop"]);

const nameOf = (s: Statement): string => (s.kind === "define" && s.target.kind === "one" ? s.target.name.text : "");

function lookIntoFn(item: Fn, look: Look): void {
  const inner = inside({ ...look, owner: "fn" }, item.params.map((p) => p.text));
  twice(item.params, look.findings);
  if (item.body.kind === "body") body(item.body, inner, []);
  else term(item.body, inner);
}

function lookIntoCallable(item: Op | Block | Network, look: Look): void {
  const results = item.kind === "network" ? [] : item.results;
  const bound = [...item.ports.flatMap(boundBy), ...item.where.flatMap((w) => (w.name ? [w.name.text] : []))];
  const inner: Look = inside({ ...look, owner: item.kind === "op" ? "op" : undefined }, bound);
  for (const p of item.ports) {
    if (p.value) term(p.value, inner);
    type(p.type, inner);
  }
  for (const w of item.where) term(w.term, inner);
  for (const r of results) type(r.type, inner);
  const b = item.body;
  if (!b) return;
  if (b.kind !== "body") {
    term(b, inside(inner, aliasesIn(b).map((a) => a.text)));
    return;
  }
  body(b, inner, item.ports.map((p) => p.name));
  look.findings.push(...unused(b, results.flatMap((r: Result) => (r.name ? [r.name.text] : []))));
}

/** The names a port brings: its own, and the sizes of its shape. */
function boundBy(port: Port): string[] {
  if (port.type.kind === "static") return [port.name.text];
  const sizes = port.type.shape.flatMap((e) => (e.term.kind === "name" && isUpper(e.term.text) ? [e.term.text] : []));
  return [port.name.text, ...sizes];
}

function type(t: Type, look: Look): void {
  if (t.kind === "static") return;
  if (t.each) term(t.each.range, look);
  elements(t.shape, t.each ? inside(look, [t.each.name.text]) : look);
}

function elements(es: readonly Element[], look: Look): void {
  for (const e of es) term(e.term, look);
}

function body(b: Body, look: Look, ports: readonly { readonly text: string; readonly span: Span }[]): void {
  const names: string[] = [];
  const defined = [...ports];
  const families = new Set<string>();
  for (const s of b.statements) {
    for (const n of namesOf(s)) {
      names.push(n.text);
      // Further cases of a family are no second definition.
      const family = "target" in s && s.target.kind === "one" && (s.target.binders?.length ?? 0) > 0 && look.owner !== "op";
      if (!family || !families.has(n.text)) defined.push(n);
      if (family) families.add(n.text);
    }
    const plain = !("target" in s) || s.target.kind === "many" || !s.target.binders?.length;
    if (plain) {
      for (const a of aliasesIn(s.value)) {
        names.push(a.text);
        defined.push(a);
      }
    }
  }
  twice(defined, look.findings);
  const inner = inside(look, names);
  for (const s of b.statements) statement(s, inner);
}

/** The names a statement defines. */
export function namesOf(s: Statement): readonly { readonly text: string; readonly span: Span }[] {
  switch (s.kind) {
    case "param": case "state": case "shared": return [s.name];
    case "define": case "out": return s.target.kind === "one" ? [s.target.name] : s.target.names;
    case "update": case "turn": case "return": return [];
  }
}

function statement(s: Statement, look: Look): void {
  if (s.kind === "param" || s.kind === "state") {
    if (look.owner) {
      look.findings.push(diagnostic("N0701", `${look.owner === "op" ? "an op" : "a fn"} cannot own weights`, {
        labels: [{ span: s.span, text: `a \`${s.kind}\` belongs in a block` }],
      }));
    }
    type(s.type, look);
  }
  if (s.kind === "update" && !look.names.has(s.name.text)) unknown(s.name.text, s.name.span, look);
  let inner = look;
  if ("target" in s && s.target.kind === "one" && s.target.binders) {
    for (const b of s.target.binders) {
      if (b.range) term(b.range, look);
      // In a block an index without a range is a value, such as `z[layers]`.
      if (b.term.kind === "name" && (b.range || look.owner === "op")) inner = inside(inner, [b.term.text]);
      else term(b.term, look);
    }
  }
  if (s.kind === "out" && s.when) term(s.when, look);
  term(s.value, inner);
}

function lookIntoRun(run: Run, look: Look): void {
  term(run.target, look);
  const network = networkOf(run.target, look.module);
  const outputs = network?.body?.statements.flatMap((s) => (s.kind === "out" ? namesOf(s).map((n) => n.text) : [])) ?? [];
  // What a run is `like` may define names for itself, too.
  const own = look.module.file.items.flatMap((i) => (i.kind === "run" ? i.body.statements.map(nameOf) : []));
  const inner = inside(look, [...outputs, ...(network?.ports.map((p) => p.name.text) ?? []), "label", "regions", "y", ...own]);
  twice(run.body.statements.flatMap((s) => (s.kind === "turn" ? [] : namesOf(s))), look.findings);
  for (const s of run.body.statements) if (!worded.has(nameOf(s))) term(s.value, inner);
}

/** The network that a target names, through other names for it. */
function networkOf(target: Term, module: Module, depth = 0): Network | undefined {
  const head = target.kind === "call" ? target.head : target;
  const meaning = head.kind === "name" && depth < 20 ? find(module, head.text) : undefined;
  if (meaning?.kind !== "item" || meaning.item.kind !== "network") return undefined;
  return meaning.item.alias ? networkOf(meaning.item.alias, meaning.module, depth + 1) : meaning.item;
}

function term(t: Term, look: Look): void {
  switch (t.kind) {
    case "name":
      if (!isKnown(t.text, look)) unknown(t.text, t.span, look);
      return;
    case "call":
      weights(t.head, look);
      term(t.head, look);
      for (const a of t.args) term(a.value, look);
      return;
    case "pipe":
      term(t.from, look);
      for (const s of t.stages) stage(s, look);
      return;
    case "index":
      term(t.head, look);
      elements(t.at, { ...look, index: look.owner === "op" });
      return;
    case "reduction": {
      for (const b of t.over) if (b.range) term(b.range, look);
      const inner = inside(look, t.over.flatMap((b) => (b.term.kind === "name" ? [b.term.text] : [])));
      elements(t.where, { ...inner, index: true });
      term(t.body, inner);
      return;
    }
    case "each":
      term(t.range, look);
      term(t.item, inside(look, [t.name.text]));
      return;
    case "member": term(t.head, look); return;
    case "if": term(t.test, look); term(t.then, look); term(t.otherwise, look); return;
    case "binary": term(t.left, look); term(t.right, look); return;
    case "unary": case "group": term(t.term, look); return;
    case "tuple": for (const x of t.items) term(x, look); return;
    case "list": elements(t.items, look); return;
    case "fill": term(t.item, look); term(t.count, look); return;
    case "number": case "bool": case "text": return;
  }
}

function stage(s: Extract<Term, { kind: "pipe" }>["stages"][number], look: Look): void {
  if (s.kind === "apply") {
    weights(s.head, look);
    term(s.head, look);
    for (const a of s.args ?? []) term(a.value, look);
    return;
  }
  term(s.count, look);
  const inner = s.name ? inside(look, [s.name.text]) : look;
  for (const x of s.stages) stage(x, inner);
}

function isKnown(name: string, look: Look): boolean {
  return look.names.has(name) || words.has(name) || builtinNames.has(name) || find(look.module, name) !== undefined;
}

function unknown(name: string, span: Span, look: Look): void {
  const near = nearest(name, [...look.names, ...visible(look.module), ...builtinNames]);
  if (look.index && !isUpper(name)) {
    look.findings.push(diagnostic("N0603", `\`${name}\` is not an index here`, {
      labels: [{ span, text: "bound neither on the left nor by a reduction" }],
    }));
    return;
  }
  const from = near === undefined ? undefined : find(look.module, near);
  const where = from?.kind === "item" && from.module !== look.module ? ` (${from.module.path.replace(/^std:/, "std/")})` : "";
  look.findings.push(diagnostic("N0201", `there is no \`${name}\` here`, {
    labels: [{ span, text: near ? `did you mean \`${near}\`?${where}` : "not defined in this file, imported, or in the standard library" }],
    edit: near ? { span, text: near } : undefined,
  }));
}

function weights(head: Term, look: Look): void {
  if (!look.owner || head.kind !== "name" || look.names.has(head.text)) return;
  const meaning = find(look.module, head.text);
  if (meaning?.kind !== "item" || (meaning.item.kind !== "block" && meaning.item.kind !== "network")) return;
  look.findings.push(diagnostic("N0701", `${look.owner === "op" ? "an op" : "a fn"} cannot own weights`, {
    labels: [{ span: head.span, text: `\`${head.text}\` is a ${meaning.item.kind}` }],
    hint: look.owner === "op" ? "make this a `block`, or take the weight as a port: `w: [O, C, *K]`" : "make this a `block`",
  }));
}
