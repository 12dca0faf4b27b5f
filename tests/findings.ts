// The findings about a `.net` file of the tests, as `netc check` would tell them.

import { readFileSync } from "node:fs";
import type { Diagnostic } from "../compiler/report/diagnostic.ts";
import { parse } from "../grammar/parse.ts";

/** What is found about the file at `path`; messages name it `shown`. */
export function findingsOf(path: string, shown: string): readonly Diagnostic[] {
  return parse({ path: shown, text: readFileSync(path, "utf8") }).findings;
}
