// One file as others see it: its definitions, its imports, and what a name at its top means.

import type { File, Item } from "../../grammar/ast.ts";
import type { SourceFile } from "../source.ts";

export type Named = Extract<Item, { kind: "const" | "dial" | "fn" | "op" | "block" | "network" | "data" }>;

/** What a name at the top of a file means: a definition and the file it stands in, or a whole file. */
export type Meaning =
  | { readonly kind: "item"; readonly item: Named; readonly module: Module }
  | { readonly kind: "module"; readonly module: Module };

export interface Module {
  readonly path: string;
  readonly source: SourceFile;
  readonly file: File;
  readonly items: Map<string, Named>;
  readonly imports: Map<string, Meaning>;
  /** The standard library, in scope everywhere. */
  readonly library: ReadonlyMap<string, Meaning>;
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
