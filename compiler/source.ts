// Source texts and places in them: what every message points at.

/** One `.net` text. Lines are counted from 1, columns from 1 in UTF-16 units, offsets from 0. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** A half-open stretch `start ..< end` of a source text, in offsets. */
export interface Span {
  readonly file: SourceFile;
  readonly start: number;
  readonly end: number;
}

/** The smallest span that covers both. */
export function cover(a: Span, b: Span): Span {
  return { file: a.file, start: Math.min(a.start, b.start), end: Math.max(a.end, b.end) };
}

/** Line and column, both from 1, of an offset. */
export function lineColumn(file: SourceFile, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let at = file.text.indexOf("\n"); at !== -1 && at < offset; at = file.text.indexOf("\n", at + 1)) {
    line++;
    start = at + 1;
  }
  return { line, column: offset - start + 1 };
}

/** The text of a line (from 1), without its line break. */
export function lineText(file: SourceFile, line: number): string {
  return (file.text.split("\n")[line - 1] ?? "").replace(/\r$/, "");
}
