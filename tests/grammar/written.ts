// Random `.net` texts: every rule of the grammar, with random line breaks and comments between the tokens.

import fc from "fast-check";

/** A token; before a glued one no line may break. */
interface Piece {
  readonly text: string;
  readonly glued: boolean;
}

type Pieces = readonly Piece[];

const free = (text: string): Pieces => text.split(" ").map((one) => ({ text: one, glued: false }));
const glued = (text: string): Pieces => [{ text, glued: true }];

function all(...parts: readonly (string | fc.Arbitrary<Pieces>)[]): fc.Arbitrary<Pieces> {
  return fc.tuple(...parts.map((part) => (typeof part === "string" ? fc.constant(free(part)) : part))).map((list) => list.flat());
}

const maybe = (part: fc.Arbitrary<Pieces>): fc.Arbitrary<Pieces> => fc.option(part, { nil: [] });

function many(part: fc.Arbitrary<Pieces>, least: number, most: number, separator = ",", trailing = false): fc.Arbitrary<Pieces> {
  return fc.tuple(fc.array(part, { minLength: least, maxLength: most }), fc.boolean()).map(([list, end]) => {
    const joined = list.flatMap((one, at) => (at === 0 ? one : [...(separator === "" ? [] : free(separator)), ...one]));
    return trailing && end && list.length > 0 ? [...joined, ...free(separator)] : joined;
  });
}

const lower = fc.constantFrom("x", "near", "out", "data", "max", "sum", "as_is", "from", "like", "_", "a_long_name_for_a_value").map(free);
const upper = fc.constantFrom("C", "N", "Conv", "MedNeXtBlock", "GroupNorm").map(free);
const name = fc.oneof(lower, upper);
const leaf = fc.oneof(name, fc.constantFrom("1", "1_000", "0.5", "1e-6", '"text"', "true", "false").map(free));

const { expr, element, binder } = fc.letrec<Record<"expr" | "stage" | "choice" | "sum" | "range" | "postfix" | "element" | "binder" | "arg", Pieces>>((tie) => ({
  expr: fc.oneof({ depthSize: "small", withCrossShrink: true }, leaf, tie("choice"), all(tie("choice"), many(all("|>", tie("stage")), 1, 4, ""))),
  stage: all(
    fc.oneof(
      { depthSize: "small" },
      name,
      all(name, fc.constant(glued("(")), many(tie("arg"), 0, 3, ",", true), ")"),
      all("repeat", maybe(all(lower, "in")), tie("range"), "{", many(tie("stage"), 1, 3, "|>"), "}"),
    ),
    maybe(all("as", fc.constant(free("near")))),
  ),
  choice: fc.oneof(
    { depthSize: "small" },
    tie("range"),
    all("if", tie("expr"), "then", tie("expr"), "else", tie("expr")),
    all(tie("range"), fc.constantFrom("==", "<", "or", "and", "or not").map(free), tie("range")),
  ),
  range: fc.oneof(tie("sum"), all(tie("sum"), fc.constantFrom("..<", "..=").map(free), tie("sum"))),
  sum: fc.oneof(
    { depthSize: "small" },
    leaf,
    tie("postfix"),
    all(tie("postfix"), fc.constantFrom("+", "-", "*", "/", "%", "^").map(free), tie("sum")),
    all("-", tie("postfix")),
  ),
  postfix: fc.oneof(
    { depthSize: "small" },
    leaf,
    all("(", many(tie("expr"), 1, 2), ")"),
    all(name, fc.constant(glued("(")), many(tie("arg"), 0, 4, ",", true), ")"),
    // After a reducer's name this would be a reduction.
    all(fc.constantFrom("x", "near", "C").map(free), fc.constant(glued("[")), many(tie("element"), 1, 3), "]"),
    all(name, ".", name),
    all("sum", fc.constant(glued("[")), many(tie("binder"), 1, 3), maybe(all("where", many(tie("element"), 1, 2))), "] (", tie("expr"), ")"),
    all("[", many(tie("element"), 0, 4, ",", true), "]"),
    all("[", tie("expr"), ";", tie("expr"), "]"),
    all("[", tie("expr"), "for", lower, "in", tie("expr"), "]"),
  ),
  element: all(maybe(fc.constant(free("*"))), tie("expr")),
  binder: all(maybe(fc.constant(free("*"))), tie("sum"), maybe(all("in", tie("range")))),
  arg: all(maybe(all(lower, "=")), tie("expr")),
}));

const shape = all("[", many(element, 0, 4), "]");
const type = fc.oneof(lower, all(lower, "[ ]"), shape, all(shape, "for", lower, "in", expr));
const port = all(lower, ":", type, maybe(all("=", expr)));
const ports = all("(", many(port, 0, 4, ",", true), ")");
const result = all(maybe(all(lower, ":")), type);
const results = all("->", fc.oneof(result, all("(", many(result, 1, 3, ",", true), ")")));
const where = maybe(all("where", many(fc.oneof(all(upper, "=", expr), expr), 1, 3)));
const target = fc.oneof(lower, all(lower, "[", many(binder, 0, 3), "]"), all("(", many(lower, 1, 3), ")"));
const statement = fc.oneof(
  all(fc.constantFrom("param", "state").map(free), lower, ":", type, "=", expr),
  all(fc.constantFrom("shared", "update", "dial").map(free), lower, "=", expr),
  all("out", target, "=", expr, maybe(all("when", leaf))),
  all("return", expr),
  all(target, "=", expr),
);

/** Statements and items begin lines of their own: the language has no separator but the line. */
const ownLine = (part: fc.Arbitrary<Pieces>): fc.Arbitrary<Pieces> => part.map((pieces) => [{ text: "\n", glued: true }, ...pieces]);
const body = all("{", many(ownLine(statement), 0, 4, ""), "}");
const meaning = fc.oneof(all("=", expr), body);
const item = fc.oneof(
  all("import {", many(all(name, maybe(all("as", name))), 1, 3, ",", true), '} from "./other.net"'),
  all('import "./other.net" as', lower),
  all(lower, "=", expr),
  all("dial", lower, maybe(all(":", type)), "=", expr, maybe(all("where", many(expr, 1, 2, ",", false)))),
  all("fn", lower, "(", many(lower, 0, 3, ",", true), ")", meaning),
  all("op", lower, ports, results, where, body),
  all("block", upper, ports, maybe(results), where, meaning),
  all("network", upper, fc.oneof(all("=", expr), all(ports, where, body))),
  all("data", upper, body),
  all(fc.constantFrom("train", "infer").map(free), maybe(fc.constant(free("k3"))), "for", expr, maybe(all("like", lower)), body),
  all("check", expr),
);

const gap = fc.oneof(
  { weight: 30, arbitrary: fc.constant(" ") },
  { weight: 3, arbitrary: fc.constant("\n  ") },
  { weight: 1, arbitrary: fc.constant("\n\n\n") },
  { weight: 1, arbitrary: fc.constant(" // trailing\n") },
  { weight: 1, arbitrary: fc.constant("\n// alone\n") },
  { weight: 1, arbitrary: fc.constant("\n/// documents\n") },
);

/** A text of a few items, and how many comments were strewn into it. */
export const writtenText: fc.Arbitrary<string> = fc
  .tuple(many(ownLine(item), 1, 3, ""), fc.array(gap, { minLength: 40, maxLength: 120 }))
  .map(([pieces, gaps]) => pieces.map((piece, at) => (piece.glued ? piece.text : `${gaps[at % gaps.length] ?? " "}${piece.text}`)).join(""));
