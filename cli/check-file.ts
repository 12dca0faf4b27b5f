// Everything that can be found out about one file without running it.

import type { Diagnostic } from "../compiler/report/diagnostic.ts";
import { parse } from "../grammar/parse.ts";

/** The findings about one text. */
export function checkFile(path: string, text: string): readonly Diagnostic[] {
  return parse({ path, text }).findings;
}
