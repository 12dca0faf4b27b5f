// Everything that can be found out about one file without running it.

import { check, load } from "../compiler/front/front.ts";
import { isError, type Diagnostic } from "../compiler/report/diagnostic.ts";
import { diskReader } from "./compile.ts";

/** The findings about one text: how it is written, its names, and its networks, runs and checks, built once. */
export function checkFile(path: string, text: string): readonly Diagnostic[] {
  const disk = diskReader();
  const { program, findings } = load(path, (wanted) => (wanted === path ? text : disk(wanted)));
  return program === undefined || findings.some(isError) ? findings : [...findings, ...check(program)];
}
