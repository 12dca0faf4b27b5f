// The formatter: one form, nothing lost, nothing changed.

import fc from "fast-check";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { format } from "../../grammar/format.ts";
import { lex } from "../../grammar/lexical.ts";
import { parse } from "../../grammar/parse.ts";
import { writtenText } from "./written.ts";

const nets = join(import.meta.dirname, "..", "..", "nets");
const files = readdirSync(nets, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".net"));

/** What a text means, whatever it looks like: imports have no order. */
function meaning(text: string): string {
  const { file } = parse({ path: "t.net", text });
  const imports = file.items.filter((item) => item.kind === "import").map((item) => JSON.stringify(item, withoutPlaces));
  const rest = file.items.filter((item) => item.kind !== "import").map((item) => JSON.stringify(item, withoutPlaces));
  return [...imports.sort(), ...rest].join("\n");
}

function withoutPlaces(key: string, value: unknown): unknown {
  return key === "span" || key === "doc" ? undefined : value;
}

function comments(text: string): string[] {
  return lex({ path: "t.net", text }).comments.map((comment) => comment.image.trimEnd()).sort();
}

async function holds(text: string): Promise<void> {
  const formed = await format(text, "t.net");
  expect(meaning(formed)).toBe(meaning(text));
  expect(comments(formed)).toEqual(comments(text));
  expect(await format(formed, "t.net")).toBe(formed);
}

describe("format", () => {
  it.each(files)("keeps nets/%s whole", async (name) => {
    await holds(readFileSync(join(nets, name), "utf8"));
  });

  it("keeps any text whole", async () => {
    await fc.assert(
      fc.asyncProperty(writtenText, async (text) => {
        fc.pre(parse({ path: "t.net", text }).findings.length === 0);
        await holds(text);
      }),
      // The same texts every time; FORMAT_SEED tries others.
      { numRuns: Number(process.env["FORMAT_RUNS"] ?? 60), seed: Number(process.env["FORMAT_SEED"] ?? 11) },
    );
  });

  it("keeps the lines about a file together and on top", async () => {
    const text = "//! About.\n//! More.\n\nfn f(x) = x\n";
    expect(await format(text, "t.net")).toBe(text);
    expect(await format("fn f(x) = x\n//! About.\n", "t.net")).toBe("//! About.\n\nfn f(x) = x\n");
  });

  it("refuses a text with mistakes and tells them", async () => {
    const refused = await format("fn f(x) := x\nfn g(x) = \n", "bad.net").catch((thrown: unknown) => thrown);
    expect(refused).toBeInstanceOf(Fault);
    expect(refused instanceof Fault && refused.findings.map((finding) => finding.code)).toEqual(["N0101", "N0107"]);
  });
});
