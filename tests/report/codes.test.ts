// Every code has its page and every page its code; the examples of the text codes do what they say.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readExplanation } from "../../compiler/report/explain.ts";
import { parse } from "../../grammar/parse.ts";

const root = join(import.meta.dirname, "..", "..");
const pages = join(root, "compiler", "report", "codes");

function sourcesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(root, folder, name), "utf8"));
}

function pageOf(name: string) {
  const page = readExplanation(readFileSync(join(pages, name), "utf8"));
  if (page === undefined) throw new Error(`${name} has no title line`);
  return page;
}

const names = readdirSync(pages).filter((name) => name.endsWith(".md"));
const used = new Set(["compiler", "grammar", "runtime", "cli"].flatMap(sourcesIn).flatMap((text) => text.match(/(?<=["'`])[NWI]\d{4}(?=["'`])/g) ?? []));

describe("codes", () => {
  it("all have a page, and no page is left over", () => {
    expect(names.map((name) => name.replace(/\.md$/, "")).sort()).toEqual([...used].sort());
  });

  it.each(names)("%s has its own code in the title", (name) => {
    expect(`${pageOf(name).code}.md`).toBe(name);
  });

  it.each(names.filter((name) => name.startsWith("N01")))("%s: the wrong example draws it, the right one nothing", (name) => {
    const { code, wrong = "", right = "" } = pageOf(name);
    expect(parse({ path: "wrong.net", text: wrong }).findings.map((finding) => finding.code)).toEqual([code]);
    expect(right).not.toBe("");
    expect(parse({ path: "right.net", text: right }).findings).toEqual([]);
  });
});
