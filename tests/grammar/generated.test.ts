// What is printed from the parser object: the description of the grammar and the types of its tree.

import { generateCstDts } from "../../grammar/chevrotain.ts";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { grammarPage, rules } from "./print-grammar.ts";

const root = join(import.meta.dirname, "..", "..");

describe("printed from the parser", () => {
  it("docs/grammar.md", async () => {
    await expect(grammarPage()).toMatchFileSnapshot(join(root, "docs", "grammar.md"));
  });

  it("grammar/cst.ts", async () => {
    const types = generateCstDts(rules(), { includeVisitorInterface: false })
      .replace("import type { CstNode, ICstVisitor, IToken }", "import type { CstNode, IToken }")
      .replace(/(export interface \w+ extends CstNode \{)\n  (.*)\n  (.*)\n\}\n\n/g, "$1 $2 $3 }\n");
    const head = "// The shapes of the concrete tree, printed from the parser by a test; do not edit.\n\n";
    await expect(head + types).toMatchFileSnapshot(join(root, "grammar", "cst.ts"));
  });
});
