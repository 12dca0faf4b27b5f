// A text with mistakes is parsed piece by piece, so that one bad statement spoils no other.

import type { CstNode, IRecognitionException, IToken, TokenType } from "chevrotain";
import { startsItem } from "./brackets.ts";
import { tokenMatcher } from "./chevrotain.ts";
import type { ItemCstNode } from "./cst.ts";
import type { NetParser } from "./parser.ts";
import * as T from "./tokens.ts";

/** What the parser stumbled over in one piece, with the piece. */
export interface Stumble {
  readonly error: IRecognitionException;
  readonly piece: readonly IToken[];
}

/** Parses every item by itself and, in a bad one, every statement by itself. */
export function parsePieces(net: NetParser, tokens: readonly IToken[]): { items: ItemCstNode[]; stumbles: Stumble[] } {
  const stumbles: Stumble[] = [];
  const items = split(tokens, true).map((piece) => {
    const whole = attempt(net, "item", piece);
    if (whole.error === undefined) return whole.node;
    const body = bodyOf(piece);
    if (body === undefined) {
      stumbles.push({ error: whole.error, piece });
      return whole.node;
    }
    const good = split(piece.slice(body.from, body.to), false).filter((statement) => {
      const { error } = attempt(net, "statement", statement);
      if (error !== undefined) stumbles.push({ error, piece: statement });
      return error === undefined;
    });
    const header = piece.slice(0, body.from);
    const tail = piece.slice(body.to);
    const rest = attempt(net, "item", [...header, ...good.flat(), ...tail]);
    if (rest.error !== undefined) stumbles.push({ error: rest.error, piece: [...header, ...tail] });
    return rest.node;
  });
  return { items: items as ItemCstNode[], stumbles };
}

function attempt(net: NetParser, rule: "item" | "statement", piece: readonly IToken[]): { node: CstNode; error: IRecognitionException | undefined } {
  net.input = [...piece];
  const node = rule === "item" ? net.item() : net.statement();
  return { node, error: net.errors[0] };
}

/** The statements' place in an item: behind its `{`, before the partner of that. */
function bodyOf(piece: readonly IToken[]): { from: number; to: number } | undefined {
  if (piece[0]?.tokenType === T.Import) return undefined;
  const open = piece.findIndex((token) => token.tokenType === T.LeftBrace);
  if (open === -1 || piece.slice(0, open).some((token) => token.tokenType === T.Repeat)) return undefined;
  let depth = 0;
  for (let at = open; at < piece.length; at++) {
    depth += step(piece[at], T.LeftBrace, T.RightBrace);
    if (depth === 0) return { from: open + 1, to: at };
  }
  return undefined;
}

function step(token: IToken | undefined, up: TokenType, down: TokenType): number {
  return token?.tokenType === up ? 1 : token?.tokenType === down ? -1 : 0;
}

/** Cuts where a definition begins; the brackets are known to match. */
function split(tokens: readonly IToken[], items: boolean): IToken[][] {
  const pieces: IToken[][] = [];
  let depth = 0;
  tokens.forEach((token, at) => {
    const starts = depth === 0 && begins(tokens, at);
    if (starts || (items && startsItem(token, tokens[at - 1]))) pieces.push([]);
    if (pieces.length === 0) pieces.push([]);
    pieces.at(-1)?.push(token);
    depth += step(token, T.LeftParen, T.RightParen) + step(token, T.LeftBracket, T.RightBracket) + step(token, T.LeftBrace, T.RightBrace);
  });
  return pieces;
}


/** What can end a definition; behind anything else the next line goes on with it. */
const enders: readonly TokenType[] = [
  T.Name, T.NumberToken, T.TextToken, T.True, T.False, T.RightParen, T.RightBracket, T.RightBrace,
];

/** What goes on with the line before. */
const continuers: readonly TokenType[] = [
  T.CompareOperator, T.RangeOperator, T.AddOperator, T.MultiplyOperator, T.Caret, T.And, T.Or, T.Then, T.Else, T.Where,
  T.Pipe, T.Arrow, T.Define, T.Comma, T.Colon, T.Dot, T.LeftBrace, T.RightBrace, T.RightParen, T.RightBracket,
];
const continuingWords: ReadonlySet<TokenType> = new Set([T.When, T.As, T.Like, T.From]);

function begins(tokens: readonly IToken[], at: number): boolean {
  const [before, token, next] = [tokens[at - 1], tokens[at], tokens[at + 1]];
  if (token === undefined) return false;
  if (before === undefined) return true;
  if (before.endLine === token.startLine) return false;
  if (next !== undefined && tokenMatcher(token, T.Name) && tokenMatcher(next, T.Define)) return true;
  if (!enders.some((type) => tokenMatcher(before, type))) return false;
  return !continuingWords.has(token.tokenType) && !continuers.some((type) => tokenMatcher(token, type));
}
