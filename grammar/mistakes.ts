// What the parser stumbled over, said in plain words.

import type { IParserErrorMessageProvider, IRecognitionException, IToken, TokenType } from "chevrotain";
import { diagnostic, type Diagnostic } from "../compiler/report/diagnostic.ts";
import type { SourceFile, Span } from "../compiler/source.ts";
import { EOF } from "./chevrotain.ts";
import * as T from "./tokens.ts";

const afterItem: ReadonlyMap<TokenType, string> = new Map([
  [T.RightParen, "`,` or `)`"],
  [T.RightBracket, "`,` or `]`"],
  [T.RightBrace, "a definition or `}`"],
]);

const abstract: ReadonlyMap<TokenType, string> = new Map([
  [T.Name, "a name"],
  [T.Lower, "a name"],
  [T.TextToken, "a path in quotes"],
  [T.Reducer, "`sum`, `mean`, `max`, `min` or `prod`"],
]);

/** Makes each of the parser's messages the bare words for what should have come; `explain` does the rest. */
export const expectations: IParserErrorMessageProvider = {
  buildMismatchTokenMessage: ({ expected, ruleName }) => {
    if (expected === T.RightBrace && ruleName === "repeat") return "`|>` or `}`";
    const literal = typeof expected.PATTERN === "string" ? `\`${expected.PATTERN}\`` : "something else";
    return afterItem.get(expected) ?? abstract.get(expected) ?? literal;
  },
  buildNotAllInputParsedMessage: () => "an operator or a new line",
  buildNoViableAltMessage: ({ customUserDescription }) => customUserDescription ?? "something else",
  buildEarlyExitMessage: ({ customUserDescription }) => customUserDescription ?? "a value",
};

const reserved: ReadonlySet<TokenType> = new Set(T.reservedWords);
const operators: ReadonlySet<TokenType> = new Set([
  T.Plus, T.Minus, T.Star, T.Slash, T.Percent, T.Caret, T.Pipe, T.Define, T.ColonEquals, T.UpTo, T.Through,
  T.Equal, T.NotEqual, T.Below, T.AtMost, T.Above, T.AtLeast, T.And, T.Or, T.Not, T.Comma,
]);

const foreign: ReadonlyMap<string, string> = new Map(
  ["let", "const", "var", "val", "def", "function", "auto"].map((word) => [word, "a definition needs no keyword: `x = …`"]),
);

/** The finding for what the parser stumbled over in a piece of the text. */
export function explain(file: SourceFile, piece: readonly IToken[], error: IRecognitionException): Diagnostic {
  const wanted = error.message;
  const token = error.token.tokenType === EOF ? undefined : error.token;
  const before = token === undefined ? piece.at(-1) : piece[piece.indexOf(token) - 1];
  if (before !== undefined && operators.has(before.tokenType) && before.endLine !== token?.startLine) return nothingAfter(file, before);
  if (token === undefined) return tooShort(file, before, wanted);
  const next = piece[piece.indexOf(token) + 1];
  if (reserved.has(token.tokenType) && (wanted === "a name" || next?.tokenType === T.Define)) {
    return diagnostic("N0109", `\`${token.image}\` is a word of the language`, {
      labels: [{ span: spanOf(file, token), text: "it cannot be a name" }],
    });
  }
  return diagnostic("N0107", `\`${token.image}\` does not fit here`, {
    labels: [{ span: spanOf(file, token), text: `${wanted} should come here` }],
    hint: hintFor(token, before),
  });
}

function tooShort(file: SourceFile, last: IToken | undefined, wanted: string): Diagnostic {
  const end = last === undefined ? 0 : last.startOffset + last.image.length;
  const span = last === undefined ? { file, start: 0, end } : spanOf(file, last);
  return diagnostic("N0110", "this definition ends too early", { labels: [{ span, text: `${wanted} should follow` }] });
}

function nothingAfter(file: SourceFile, operator: IToken): Diagnostic {
  return diagnostic("N0107", `nothing follows this \`${operator.image}\``, {
    labels: [{ span: spanOf(file, operator), text: "a value should come next" }],
  });
}

function hintFor(token: IToken, before: IToken | undefined): string | undefined {
  if (token.tokenType === T.For) return "there are no loops; a family `e[i in 1..=4] = …` or `repeat 4 { … }` repeats";
  if (token.tokenType === T.If) return "`if` is a value: `x = if test then a else b`";
  if (token.tokenType === T.Semicolon) return "definitions need no `;`";
  return foreign.get(before?.image ?? "") ?? foreign.get(token.image);
}

function spanOf(file: SourceFile, token: IToken): Span {
  return { file, start: token.startOffset, end: token.startOffset + token.image.length };
}
