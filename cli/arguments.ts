// Command-line arguments: each command says which flags it takes, and gets them checked and typed.

import { parseArgs } from "node:util";
import { nearest } from "../compiler/report/spelling.ts";

/** What a flag holds. Every flag is optional; a command states its own defaults. */
export type Flag = { readonly text: string; readonly short?: string } & (
  | { readonly kind: "switch" }
  | { readonly kind: "text"; readonly holds: string }
  | { readonly kind: "integer"; readonly least: number }
  | { readonly kind: "number" }
  /** `D,H,W` */
  | { readonly kind: "integers"; readonly least: number; readonly holds?: string }
  | { readonly kind: "choice"; readonly of: readonly string[] }
  /** `name=value`, as often as wanted; the last of a name counts. */
  | { readonly kind: "pairs" }
  /** As often as wanted. */
  | { readonly kind: "texts"; readonly holds: string }
);

/** The flags of a command, by name. */
export type Flags = Readonly<Record<string, Flag>>;

type Holds<F extends Flag> = F extends { kind: "switch" }
  ? boolean
  : F extends { kind: "integer" | "number" }
    ? number | undefined
    : F extends { kind: "integers" }
      ? readonly number[] | undefined
      : F extends { kind: "pairs" }
        ? Readonly<Record<string, string>>
        : F extends { kind: "texts" }
          ? readonly string[]
          : F extends { kind: "choice"; of: readonly (infer O)[] }
            ? O | undefined
            : string | undefined;

/** The values a command gets for its flags. */
export type Values<F extends Flags> = { readonly [K in keyof F]: Holds<F[K]> };

/** The command was used wrongly: exit code 2. */
export class UsageError extends Error {
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** How many operands a command takes, and what they are called. */
export interface Operands {
  readonly name: string;
  readonly least: number;
  readonly most: number;
}

/** Takes the arguments of one command apart. Throws a `UsageError`. */
export function readArguments<F extends Flags>(
  argv: readonly string[],
  flags: F,
  operands: Operands,
): { readonly values: Values<F>; readonly operands: readonly string[] } {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [
      name,
      { type: flag.kind === "switch" ? ("boolean" as const) : ("string" as const), multiple: true, ...(flag.short === undefined ? {} : { short: flag.short }) },
    ]),
  );
  const { tokens, positionals } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const flag = flags[token.name];
    if (flag === undefined) throw unknownFlag(token.rawName, Object.keys(flags));
    if (flag.kind === "switch" && token.value !== undefined) throw new UsageError(`\`--${token.name}\` takes no value`);
    if (flag.kind !== "switch" && token.value === undefined) throw new UsageError(`\`--${token.name}\` needs a value: \`--${token.name} ${placeholder(flag)}\``);
    given.set(token.name, [...(given.get(token.name) ?? []), token.value ?? ""]);
  }
  countOperands(positionals, operands);
  const values = Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, valueOf(name, flag, given.get(name) ?? [])]));
  return { values: values as Values<F>, operands: positionals };
}

function unknownFlag(raw: string, names: readonly string[]): UsageError {
  const meant = nearest(raw.replace(/^-+/, ""), names);
  return new UsageError(`there is no flag \`${raw}\``, meant === undefined ? undefined : `did you mean \`--${meant}\`?`);
}

function countOperands(given: readonly string[], { name, least, most }: Operands): void {
  if (given.length < least) throw new UsageError(least === 1 ? `a ${name} is missing` : `${least} of ${name} are needed, ${given.length} given`);
  if (given.length > most) throw new UsageError(`\`${given[most] ?? ""}\` is one ${name} too many`);
}

function valueOf(name: string, flag: Flag, given: readonly string[]): unknown {
  if (flag.kind === "switch") return given.length > 0;
  if (flag.kind === "texts") return given;
  if (flag.kind === "pairs") return Object.fromEntries(given.map((pair) => pairOf(name, pair)));
  if (given.length > 1) throw new UsageError(`\`--${name}\` is given ${given.length} times`);
  const [text] = given;
  if (text === undefined) return undefined;
  switch (flag.kind) {
    case "text":
      return text;
    case "choice":
      if (flag.of.includes(text)) return text;
      throw new UsageError(`\`--${name}\` is one of ${flag.of.join(", ")}, not \`${text}\``, didYouMean(text, flag.of));
    case "number": {
      const value = text.trim() === "" ? NaN : Number(text);
      if (Number.isFinite(value)) return value;
      throw new UsageError(`\`--${name}\` takes a number, not \`${text}\``);
    }
    case "integer":
      return integer(name, text, flag.least);
    case "integers":
      return text.split(",").map((part) => integer(name, part.trim(), flag.least));
  }
}

function didYouMean(text: string, names: readonly string[]): string | undefined {
  const meant = nearest(text, names);
  return meant === undefined ? undefined : `did you mean \`${meant}\`?`;
}

function integer(name: string, text: string, least: number): number {
  const value = /^[+-]?\d[\d_]*$/.test(text) ? Number(text.replaceAll("_", "")) : NaN;
  if (!Number.isSafeInteger(value)) throw new UsageError(`\`--${name}\` takes whole numbers, not \`${text}\``);
  if (value < least) throw new UsageError(`\`--${name}\` is at least ${least}, not ${text}`);
  return value;
}

function pairOf(name: string, pair: string): [string, string] {
  const at = pair.indexOf("=");
  if (at <= 0) throw new UsageError(`\`--${name}\` takes \`name=value\`, not \`${pair}\``);
  return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
}

/** What stands for a flag's value in help texts. */
export function placeholder(flag: Flag): string {
  switch (flag.kind) {
    case "switch":
      return "";
    case "text":
    case "texts":
      return flag.holds;
    case "integer":
    case "number":
      return "N";
    case "integers":
      return flag.holds ?? "D,H,W";
    case "choice":
      return flag.of.join("|");
    case "pairs":
      return "NAME=VALUE";
  }
}
