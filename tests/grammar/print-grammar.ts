// The grammar as EBNF, printed from the parser object itself.

import type { ISerializedGast, Rule, TokenType } from "chevrotain";
import { serializeGrammar } from "../../grammar/chevrotain.ts";
import { NetParser } from "../../grammar/parser.ts";
import { allTokens, contextualWords, families, NumberToken, reservedWords, TextToken, Lower, Upper } from "../../grammar/tokens.ts";

const patterns: ReadonlyMap<TokenType, string> = new Map([
  [Lower, "[a-z_][A-Za-z0-9_]*"],
  [Upper, "[A-Z][A-Za-z0-9_]*"],
  [NumberToken, "1  1_000  0.5  1e-6"],
  [TextToken, '\'"\' signs other than a double quote or a line break \'"\''],
]);

/** The rules as the parser itself describes them. */
export function rules(): Record<string, Rule> {
  const all = Object.entries(new NetParser({ check: true }).getGAstProductions());
  // The parser defines expressions first, a reader wants the file first.
  const file = all.findIndex(([name]) => name === "file");
  return Object.fromEntries([...all.slice(file), ...all.slice(0, file)]);
}

/** The whole of `docs/grammar.md`. */
export function grammarPage(): string {
  const all = serializeGrammar(Object.values(rules())) as readonly Gast[];
  const lines = all.map((rule) => [rule.name ?? "", sequence(rule.definition ?? [])] as const);
  const groups = [...families].map(([family, members]) => [family.name, members.map(literal).join(" | ")] as const);
  const tokens = [...patterns].map(([type, pattern]) => [type.name, pattern] as const);
  const parts = [
    "# Grammar",
    "Printed from the parser by a test; `npx vitest run tests/grammar -u` brings it up to date.",
    "`{ … }` stands any number of times, `{ … }+` at least once, `[ … ]` at most once.",
    fence(lines),
    "Names and signs:",
    fence([...groups, ...tokens]),
    "Comments: `//` to the end of the line; `///` above a definition documents it; `//!` documents the file.",
    `Words that are never names: ${words(reservedWords)}.`,
    `Words that are keywords only where they can be meant so, and names everywhere else: ${words(contextualWords)}.`,
    "Two rules look at line breaks, which is why definitions need no `;`:",
    [
      "- a `(` or `[` goes on with an expression only on the line where what it belongs to ends;",
      "- `as` and `when` belong to the definition before them unless `=` or `[` follows, which makes them names.",
    ].join("\n"),
    "A reducer's name is a reduction only before `[`; `max(a, b)` is a call.",
  ];
  return `${parts.join("\n\n")}\n`;
}

function fence(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return ["```ebnf", ...rows.map(([name, text]) => `${name.padEnd(width)} = ${text} ;`), "```"].join("\n");
}

function words(types: readonly TokenType[]): string {
  return types.map((type) => `\`${String(type.PATTERN)}\``).join(", ");
}

function literal(type: TokenType): string {
  return typeof type.PATTERN === "string" && !families.has(type) ? `"${type.PATTERN}"` : type.name;
}

type Gast = ISerializedGast & {
  readonly name?: string;
  readonly separator?: Gast;
  readonly definition?: readonly Gast[];
};

function sequence(parts: readonly Gast[]): string {
  return parts.map((part) => one(part, parts.length > 1)).join(" ");
}

function one(part: Gast, among: boolean): string {
  const inner = sequence(part.definition ?? []);
  switch (part.type) {
    case "Terminal":
      return terminal(part);
    case "NonTerminal":
      return part.name ?? "";
    case "Option":
      return `[ ${inner} ]`;
    case "Repetition":
      return `{ ${inner} }`;
    case "RepetitionMandatory":
      return `{ ${inner} }+`;
    case "RepetitionMandatoryWithSeparator":
      return `${inner} { ${terminal(part.separator)} ${inner} }`;
    case "Alternation": {
      const choices = (part.definition ?? []).map((choice) => sequence(choice.definition ?? [])).join(" | ");
      return among ? `( ${choices} )` : choices;
    }
    case "Alternative":
      return inner;
    default:
      throw new Error(`the printer does not know ${part.type}`);
  }
}

function terminal(part: Gast | undefined): string {
  const type = allTokens.find((token) => token.name === part?.name);
  if (type === undefined) throw new Error(`no token ${part?.name ?? ""}`);
  return literal(type);
}
