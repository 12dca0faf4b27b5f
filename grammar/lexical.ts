// Text → tokens and comments, with what is wrong at the level of single signs.

import type { ILexingError, IToken } from "chevrotain";
import { diagnostic, type Diagnostic } from "../compiler/report/diagnostic.ts";
import type { SourceFile, Span } from "../compiler/source.ts";
import type { Part } from "./parts.ts";
import { ColonEquals, lexer, OpenText } from "./tokens.ts";

/** The tokens of a text, its comments, and the findings about single signs. */
export interface Lexed {
  readonly tokens: readonly IToken[];
  readonly comments: readonly IToken[];
  readonly findings: readonly Diagnostic[];
  /** Offsets of signs that were skipped. */
  readonly unknown: readonly number[];
}

/** Splits a text, or a part of it, into tokens; offsets are those of the whole text, lines those of the part. */
export function lex(file: SourceFile, part: Part = { start: 0, end: file.text.length }): Lexed {
  const result = lexer.tokenize(file.text.slice(part.start, part.end));
  const comments = result.groups["comments"] ?? [];
  for (const token of [...result.tokens, ...comments]) {
    token.startOffset += part.start;
    if (token.endOffset !== undefined) token.endOffset += part.start;
  }
  const errors = result.errors.map((error) => ({ ...error, offset: error.offset + part.start }));
  const signs = result.tokens.flatMap((token) => mistakenSign(file, token));
  const findings = [...errors.map((error) => unknownSign(file, error)), ...signs];
  return { tokens: result.tokens, comments, findings, unknown: errors.map((error) => error.offset) };
}

function mistakenSign(file: SourceFile, token: IToken): Diagnostic[] {
  const span: Span = { file, start: token.startOffset, end: token.startOffset + token.image.length };
  if (token.tokenType === ColonEquals) {
    const label = { span, text: "a definition uses `=`" };
    return [diagnostic("N0101", "`:=` is not part of the language", { labels: [label], edit: { span, text: "=" } })];
  }
  if (token.tokenType === OpenText) {
    return [
      diagnostic("N0106", "this text is never closed", {
        labels: [{ span: { ...span, end: span.start + 1 }, text: "opened here" }],
        hint: "a text ends with `\"` on the line it begins on",
      }),
    ];
  }
  return [];
}

const advice: ReadonlyMap<string, string> = new Map([
  ["#", "comments begin with `//`"],
  ["'", "texts stand in double quotes: `\"…\"`"],
  ["`", "texts stand in double quotes: `\"…\"`"],
  ["!", "write `not`, or `!=` to compare"],
  ["&", "write `and`"],
  ["|", "write `or`; a pipe is `|>`"],
  ["?", "a choice is `if … then … else …`"],
  ["@", "matrix products are written with indices: `sum[k](a[i, k] * b[k, j])`"],
  ["−", "this is a typographic minus; write `-`"],
  ["×", "write `*`"],
  ["·", "write `*`"],
  ["“", "texts stand in plain double quotes: `\"…\"`"],
  ["”", "texts stand in plain double quotes: `\"…\"`"],
]);

function unknownSign(file: SourceFile, error: ILexingError): Diagnostic {
  const written = file.text.slice(error.offset, error.offset + error.length);
  const first = [...written][0] ?? "";
  const end = error.offset + (written.length > 8 ? first.length : written.length);
  return diagnostic("N0105", `\`${written.length > 8 ? first : written}\` is not part of the language`, {
    labels: [{ span: { file, start: error.offset, end }, text: "" }],
    hint: advice.get(first),
  });
}
