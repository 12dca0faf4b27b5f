// The terminal: results on stdout, messages on stderr, colour and a progress line where a person looks.

import { durationText } from "../runtime/train/progress.ts";

/** A place to write to, as much of a stream as is needed here. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** What a command writes with. */
export interface Terminal {
  /** A result, on stdout. */
  readonly print: (text: string) => void;
  /** A message, on stderr. */
  readonly say: (text: string) => void;
  /** Whether messages may be coloured. */
  readonly colour: boolean;
  readonly progress: () => Progress;
}

/** Tells how work is getting on. */
export interface Progress {
  /** The state of things now, and how much of all is done (0 to 1), as a bar and the time that is left; replaces the last one on a terminal, rarely a line of its own elsewhere. */
  readonly update: (text: string, done?: number) => void;
  /** A line that stays. */
  readonly log: (text: string) => void;
  /** Takes the progress line away. */
  readonly done: () => void;
}

/** The terminal over two streams. */
export function terminalOn(out: Sink, err: Sink, env: Readonly<Record<string, string | undefined>>): Terminal {
  return {
    print: (text) => void out.write(`${text}\n`),
    say: (text) => void err.write(`${text}\n`),
    colour: wantsColour(err, env),
    progress: () => (err.isTTY === true ? lineProgress(err) : logProgress(err)),
  };
}

function wantsColour(sink: Sink, env: Readonly<Record<string, string | undefined>>): boolean {
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false;
  if (env["FORCE_COLOR"] !== undefined && env["FORCE_COLOR"] !== "" && env["FORCE_COLOR"] !== "0") return true;
  return sink.isTTY === true && env["TERM"] !== "dumb";
}

const clearLine = "\r\u001b[2K";

/** Adds the time that is left to what is done by shares, where a text does not say it itself. */
function withTime(clock: () => number): (text: string, done: number | undefined) => string {
  let began: { readonly at: number; readonly done: number } | undefined;
  return (text, done) => {
    if (done === undefined) {
      began = undefined;
      return text;
    }
    if (began === undefined || done < began.done) began = { at: clock(), done };
    const elapsed = clock() - began.at;
    // The first moments tell little.
    if (elapsed < 2000 || done <= began.done || done >= 1 || text.endsWith(" left")) return text;
    return `${text}, ${durationText((elapsed * (1 - done)) / (done - began.done) / 1000)} left`;
  };
}

/** One line that is rewritten in place, ten times a second at most. */
export function lineProgress(sink: Sink, clock: () => number = Date.now): Progress {
  let shown = "";
  let drawn = -Infinity;
  const timed = withTime(clock);
  const draw = (text: string): void => {
    const width = (sink.columns ?? 80) - 1;
    shown = text.length > width ? `${text.slice(0, width - 1)}…` : text;
    sink.write(clearLine + shown);
  };
  return {
    update: (plain, done) => {
      const text = timed(plain, done);
      if (clock() - drawn < 100) return;
      drawn = clock();
      draw(done === undefined ? text : `${bar(done)} ${text}`);
    },
    log: (text) => {
      sink.write(`${shown === "" ? "" : clearLine}${text}\n${shown}`);
    },
    done: () => {
      if (shown !== "") sink.write(clearLine);
      shown = "";
    },
  };
}

/** `[====------]  38 %` */
function bar(done: number): string {
  const filled = Math.round(10 * Math.min(1, Math.max(0, done)));
  return `[${"=".repeat(filled)}${"-".repeat(10 - filled)}] ${String(Math.floor(100 * done)).padStart(3)} %`;
}

/** Says nothing of how work is getting on; messages and results remain. */
export function quietly(terminal: Terminal): Terminal {
  return { ...terminal, progress: () => ({ update: () => undefined, log: () => undefined, done: () => undefined }) };
}

/** Lines of a log file: one when something is said, and a sign of life every ten seconds. */
export function logProgress(sink: Sink, clock: () => number = Date.now): Progress {
  let last = clock();
  const timed = withTime(clock);
  return {
    update: (plain, done) => {
      const text = timed(plain, done);
      if (clock() - last < 10_000) return;
      last = clock();
      sink.write(`${text}\n`);
    },
    log: (text) => {
      last = clock();
      sink.write(`${text}\n`);
    },
    done: () => undefined,
  };
}

/** Rows in columns, two spaces apart; columns named in `right` are set to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, cell.length)));
  return rows
    .map((row) => row.map((cell, at) => (right.includes(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0))).join("  ").trimEnd())
    .join("\n");
}
