// The token table: punctuation, reserved words, and the words that are keywords only where they fit.

import type { TokenType } from "chevrotain";
import { createToken, Lexer } from "./chevrotain.ts";

/** Any name; `Lower` and `Upper` belong to it. The parser takes either and the case is judged later. */
export const Name = createToken({ name: "Name", pattern: Lexer.NA });
export const Upper = createToken({ name: "Upper", pattern: /[A-Z][A-Za-z0-9_]*/, categories: [Name] });
export const Lower = createToken({ name: "Lower", pattern: /[a-z_][A-Za-z0-9_]*/, categories: [Name] });

export const Reducer = createToken({ name: "Reducer", pattern: Lexer.NA });
export const CompareOperator = createToken({ name: "CompareOperator", pattern: Lexer.NA });
export const RangeOperator = createToken({ name: "RangeOperator", pattern: Lexer.NA });
export const AddOperator = createToken({ name: "AddOperator", pattern: Lexer.NA });
export const MultiplyOperator = createToken({ name: "MultiplyOperator", pattern: Lexer.NA });

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function reserved(word: string): TokenType {
  return createToken({ name: capital(word), pattern: word, longer_alt: Lower });
}

function contextual(word: string, ...categories: TokenType[]): TokenType {
  return createToken({ name: capital(word), pattern: word, longer_alt: Lower, categories: [Lower, ...categories] });
}

function sign(name: string, pattern: string, ...categories: TokenType[]): TokenType {
  return createToken({ name, pattern, categories });
}

export const Import = reserved("import");
export const Fn = reserved("fn");
export const Op = reserved("op");
export const Block = reserved("block");
export const Network = reserved("network");
export const Param = reserved("param");
export const Return = reserved("return");
export const If = reserved("if");
export const Then = reserved("then");
export const Else = reserved("else");
export const Repeat = reserved("repeat");
export const For = reserved("for");
export const In = reserved("in");
export const Where = reserved("where");
export const And = reserved("and");
export const Or = reserved("or");
export const Not = reserved("not");
export const True = reserved("true");
export const False = reserved("false");

export const From = contextual("from");
export const As = contextual("as");
export const Dial = contextual("dial");
export const Data = contextual("data");
export const Train = contextual("train");
export const Infer = contextual("infer");
export const Like = contextual("like");
export const Check = contextual("check");
export const State = contextual("state");
export const Shared = contextual("shared");
export const Update = contextual("update");
export const Out = contextual("out");
export const When = contextual("when");
export const Sum = contextual("sum", Reducer);
export const Mean = contextual("mean", Reducer);
export const Max = contextual("max", Reducer);
export const Min = contextual("min", Reducer);
export const Prod = contextual("prod", Reducer);

export const LeftParen = sign("LeftParen", "(");
export const RightParen = sign("RightParen", ")");
export const LeftBracket = sign("LeftBracket", "[");
export const RightBracket = sign("RightBracket", "]");
export const LeftBrace = sign("LeftBrace", "{");
export const RightBrace = sign("RightBrace", "}");
export const Arrow = sign("Arrow", "->");
export const Pipe = sign("Pipe", "|>");
export const Equal = sign("Equal", "==", CompareOperator);
export const NotEqual = sign("NotEqual", "!=", CompareOperator);
export const AtMost = sign("AtMost", "<=", CompareOperator);
export const AtLeast = sign("AtLeast", ">=", CompareOperator);
export const Below = sign("Below", "<", CompareOperator);
export const Above = sign("Above", ">", CompareOperator);
export const Define = sign("Define", "=");
export const UpTo = sign("UpTo", "..<", RangeOperator);
export const Through = sign("Through", "..=", RangeOperator);
export const Plus = sign("Plus", "+", AddOperator);
export const Minus = sign("Minus", "-", AddOperator);
export const Star = sign("Star", "*", MultiplyOperator);
export const Slash = sign("Slash", "/", MultiplyOperator);
export const Percent = sign("Percent", "%", MultiplyOperator);
export const Caret = sign("Caret", "^");
export const Comma = sign("Comma", ",");
export const Colon = sign("Colon", ":");
export const Semicolon = sign("Semicolon", ";");
export const Dot = sign("Dot", ".");

export const NumberToken = createToken({ name: "Number", pattern: /[0-9][0-9_]*(\.[0-9][0-9_]*)?([eE][+-]?[0-9]+)?/ });
export const TextToken = createToken({ name: "Text", pattern: /"[^"\r\n]*"/ });

// Mistakes with a token of their own: the parser reads on as if the right sign stood there,
// so one `:=` costs one message and not the rest of the file.
export const ColonEquals = sign("ColonEquals", ":=", Define);
export const BareRange = sign("BareRange", "..", RangeOperator);
export const OpenText = createToken({ name: "OpenText", pattern: /"[^"\r\n]*/, categories: [TextToken] });

const Space = createToken({ name: "Space", pattern: /[ \t\r\n\uFEFF]+/, group: Lexer.SKIPPED, line_breaks: true });
const Comment = createToken({ name: "Comment", pattern: /\/\/[^\r\n]*/, group: "comments" });

/** Words that can never be names. */
export const reservedWords: readonly TokenType[] = [
  Import, Fn, Op, Block, Network, Param, Return, If, Then, Else, Repeat, For, In, Where, And, Or, Not, True, False,
];

/** Words that are keywords in one place and names everywhere else. */
export const contextualWords: readonly TokenType[] = [
  From, As, Dial, Data, Train, Infer, Like, Check, State, Shared, Update, Out, When, Sum, Mean, Max, Min, Prod,
];

/** What counts as each abstract token, in the order `docs/grammar.md` prints them. */
export const families: ReadonlyMap<TokenType, readonly TokenType[]> = new Map([
  [Name, [Lower, Upper]],
  [Reducer, [Sum, Mean, Max, Min, Prod]],
  [CompareOperator, [Equal, NotEqual, Below, AtMost, Above, AtLeast]],
  [RangeOperator, [UpTo, Through]],
  [AddOperator, [Plus, Minus]],
  [MultiplyOperator, [Star, Slash, Percent]],
]);

// `infer` begins with `in`: the longer word has to be tried first.
const words = [...reservedWords, ...contextualWords].sort((a, b) => b.name.length - a.name.length);

/** Longest spelling first wherever one sign begins another. */
export const allTokens: TokenType[] = [
  Space, Comment, TextToken, OpenText, NumberToken,
  ...words, Lower, Upper,
  Name, Reducer, CompareOperator, RangeOperator, AddOperator, MultiplyOperator,
  Arrow, Pipe, Equal, NotEqual, AtMost, AtLeast, ColonEquals, UpTo, Through, BareRange,
  LeftParen, RightParen, LeftBracket, RightBracket, LeftBrace, RightBrace,
  Below, Above, Define, Plus, Minus, Star, Slash, Percent, Caret, Comma, Colon, Semicolon, Dot,
];

/** Turns a text into tokens; comments come out in the group `comments`. */
export const lexer = new Lexer(allTokens, { positionTracking: "full", ensureOptimizations: false });
