// A finding about the user's text or data: terminal, JSON and tests render this same value.

import type { Span } from "../source.ts";

/** `N....` is an error, `W....` a warning, `I....` a note; the folder `codes/` explains each. */
export type Code = `${"N" | "W" | "I"}${number}`;

/** A place with a short remark under it. */
export interface Label {
  readonly span: Span;
  readonly text: string;
}

/** One level of the instantiation that led to the guilty line, e.g. `MedNeXt.e[0], pass 1 of 2`. */
export interface Frame {
  readonly text: string;
  readonly span: Span | undefined;
}

/** Replaces the text of `span`; what an editor's quick fix does. */
export interface TextEdit {
  readonly span: Span;
  readonly text: string;
}

export interface Diagnostic {
  readonly code: Code;
  readonly headline: string;
  /** The first label is the caret. A finding about data or a device may have none. */
  readonly labels: readonly Label[];
  readonly facts: readonly string[];
  /** Innermost first. */
  readonly frames: readonly Frame[];
  readonly hint: string | undefined;
  readonly edit: TextEdit | undefined;
}

/** Builds a finding; everything but the code and the headline may be left out. */
export function diagnostic(code: Code, headline: string, rest: Partial<Omit<Diagnostic, "code" | "headline">> = {}): Diagnostic {
  return { code, headline, labels: [], facts: [], frames: [], hint: undefined, edit: undefined, ...rest };
}

export function isError(finding: Diagnostic): boolean {
  return finding.code.startsWith("N");
}

/** Carries findings out of a deep evaluation to the pass that collects them; never reaches the user. */
export class Fault extends Error {
  readonly findings: readonly Diagnostic[];
  constructor(...findings: Diagnostic[]) {
    super(findings.map((f) => `${f.code}: ${f.headline}`).join("; "));
    this.findings = findings;
  }
}

/** A fault of ours, not of the user's text. */
export function invariant(holds: unknown, what: () => string): asserts holds {
  if (!holds) throw new Error(`internal: ${what()}`);
}
