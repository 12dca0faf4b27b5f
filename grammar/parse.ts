// Text → tree and findings: lexing, bracket matching, parsing, building, in that order.

import type { IToken } from "chevrotain";
import type { Diagnostic } from "../compiler/report/diagnostic.ts";
import type { SourceFile } from "../compiler/source.ts";
import type * as Ast from "./ast.ts";
import { matchBrackets } from "./brackets.ts";
import { FileBuilder } from "./build.ts";
import { Incomplete, TermBuilder } from "./build-terms.ts";
import type { FileCstNode, LoneCstNode } from "./cst.ts";
import { lex } from "./lexical.ts";
import { expectations, explain } from "./mistakes.ts";
import { NetParser } from "./parser.ts";
import type { Part } from "./parts.ts";
import { parsePieces } from "./recover.ts";

let shared: NetParser | undefined;

/** Building the parser costs more than parsing most files, so there is one. */
function parser(): NetParser {
  shared ??= new NetParser({ check: false, messages: expectations });
  return shared;
}

/** Parses a `.net` text, or a part of it that holds whole definitions. After mistakes the tree holds what could be understood. */
export function parse(file: SourceFile, part?: Part): { file: Ast.File; findings: readonly Diagnostic[] } {
  const lexed = lex(file, part);
  const matched = matchBrackets(file, lexed.tokens);
  const net = parser();
  net.input = matched.tokens;
  const cst = net.file() as FileCstNode;
  const builder = new FileBuilder(file, docsOf(file, lexed.comments));
  if (net.errors.length === 0) {
    const tree = builder.build(cst.children.item);
    return { file: tree, findings: inOrder([...lexed.findings, ...matched.findings, ...builder.findings]) };
  }
  const { items, stumbles } = parsePieces(net, matched.tokens);
  const tree = builder.build(items);
  const doubtful = [...lexed.unknown, ...matched.forgotten];
  const fresh = stumbles.filter(({ piece }) => !doubtful.some((offset) => holds(piece, offset)));
  const mistakes = fresh.map(({ error, piece }) => explain(file, piece, error));
  return { file: tree, findings: inOrder([...lexed.findings, ...matched.findings, ...mistakes, ...builder.findings]) };
}

/** A piece that already has a message about its signs or brackets needs no second one. */
function holds(piece: readonly IToken[], offset: number): boolean {
  const [first, last] = [piece[0], piece.at(-1)];
  return first !== undefined && last !== undefined && first.startOffset <= offset && offset <= last.startOffset + last.image.length;
}

/** Parses a single expression, such as a value given on the command line. */
export function parseTerm(file: SourceFile): { term: Ast.Term | undefined; findings: readonly Diagnostic[] } {
  const { tokens, findings } = lex(file);
  const matched = matchBrackets(file, tokens);
  const net = parser();
  net.input = matched.tokens;
  const cst = net.lone() as LoneCstNode;
  const mistakes = net.errors.map((error) => explain(file, matched.tokens, error));
  const builder = new TermBuilder(file);
  const said = [...findings, ...matched.findings, ...mistakes.slice(0, 1)];
  const expr = cst.children.expr?.[0];
  try {
    const term = expr === undefined ? undefined : builder.expr(expr);
    return { term, findings: inOrder([...said, ...builder.findings]) };
  } catch (thrown) {
    if (thrown instanceof Incomplete) return { term: undefined, findings: inOrder(said) };
    throw thrown;
  }
}

function inOrder(findings: readonly Diagnostic[]): readonly Diagnostic[] {
  return findings.toSorted((a, b) => (a.labels[0]?.span.start ?? 0) - (b.labels[0]?.span.start ?? 0));
}

/** Finds the `///` lines that stand directly above an offset. */
function docsOf(file: SourceFile, comments: readonly IToken[]): (start: number) => Ast.Doc {
  const docs = new Map<number, string>();
  for (const comment of comments) {
    const line = file.text.lastIndexOf("\n", comment.startOffset - 1) + 1;
    const alone = file.text.slice(line, comment.startOffset).trim() === "";
    if (alone && /^\/\/\/(?!\/)/.test(comment.image)) docs.set(line, comment.image.replace(/^\/\/\/ ?/, "").trimEnd());
  }
  return (start) => {
    const lines: string[] = [];
    let line = file.text.lastIndexOf("\n", start - 1) + 1;
    while (line > 0) {
      line = file.text.lastIndexOf("\n", line - 2) + 1;
      const doc = docs.get(line);
      if (doc === undefined) break;
      lines.unshift(doc);
    }
    return lines.length === 0 ? undefined : lines.join("\n");
  };
}
