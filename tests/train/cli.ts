// Runs the command line in this process and keeps what it says.

import { dispatch } from "../../cli/dispatch.ts";
import type { Terminal } from "../../cli/terminal.ts";

export interface Said {
  readonly code: number;
  readonly out: string;
  /** Messages, with the lines that progress leaves. */
  readonly err: string;
}

/** `netc` with arguments; `watch` sees every state of the progress line. */
export async function netc(argv: readonly string[], watch: (text: string) => void = () => {}): Promise<Said> {
  const out: string[] = [];
  const err: string[] = [];
  const terminal: Terminal = {
    print: (text) => void out.push(text),
    say: (text) => void err.push(text),
    colour: false,
    progress: () => ({ update: watch, log: (text) => void err.push(text), done: () => undefined }),
  };
  const code = await dispatch(argv, terminal);
  return { code, out: out.join("\n"), err: err.join("\n") };
}
