// The standard library: its definitions are found by name, and parsed when one is first used.

import { parse } from "../../grammar/parse.ts";
import { partsOf, type Part } from "../../grammar/parts.ts";
import { Fault, isError } from "../report/diagnostic.ts";
import type { SourceFile } from "../source.ts";
import { named, type Definitions, type Lookup, type Meaning, type Module, type Named } from "./module.ts";

/** The files of the standard library; the reader is asked for `std:ops.net` and so on. */
export const standard: readonly string[] = ["scalar", "ops", "layers", "loss", "optim", "schedule", "metric", "infer", "augment"].map((n) => `std:${n}.net`);

const known = new Map<string, { readonly source: SourceFile; readonly items: Definitions }>();

/** A file of the standard library with its definitions; it is the same text every time, so each is parsed once. */
export function standardFile(path: string, text: string): { readonly source: SourceFile; readonly items: Definitions } {
  const before = known.get(path);
  if (before && before.source.text === text) return before;
  const source = { path, text };
  const parts = partsOf(text);
  const made = { source, items: parts ? new Parted(source, parts) : wholly(source) };
  known.set(path, made);
  return made;
}

function wholly(source: SourceFile, part?: Part): ReadonlyMap<string, Named> {
  const { file, findings } = parse(source, part);
  if (findings.some(isError)) throw new Fault(...findings);
  return named(file);
}

/** Definitions that are parsed one by one. */
class Parted implements Definitions {
  readonly #source: SourceFile;
  readonly #parts: ReadonlyMap<string, Part>;
  readonly #parsed = new Map<string, Named | undefined>();

  constructor(source: SourceFile, parts: ReadonlyMap<string, Part>) {
    this.#source = source;
    this.#parts = parts;
  }

  get(name: string): Named | undefined {
    const part = this.#parts.get(name);
    if (part && !this.#parsed.has(name)) this.#parsed.set(name, wholly(this.#source, part).get(name));
    return this.#parsed.get(name);
  }

  keys(): Iterable<string> {
    return this.#parts.keys();
  }

  values(): Iterable<Named> {
    return [...this.keys()].flatMap((name) => this.get(name) ?? []);
  }
}

/** What the names of the library mean. */
export class Library implements Lookup<Meaning> {
  readonly #modules = new Map<string, Module>();

  add(module: Module): void {
    for (const name of module.items.keys()) this.#modules.set(name, module);
  }

  get(name: string): Meaning | undefined {
    const module = this.#modules.get(name);
    const item = module?.items.get(name);
    return module && item && { kind: "item", item, module };
  }

  keys(): Iterable<string> {
    return this.#modules.keys();
  }
}
