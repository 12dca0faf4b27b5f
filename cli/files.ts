// The disk: reading texts, finding the package and its standard library.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The text of a file, or nothing when there is no such file. */
export function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && ["ENOENT", "ENOTDIR", "EISDIR"].includes(String(thrown.code));
}

/** The folder of `package.json`: the same for `cli/` in the sources and `dist/cli/` as installed. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const above = dirname(folder);
    if (above === folder) throw new Error("internal: the package has no package.json");
    folder = above;
  }
  return folder;
}

/** The folder of the standard library. */
export function stdFolder(): string {
  return join(packageRoot(), "nets", "std");
}

/** The names of a folder's files with an ending, in order. */
export function filesIn(folder: string, ending: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(ending)).sort() : [];
}

/** The explanations of all codes, by file name. */
export function codePages(): ReadonlyMap<string, string> {
  const folder = join(packageRoot(), "compiler", "report", "codes");
  return new Map(filesIn(folder, ".md").map((name) => [name.replace(/\.md$/, ""), readFileSync(join(folder, name), "utf8")]));
}
