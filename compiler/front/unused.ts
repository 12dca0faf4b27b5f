// Definitions that nothing needs: no output reaches them, so they are never built.

import type { Body, Statement, Term } from "../../grammar/ast.ts";
import { diagnostic, type Diagnostic } from "../report/diagnostic.ts";
import type { Span } from "../source.ts";
import { aliasesIn, namesIn } from "./walk.ts";

interface Definition {
  readonly names: readonly { readonly text: string; readonly span: Span }[];
  readonly uses: ReadonlySet<string>;
  readonly kind: Statement["kind"];
}

/** Warnings about unused definitions of a body; `results` are the names an op gives. */
export function unused(body: Body, results: readonly string[]): readonly Diagnostic[] {
  const definitions: Definition[] = [];
  const needed = new Set(results);
  for (const s of body.statements) {
    const uses = usesOf(s);
    if (s.kind === "return" || s.kind === "out" || s.kind === "update" || s.kind === "turn") for (const n of uses) needed.add(n);
    if (s.kind === "update") needed.add(s.name.text);
    const names = [...own(s), ...aliasesIn(s.value)];
    if (names.length > 0) definitions.push({ names, uses, kind: s.kind });
    if (s.kind === "out") for (const n of own(s)) needed.add(n.text);
  }
  for (let before = -1; before < needed.size; ) {
    before = needed.size;
    for (const d of definitions) if (d.names.some((n) => needed.has(n.text))) for (const n of d.uses) needed.add(n);
  }
  const told = new Set<string>();
  return definitions.flatMap((d) => {
    const [first] = d.names;
    if (!first || d.kind === "return" || d.names.some((n) => needed.has(n.text)) || first.text.startsWith("_") || told.has(first.text)) return [];
    told.add(first.text);
    return [diagnostic("W0201", `nothing needs \`${first.text}\``, {
      labels: [{ span: first.span, text: d.kind === "param" ? "no output reaches it, so the weight is not created" : "no output reaches it, so it is not built" }],
    })];
  });
}

function own(s: Statement): Definition["names"] {
  switch (s.kind) {
    case "param": case "state": case "shared": return [s.name];
    case "define": case "out": return s.target.kind === "one" ? [s.target.name] : s.target.names;
    default: return [];
  }
}

function usesOf(s: Statement): ReadonlySet<string> {
  const terms: Term[] = [s.value];
  if ((s.kind === "param" || s.kind === "state") && s.type.kind === "tensor") terms.push(...s.type.shape.map((e) => e.term));
  if (s.kind === "out" && s.when) terms.push(s.when);
  if ("target" in s && s.target.kind === "one") {
    for (const b of s.target.binders ?? []) terms.push(b.term, ...(b.range ? [b.range] : []));
  }
  return new Set(terms.flatMap((t) => [...namesIn(t)]));
}
