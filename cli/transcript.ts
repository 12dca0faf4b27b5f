// `training.log`: what a run said, as plain lines with the time of day.

import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { diagnostic, Fault } from "../compiler/report/diagnostic.ts";
import type { Terminal } from "./terminal.ts";

/** A terminal whose lines are kept too, from the first one on, in the folder of a run as soon as there is one. */
export class Transcript {
  /** Says what the other terminal would, and keeps it. */
  readonly terminal: Terminal;
  #waiting: string[] = [];
  #path: string | undefined;

  constructor(terminal: Terminal) {
    this.terminal = {
      colour: terminal.colour,
      print: (text) => {
        this.keep(text);
        terminal.print(text);
      },
      say: (text) => {
        this.keep(text);
        terminal.say(text);
      },
      progress: () => {
        const progress = terminal.progress();
        return {
          ...progress,
          log: (text) => {
            this.keep(text);
            progress.log(text);
          },
        };
      },
    };
  }

  /** From now on lines go to the folder; those that waited go first. */
  open(folder: string): void {
    this.#path = join(folder, "training.log");
    this.#write(this.#waiting.splice(0).join(""));
  }

  /** Keeps a line that is not said. */
  keep(text: string): void {
    const line = `${stamp(new Date())}  ${stripVTControlCharacters(text).trimEnd()}\n`;
    if (this.#path === undefined) this.#waiting.push(line);
    else this.#write(line);
  }

  #write(lines: string): void {
    try {
      if (this.#path !== undefined) appendFileSync(this.#path, lines);
    } catch (error) {
      throw new Fault(diagnostic("N1007", `cannot write ${this.#path ?? ""}`, { facts: [error instanceof Error ? error.message : String(error)], hint: "make room for it; the checkpoints of the run are whole" }));
    }
  }
}

/** `2025-11-22 09:15:02`, where the reader is. */
export function stamp(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
