// One file as others see it: its definitions, its imports, and what a name at its top means.

import type { File, Item } from "../../grammar/ast.ts";
import type { SourceFile } from "../source.ts";

export type Named = Extract<Item, { kind: "const" | "dial" | "fn" | "op" | "block" | "network" | "data" }>;

/** What a name at the top of a file means: a definition and the file it stands in, or a whole file. */
export type Meaning =
  | { readonly kind: "item"; readonly item: Named; readonly module: Module }
  | { readonly kind: "module"; readonly module: Module };

/** Something by its name. */
export interface Lookup<T> {
  get(name: string): T | undefined;
  keys(): Iterable<string>;
}

/** What a file defines, by name. */
export interface Definitions extends Lookup<Named> {
  values(): Iterable<Named>;
}

export interface Module {
  readonly path: string;
  readonly source: SourceFile;
  readonly items: Definitions;
  readonly imports: Map<string, Meaning>;
  /** The standard library, in scope everywhere. */
  readonly library: Lookup<Meaning>;
}

/** A file that is no part of the library. */
export interface Written extends Module {
  readonly file: File;
}

/** What a file defines; of two definitions of a name the first. */
export function named(file: File): ReadonlyMap<string, Named> {
  const items = new Map<string, Named>();
  for (const item of file.items) {
    if (item.kind === "import" || item.kind === "run" || item.kind === "check") continue;
    if (!items.has(item.name.text)) items.set(item.name.text, item);
  }
  return items;
}

/** What a name means in a file. */
export function find(module: Module, name: string): Meaning | undefined {
  const own = module.items.get(name);
  if (own) return { kind: "item", item: own, module };
  return module.imports.get(name) ?? module.library.get(name);
}

/** All names that a file can use. */
export function visible(module: Module): string[] {
  return [...module.items.keys(), ...module.imports.keys(), ...module.library.keys()];
}
