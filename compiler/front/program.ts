// A file with all it imports and the standard library: what every name at the top of a file means.

import type { Item, Name } from "../../grammar/ast.ts";
import { parse } from "../../grammar/parse.ts";
import { diagnostic, type Diagnostic } from "../report/diagnostic.ts";
import type { SourceFile, Span } from "../source.ts";
import { nearest } from "../report/spelling.ts";
import { Library, standard, standardFile } from "./library.ts";
import { named, type Meaning, type Module, type Written } from "./module.ts";
import { resolve } from "./resolve.ts";

export interface Program {
  readonly main: Written;
  readonly modules: ReadonlyMap<string, Module>;
}

/** Reads a text by its path; undefined when there is none. */
export type Reader = (path: string) => string | undefined;

/** Parses a file and everything it needs, and resolves all names. */
export function load(path: string, read: Reader): { program: Program | undefined; findings: readonly Diagnostic[] } {
  const text = read(path);
  if (text === undefined) {
    return { program: undefined, findings: [diagnostic("N0202", `there is no file \`${path}\``, { hint: "check the path; it is taken from the current folder" })] };
  }
  const loading: Loading = { read, modules: new Map(), written: [], library: new Library(), findings: [], open: [] };
  for (const name of standard) loadStandard(name, loading);
  const main = enter(path, text, loading);
  for (const module of loading.written) loading.findings.push(...resolve(module));
  return { program: { main, modules: loading.modules }, findings: loading.findings };
}

interface Loading {
  readonly read: Reader;
  readonly modules: Map<string, Module>;
  readonly written: Written[];
  readonly library: Library;
  readonly findings: Diagnostic[];
  /** The files whose imports are being read. */
  readonly open: string[];
}

function loadStandard(path: string, loading: Loading): void {
  const text = loading.read(path);
  if (text === undefined) {
    loading.findings.push(diagnostic("N0202", `the standard library lacks \`${path}\``, { hint: "the installation is incomplete" }));
    return;
  }
  const module: Module = { path, ...standardFile(path, text), imports: new Map(), library: loading.library };
  loading.modules.set(path, module);
  loading.library.add(module);
}

function enter(path: string, text: string, loading: Loading): Written {
  const source: SourceFile = { path, text };
  const { file, findings } = parse(source);
  loading.findings.push(...findings);
  const module: Written = { path, source, file, items: named(file), imports: new Map(), library: loading.library };
  loading.written.push(module);
  loading.modules.set(path, module);
  loading.open.push(path);
  for (const item of file.items) if (item.kind === "import") follow(item, module, loading);
  loading.open.pop();
  return module;
}

type Import = Extract<Item, { kind: "import" }>;

function follow(item: Import, module: Module, loading: Loading): void {
  const written = item.from.value;
  const path = relative(module.path, written);
  const complain = (headline: string, span: Span, label: string, hint?: string): void => {
    loading.findings.push(diagnostic("N0202", headline, { labels: [{ span, text: label }], hint }));
  };
  if (loading.open.includes(path)) {
    complain("these files import each other", item.from.span, [...loading.open.slice(loading.open.indexOf(path)), path].join(" → "),
      "move what both need into a third file");
    return;
  }
  let target = loading.modules.get(path);
  if (!target) {
    const text = loading.read(path);
    if (text === undefined) {
      complain(`there is no file \`${written}\``, item.from.span, `looked for ${path}`, "a path starts at the folder of the importing file");
      return;
    }
    target = enter(path, text, loading);
  }
  if (item.all) bind(module, item.all, { kind: "module", module: target });
  for (const { name, as } of item.names) {
    const found = target.items.get(name.text);
    if (found) bind(module, as ?? name, { kind: "item", item: found, module: target });
    else {
      const near = nearest(name.text, target.items.keys());
      loading.findings.push(diagnostic("N0202", `\`${baseName(path)}\` has no \`${name.text}\``, {
        labels: [{ span: name.span, text: near ? `did you mean \`${near}\`?` : "not defined there" }],
        facts: [`It defines: ${[...target.items.keys()].sort().join(", ")}`],
        edit: near ? { span: name.span, text: near } : undefined,
      }));
    }
  }
}

function bind(module: Module, name: Name, meaning: Meaning): void {
  module.imports.set(name.text, meaning);
}

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** A path as seen from the file at `from`. */
export function relative(from: string, path: string): string {
  if (path.startsWith("/") || path.startsWith("std:")) return path;
  const parts = from.split("/").slice(0, -1);
  for (const part of path.split("/")) {
    if (part === "." || part === "") continue;
    if (part === ".." && parts.length > 0 && parts[parts.length - 1] !== "..") parts.pop();
    else parts.push(part);
  }
  return parts.join("/");
}
