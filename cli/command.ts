// What a command is: its flags, its help and what it does.

import { type Flags, type Operands, placeholder, readArguments, type Values } from "./arguments.ts";
import { table, type Terminal } from "./terminal.ts";

/** How a command ended, as the process's exit code. */
export const exit = { done: 0, fault: 1, usage: 2, device: 3, bug: 70, interrupted: 130 } as const;

/** A command, ready to run on its arguments. */
export interface Command {
  readonly name: string;
  readonly help: (summary: string) => string;
  readonly run: (argv: readonly string[], terminal: Terminal) => Promise<number>;
}

/** What the author of a command writes down. */
export interface CommandText<F extends Flags> {
  readonly name: string;
  readonly operands: Operands;
  readonly flags: F;
  /** What the summary leaves out; may be empty. */
  readonly details: string;
  readonly run: (given: { readonly values: Values<F>; readonly operands: readonly string[] }, terminal: Terminal) => Promise<number>;
}

/** Makes a command of its description. */
export function command<const F extends Flags>(text: CommandText<F>): Command {
  return {
    name: text.name,
    help: (summary) => helpFor(text, summary),
    run: (argv, terminal) => text.run(readArguments(argv, text.flags, text.operands), terminal),
  };
}

function helpFor<F extends Flags>({ name, operands, flags, details }: CommandText<F>, summary: string): string {
  const one = operands.least === 0 ? `[${operands.name}]` : operands.name;
  const operand = operands.most === 0 ? "" : ` ${one}${operands.most > 1 ? "..." : ""}`;
  const rows = Object.entries(flags).map(([flag, spec]) => {
    const short = spec.short === undefined ? "" : `-${spec.short}, `;
    return [`  ${short}--${flag} ${placeholder(spec)}`.trimEnd(), spec.text];
  });
  rows.push(["  --help", "print this text"]);
  const parts = [`usage: netc ${name}${operand} [flags]`, summary, ...(details === "" ? [] : [details]), table(rows)];
  return `${parts.join("\n\n")}\n`;
}
