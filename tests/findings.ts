// The findings about a `.net` file of the tests, as `netc check` would tell them.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { check, load } from "../compiler/front/front.ts";
import { isError, type Diagnostic } from "../compiler/report/diagnostic.ts";

const nets = join(import.meta.dirname, "..", "nets");

/** What is found about the file at `path`; messages name it `shown`. Networks are built only where the names are right. */
export function findingsOf(path: string, shown: string): readonly Diagnostic[] {
  const text = readFileSync(path, "utf8");
  const { program, findings } = load(shown, (wanted) => {
    if (wanted === shown) return text;
    const file = wanted.startsWith("std:") ? join(nets, "std", wanted.slice(4)) : join(dirname(path), wanted);
    try {
      return readFileSync(file, "utf8");
    } catch {
      return undefined;
    }
  });
  return program === undefined || findings.some(isError) ? findings : [...findings, ...check(program)];
}
