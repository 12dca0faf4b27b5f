// The examples of the codes of names, calls, shapes and runs: the wrong one draws its code, the right one nothing.

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readExplanation } from "../../compiler/report/explain.ts";
import { codesIn } from "./library.ts";

const folder = "compiler/report/codes";
// N0703 is about tables of names, which are no `.net` texts.
const pages = readdirSync(folder).filter((name) => /^[NW]0[2-8]\d\d\.md$/.test(name) && name !== "N0703.md");

test.each(pages)("%s", (name) => {
  const page = readExplanation(readFileSync(`${folder}/${name}`, "utf8"));
  if (!page?.wrong || !page.right) throw new Error(`${name} lacks an example`);
  expect(codesIn(page.wrong)).toContain(page.code);
  expect(codesIn(page.right)).toEqual([]);
});

test("there are pages to try", () => {
  expect(pages.length).toBeGreaterThan(30);
});
