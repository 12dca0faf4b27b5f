// A finding as people read it: headline, place, source with carets, facts, frames, hint; and as JSON.

import { lineColumn, lineText, type SourceFile, type Span } from "../source.ts";
import { type Diagnostic, type Frame, type Label, isError } from "./diagnostic.ts";

/** How a finding is to be written. */
export interface RenderOptions {
  readonly colour: boolean;
}

type Paint = (text: string) => string;

interface Palette {
  readonly level: Paint;
  readonly strong: Paint;
  readonly faint: Paint;
  readonly aside: Paint;
  readonly hint: Paint;
}

/** The word for how serious a finding is. */
export function levelOf(finding: Diagnostic): "error" | "warning" | "note" {
  return isError(finding) ? "error" : finding.code.startsWith("W") ? "warning" : "note";
}

function paletteFor(finding: Diagnostic, colour: boolean): Palette {
  const paint = (code: string): Paint => (colour ? (text) => (text === "" ? "" : `\u001b[${code}m${text}\u001b[0m`) : (text) => text);
  const level = { error: "1;31", warning: "1;33", note: "1;34" }[levelOf(finding)];
  return { level: paint(level), strong: paint("1"), faint: paint("2"), aside: paint("34"), hint: paint("36") };
}

/** A finding as text, without a line break at its end. */
export function render(finding: Diagnostic, { colour }: RenderOptions): string {
  const paint = paletteFor(finding, colour);
  const lines = [`${paint.level(`${levelOf(finding)}[${finding.code}]`)}${paint.strong(`: ${finding.headline}`)}`];
  const caret = finding.labels[0];
  if (caret !== undefined) {
    const here = finding.labels.filter((label) => label.span.file.path === caret.span.file.path);
    const elsewhere = finding.labels.filter((label) => label.span.file.path !== caret.span.file.path);
    lines.push(`  ${paint.faint(placeOf(caret.span))}`, ...excerpt(caret.span.file, here, caret, paint));
    lines.push(...elsewhere.map((label) => `  ${paint.faint(placeOf(label.span))}   ${paint.aside(label.text === "" ? sourceOf(label.span) : label.text)}`));
  }
  lines.push(...finding.facts, ...frames(finding.frames, paint));
  if (finding.hint !== undefined) lines.push(`${paint.hint("hint:")} ${finding.hint}`);
  return lines.join("\n");
}

/** Findings one below the other; beyond `limit` only their number is told. */
export function renderAll(findings: readonly Diagnostic[], options: RenderOptions, limit = 20): string {
  const shown = findings.slice(0, limit).map((finding) => render(finding, options));
  const more = findings.length - shown.length;
  if (more > 0) shown.push(`… and ${more} more`);
  return shown.join("\n\n");
}

/** `path:line:column` of where a span begins. */
export function placeOf(span: Span): string {
  const { line, column } = lineColumn(span.file, span.start);
  return `${span.file.path}:${line}:${column}`;
}

function sourceOf(span: Span): string {
  return (span.file.text.slice(span.start, span.end).split("\n")[0] ?? "").trim();
}

interface Mark {
  readonly label: Label;
  readonly from: number;
  readonly width: number;
}

function excerpt(file: SourceFile, labels: readonly Label[], caret: Label, paint: Palette): string[] {
  const byLine = groupByLine(file, labels);
  const numbers = [...byLine.keys()].sort((a, b) => a - b);
  const gutter = String(numbers.at(-1) ?? 0).length;
  return numbers.flatMap((number) => {
    const { text, marks } = clip(lineText(file, number), byLine.get(number) ?? []);
    const rows = underline(marks, caret, paint).map((row) => `  ${" ".repeat(gutter)} ${paint.faint("|")} ${row}`);
    return [`  ${paint.faint(`${String(number).padStart(gutter)} |`)} ${text}`, ...rows];
  });
}

function groupByLine(file: SourceFile, labels: readonly Label[]): Map<number, Mark[]> {
  const byLine = new Map<number, Mark[]>();
  for (const label of labels) {
    const { line, column } = lineColumn(file, label.span.start);
    const rest = lineText(file, line).length - (column - 1);
    const width = Math.max(1, Math.min(label.span.end - label.span.start, rest));
    byLine.set(line, [...(byLine.get(line) ?? []), { label, from: column - 1, width }]);
  }
  return byLine;
}

const widest = 160;

/** A tab counts as one column everywhere, and of an endless line only the neighbourhood is shown. */
function clip(line: string, marks: readonly Mark[]): { text: string; marks: readonly Mark[] } {
  const text = line.replaceAll("\t", " ");
  if (text.length <= widest) return { text: text.trimEnd(), marks };
  const first = Math.min(...marks.map((mark) => mark.from));
  const start = Math.max(0, Math.min(first - 40, text.length - widest));
  const head = start > 0 ? "…" : "";
  const tail = start + widest < text.length ? "…" : "";
  const shifted = marks.map((mark) => {
    const from = Math.min(mark.from - start, widest) + head.length;
    return { ...mark, from, width: Math.max(1, Math.min(mark.width, widest + head.length - from)) };
  });
  return { text: `${head}${text.slice(start, start + widest)}${tail}`, marks: shifted };
}

/** One row of carets; the last remark stands behind it, the others below, each under its own mark. */
function underline(marks: readonly Mark[], caret: Label, paint: Palette): string[] {
  const inOrder = [...marks].sort((a, b) => a.from - b.from);
  const cells: ("^" | "-" | " ")[] = [];
  for (const mark of [...inOrder].sort((a, b) => Number(a.label === caret) - Number(b.label === caret))) {
    for (let at = 0; at < mark.from + mark.width; at++) {
      if (at >= mark.from) cells[at] = mark.label === caret ? "^" : "-";
      else cells[at] ??= " ";
    }
  }
  const colourOf = (mark: Mark): Paint => (mark.label === caret ? paint.level : paint.aside);
  const row = cells.join("").replace(/\^+|-+/g, (run) => (run.startsWith("^") ? paint.level(run) : paint.aside(run)));
  const last = inOrder.at(-1);
  const told = last === undefined || last.label.text === "" ? row : `${row} ${colourOf(last)(last.label.text)}`;
  const below = inOrder.slice(0, -1).filter((mark) => mark.label.text !== "");
  return [told, ...below.reverse().map((mark) => `${" ".repeat(mark.from)}${colourOf(mark)(mark.label.text)}`)];
}

const mostFrames = 8;

function frames(all: readonly Frame[], paint: Palette): string[] {
  const near = Math.ceil(mostFrames / 2);
  const elided = all.length > mostFrames;
  const shown = elided ? [...all.slice(0, near), ...all.slice(all.length - (mostFrames - near))] : all;
  const width = Math.max(...shown.map((frame) => frame.text.length), 0);
  const rows = shown.map((frame) => {
    const place = frame.span === undefined ? "command line" : placeOf(frame.span);
    return `  in ${frame.text.padEnd(width)}   ${paint.faint(place)}`;
  });
  if (elided) rows.splice(near, 0, paint.faint(`  … ${all.length - mostFrames} more …`));
  return rows;
}

interface JsonPlace {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
}

/** A finding as machines read it. Lines and columns count from 1; ends are exclusive. */
export interface JsonFinding {
  readonly code: string;
  readonly level: "error" | "warning" | "note";
  readonly headline: string;
  readonly labels: readonly (JsonPlace & { readonly text: string })[];
  readonly facts: readonly string[];
  readonly frames: readonly { readonly text: string; readonly place: JsonPlace | null }[];
  readonly hint: string | null;
  readonly edit: (JsonPlace & { readonly text: string }) | null;
}

/** The JSON form of a finding. */
export function toJson(finding: Diagnostic): JsonFinding {
  return {
    code: finding.code,
    level: levelOf(finding),
    headline: finding.headline,
    labels: finding.labels.map((label) => ({ ...jsonPlace(label.span), text: label.text })),
    facts: finding.facts,
    frames: finding.frames.map((frame) => ({ text: frame.text, place: frame.span === undefined ? null : jsonPlace(frame.span) })),
    hint: finding.hint ?? null,
    edit: finding.edit === undefined ? null : { ...jsonPlace(finding.edit.span), text: finding.edit.text },
  };
}

function jsonPlace(span: Span): JsonPlace {
  const from = lineColumn(span.file, span.start);
  const to = lineColumn(span.file, span.end);
  return { path: span.file.path, line: from.line, column: from.column, endLine: to.line, endColumn: to.column };
}
