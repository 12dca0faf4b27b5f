// Every `.net` file in `golden/errors` beside the message it draws; `vitest -u` writes the messages anew.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { renderAll } from "../compiler/report/render.ts";
import { findingsOf } from "./findings.ts";

const folder = join(import.meta.dirname, "golden", "errors");

describe("golden errors", () => {
  const names = readdirSync(folder).filter((name) => name.endsWith(".net"));

  it.each(names)("%s", async (name) => {
    const findings = findingsOf(join(folder, name), name);
    const code = name.slice(0, 5);
    expect(findings.map((finding) => finding.code)).toContain(code);
    await expect(`${renderAll(findings, { colour: false })}\n`).toMatchFileSnapshot(join(folder, name.replace(/\.net$/, ".txt")));
  });
});
