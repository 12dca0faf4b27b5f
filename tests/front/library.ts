// Reads the repository's nets for tests, and texts that stand in no file.

import { existsSync, readFileSync } from "node:fs";
import { check, load, prepareTraining, type Program, type Reader } from "../../compiler/front/front.ts";
import type { TrainingGraph } from "../../compiler/ir/graph.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";

/** Files of the repository; `std:` is the standard library; `texts` come first. */
export function reader(texts: Readonly<Record<string, string>> = {}): Reader {
  return (path) => {
    const own = texts[path];
    if (own !== undefined) return own;
    const real = path.startsWith("std:") ? `nets/std/${path.slice(4)}` : path;
    return existsSync(real) ? readFileSync(real, "utf8") : undefined;
  };
}

/** A program that must load without findings. */
export function program(path: string, texts: Readonly<Record<string, string>> = {}): Program {
  const { program: made, findings } = load(path, reader(texts));
  if (!made || findings.length > 0) throw new Error(`${path}: ${findings.map((f) => `${f.code} ${f.headline}`).join("; ")}`);
  return made;
}

/** A program of one text. */
export const written = (text: string): Program => program("a.net", { "a.net": text });

/** The training step of a text's first run, on images of one channel. */
export function trainingOf(text: string, set: Readonly<Record<string, string>> = {}): TrainingGraph {
  const { training, findings } = prepareTraining(written(text), undefined, { channels: 1, set });
  if (!training) throw new Error(findings.map((f) => `${f.code} ${f.headline}`).join("; "));
  return training;
}

/** Everything found wrong with a text. */
export function findingsIn(text: string): readonly Diagnostic[] {
  const { program: made, findings } = load("a.net", reader({ "a.net": text }));
  return made && findings.every((f) => !f.code.startsWith("N")) ? [...findings, ...check(made)] : findings;
}

/** The codes found in a text. */
export const codesIn = (text: string): readonly string[] => findingsIn(text).map((f) => f.code);
