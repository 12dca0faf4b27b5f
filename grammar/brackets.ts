// Brackets are matched before parsing, so that one left open costs one message and no more.

import type { IToken, TokenType } from "chevrotain";
import { diagnostic, type Diagnostic } from "../compiler/report/diagnostic.ts";
import type { SourceFile, Span } from "../compiler/source.ts";
import { createTokenInstance } from "./chevrotain.ts";
import * as T from "./tokens.ts";

const closerOf: ReadonlyMap<TokenType, TokenType> = new Map([
  [T.LeftParen, T.RightParen],
  [T.LeftBracket, T.RightBracket],
  [T.LeftBrace, T.RightBrace],
]);
const closers: ReadonlySet<TokenType> = new Set(closerOf.values());

// At the head of a line these begin nothing but a definition, so whatever is open there was forgotten.
const starters: ReadonlySet<TokenType> = new Set([T.Import, T.Fn, T.Op, T.Block, T.Network]);

/** Whether a token can only be the beginning of an item. */
export function startsItem(token: IToken, before: IToken | undefined): boolean {
  return starters.has(token.tokenType) && before?.endLine !== token.startLine;
}

/** The tokens with every bracket matched: missing ones put in, stray ones left out. */
export interface Matched {
  readonly tokens: IToken[];
  readonly findings: readonly Diagnostic[];
  /** Offsets of the brackets that were left open. */
  readonly forgotten: readonly number[];
}

/** Matches the brackets of a text. */
export function matchBrackets(file: SourceFile, given: readonly IToken[]): Matched {
  const findings: Diagnostic[] = [];
  const forgotten: number[] = [];
  const open: IToken[] = [];
  const dropped = new Set<IToken>();
  const inserted = new Map<IToken | undefined, IToken[]>();

  const forget = (bracket: IToken, token: IToken | undefined, remark: string): void => {
    const from = given.indexOf(bracket);
    const until = token === undefined ? given.length : given.indexOf(token);
    const place = given[outdent(given, from, until)];
    const before = given[place === undefined ? given.length - 1 : given.indexOf(place) - 1] ?? bracket;
    inserted.set(place, [...(inserted.get(place) ?? []), missing(bracket, before)]);
    const caught = token === undefined ? undefined : spanOf(file, token);
    findings.push(
      diagnostic("N0102", `this \`${bracket.image}\` is never closed`, {
        labels: [{ span: spanOf(file, bracket), text: "opened here" }, ...(caught === undefined ? [] : [{ span: caught, text: remark }])],
        ...(caught === undefined ? { facts: ["The file ends with it still open."] } : {}),
      }),
    );
    forgotten.push(bracket.startOffset);
  };

  for (const [at, token] of given.entries()) {
    if (startsItem(token, given[at - 1])) {
      for (let last = open.pop(); last !== undefined; last = open.pop()) forget(last, token, "this starts a new definition");
    } else if (closerOf.has(token.tokenType)) {
      open.push(token);
    } else if (closers.has(token.tokenType)) {
      const partner = open.findLastIndex((bracket) => closerOf.get(bracket.tokenType) === token.tokenType);
      if (partner === -1) {
        dropped.add(token);
        findings.push(stray(file, token));
      } else {
        while (open.length > partner + 1) {
          const last = open.pop();
          if (last !== undefined) forget(last, token, `this closes the \`${open[partner]?.image ?? ""}\` before it`);
        }
        open.pop();
      }
    }
  }
  for (let last = open.pop(); last !== undefined; last = open.pop()) forget(last, undefined, "");

  const tokens = given.flatMap((token) => [...(inserted.get(token) ?? []), ...(dropped.has(token) ? [] : [token])]);
  tokens.push(...(inserted.get(undefined) ?? []));
  return { tokens, findings, forgotten };
}

function spanOf(file: SourceFile, token: IToken): Span {
  return { file, start: token.startOffset, end: token.startOffset + token.image.length };
}

function stray(file: SourceFile, token: IToken): Diagnostic {
  return diagnostic("N0108", `this \`${token.image}\` closes nothing`, { labels: [{ span: spanOf(file, token), text: "" }] });
}

/** Where the forgotten bracket most likely belongs: before the first line that is not indented deeper. */
function outdent(tokens: readonly IToken[], from: number, until: number): number {
  let indent = 0;
  for (let at = from; at >= 0; at--) {
    indent = tokens[at]?.startColumn ?? 0;
    if (at === 0 || tokens[at - 1]?.endLine !== tokens[at]?.startLine) break;
  }
  for (let at = from + 1; at < until; at++) {
    const starts = tokens[at]?.startLine !== tokens[at - 1]?.endLine;
    if (starts && (tokens[at]?.startColumn ?? 0) <= indent) return at;
  }
  return until;
}

/** A closing bracket of no width, just behind the token before it. */
function missing(bracket: IToken, before: IToken): IToken {
  const type = closerOf.get(bracket.tokenType) ?? T.RightParen;
  const at = before.startOffset + before.image.length;
  const line = before.endLine ?? 1;
  const column = before.endColumn ?? 1;
  return createTokenInstance(type, "", at, at - 1, line, line, column, column);
}
