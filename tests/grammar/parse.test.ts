// What the parser makes of texts, right ones and wrong ones.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type * as Ast from "../../grammar/ast.ts";
import { parse, parseTerm } from "../../grammar/parse.ts";
import { partsOf } from "../../grammar/parts.ts";

const nets = join(import.meta.dirname, "..", "..", "nets");
const files = readdirSync(nets, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".net"));

/** A term as a fully bracketed text. */
function shown(term: Ast.Term): string {
  switch (term.kind) {
    case "pipe":
      return `pipe(${[shown(term.from), ...term.stages.map(stage)].join(" > ")})`;
    case "call":
      return `${shown(term.head)}(${term.args.map(argument).join(", ")})`;
    case "index":
      return `${shown(term.head)}[${term.at.map(element).join(", ")}]`;
    case "member":
      return `${shown(term.head)}.${term.name.text}`;
    case "reduction": {
      const where = term.where.length === 0 ? "" : ` where ${term.where.map(element).join(", ")}`;
      return `${term.by}{${term.over.map((one) => `${one.pack ? "*" : ""}${shown(one.term)}${one.range === undefined ? "" : ` in ${shown(one.range)}`}`).join(", ")}${where}}(${shown(term.body)})`;
    }
    case "if":
      return `(if ${shown(term.test)} then ${shown(term.then)} else ${shown(term.otherwise)})`;
    case "binary":
      return `(${shown(term.left)} ${term.operator} ${shown(term.right)})`;
    case "unary":
      return `(${term.operator} ${shown(term.term)})`;
    case "tuple":
      return `tuple(${term.items.map(shown).join(", ")})`;
    case "group":
      return shown(term.term);
    case "list":
      return `[${term.items.map(element).join(", ")}]`;
    case "fill":
      return `[${shown(term.item)}; ${shown(term.count)}]`;
    case "each":
      return `[${shown(term.item)} for ${term.name.text} in ${shown(term.range)}]`;
    case "number":
      return `${term.value}${term.whole ? "" : "r"}`;
    case "bool":
      return String(term.value);
    case "name":
      return term.text;
    case "text":
      return `"${term.value}"`;
  }
}

function stage(one: Ast.Stage): string {
  const as = one.as === undefined ? "" : ` as ${one.as.text}`;
  if (one.kind === "apply") return `${shown(one.head)}${one.args === undefined ? "" : `(${one.args.map(argument).join(", ")})`}${as}`;
  return `repeat ${one.name === undefined ? "" : `${one.name.text} in `}${shown(one.count)} {${one.stages.map(stage).join(" > ")}}${as}`;
}

function argument({ name, value }: Ast.Argument): string {
  return name === undefined ? shown(value) : `${name.text}=${shown(value)}`;
}

function element({ pack, term }: Ast.Element): string {
  return `${pack ? "*" : ""}${shown(term)}`;
}

function termOf(text: string): string {
  const { term, findings } = parseTerm({ path: "t.net", text });
  expect(findings).toEqual([]);
  return term === undefined ? "nothing" : shown(term);
}

function told(text: string): string[] {
  return parse({ path: "t.net", text }).findings.map(({ code, headline, labels }) => `${code} ${headline}${labels[0]?.text ? `: ${labels[0].text}` : ""}`);
}

function clean(text: string): Ast.File {
  const { file, findings } = parse({ path: "t.net", text });
  expect(findings).toEqual([]);
  return file;
}

function statementsOf(item: Ast.Item | undefined): readonly Ast.Statement[] {
  return item !== undefined && "body" in item && item.body?.kind === "body" ? item.body.statements : [];
}

describe("the nets", () => {
  it.each(files)("nets/%s parses", (name) => {
    expect(parse({ path: name, text: readFileSync(join(nets, name), "utf8") }).findings).toEqual([]);
  });
});

describe("definitions one by one", () => {
  it.each(files.filter((name) => name.startsWith("std")))("nets/%s is its definitions", (name) => {
    const file = { path: name, text: readFileSync(join(nets, name), "utf8") };
    const parts = partsOf(file.text);
    const named = clean(file.text).items.flatMap((item) => ("name" in item && item.name ? [item.name.text] : []));
    expect([...(parts?.keys() ?? [])]).toEqual(named);
    const alone = [...(parts?.values() ?? [])].flatMap((part) => parse(file, part).file.items);
    expect(alone).toEqual(parse(file).file.items);
  });

  it("are not looked for in a text of another layout", () => {
    expect(partsOf("fn f(x) =\n  x\nfn g(x) = x\n")?.size).toBe(2);
    expect(partsOf("fn f(x) =\nx + 1\n")).toBeUndefined();
    expect(partsOf(" fn f(x) = x\n")).toBeUndefined();
    expect(partsOf("import { f } from \"./f.net\"\n")).toBeUndefined();
  });
});

describe("terms", () => {
  it.each([
    ["a - b - c", "((a - b) - c)"],
    ["a + b * c ^ d ^ e", "(a + (b * (c ^ (d ^ e))))"],
    ["-x ^ 2", "(- (x ^ 2))"],
    ["2 ^ -i * y", "((2 ^ (- i)) * y)"],
    ["not a == b and c or d", "(((not (a == b)) and c) or d)"],
    ["a < b + 1", "(a < (b + 1))"],
    ["0..<n - 1", "(0 ..< (n - 1))"],
    ["depth[0..<3 - i]", "depth[(0 ..< (3 - i))]"],
    ["x.zero.lerp[n, *(t + k)]", "x.zero.lerp[n, *(t + k)]"],
    ["total[] + f()", "(total[] + f())"],
    ["max(a, b)", "max(a, b)"],
    ["max[k](x[k]) + max", "(max{k}(x[k]) + max)"],
    ["sum[c in 0..<C / g, *s where *(s + k == t), c < 2](x)", "sum{c in (0 ..< (C / g)), *s where *((s + k) == t), (c < 2)}(x)"],
    ["[1, *kernel, 3,]", "[1, *kernel, 3]"],
    ["[2; 9]", "[2; 9]"],
    ["[i * 2 for i in 0..=4]", "[(i * 2) for i in (0 ..= 4)]"],
    ["[]", "[]"],
    ["(a, b)", "tuple(a, b)"],
    ["1_000 + 1e-6 + 2.0", "((1000 + 0.000001r) + 2r)"],
    ["if a then b else c |> d", "(if a then b else pipe(c > d))"],
    ["(x + y |> F(1, k = 2) as near |> repeat j in 0..<n { G |> H(j) } as far)", "pipe((x + y) > F(1, k=2) as near > repeat j in (0 ..< n) {G > H(j)} as far)"],
    ["x |> ops.relu |> repeat 3 { F }", "pipe(x > ops.relu > repeat 3 {F})"],
    ["he_normal(fan = out, sum = 1)", "he_normal(fan=out, sum=1)"],
  ])("%s", (text, expected) => {
    expect(termOf(text)).toBe(expected);
  });

  it("tells one mistake of a lone term, and gives none back", () => {
    const { term, findings } = parseTerm({ path: "--set", text: "[1, 2" });
    expect(findings.map((finding) => finding.code)).toEqual(["N0102"]);
    expect(term).toBeDefined();
    expect(parseTerm({ path: "--set", text: "" }).findings).toHaveLength(1);
  });
});

describe("line breaks", () => {
  it("keep a call on the line of its head", () => {
    const [item] = clean("op f(x: [N]) -> y: [N] {\n  a = g\n  (b, c) = h(a)\n  d = g\n    + x[\n      n]\n}\n").items;
    expect(statementsOf(item).map((statement) => ("target" in statement ? statement.target.kind : statement.kind))).toEqual(["one", "many", "one"]);
  });

  it("part `as` and `when` as names from `as` and `when` as keywords", () => {
    const [item] = clean("network A(x: [N]) {\n  y = x |> f as near\n  as = 3\n  out z = y when training\n  when = 4\n}\n").items;
    expect(statementsOf(item).map((statement) => statement.kind)).toEqual(["define", "define", "out", "define"]);
  });
});

describe("contextual keywords", () => {
  it("are names wherever they cannot be meant", () => {
    const text = "data = Amos\nfan = out\nout = 3\nnetwork A(state: [N]) {\n  data = Amos\n  fan = out\n  out out = fan\n  update = 3\n  max = dial\n}\n";
    const file = clean(text);
    expect(file.items.map((item) => item.kind)).toEqual(["const", "const", "const", "network"]);
    expect(statementsOf(file.items[3]).map((statement) => statement.kind)).toEqual(["define", "define", "out", "define", "define"]);
  });
});

describe("documentation", () => {
  it("belongs to the item directly below it", () => {
    const [a, b, c] = clean("//! file\n\n/// One.\n///  Two.\nfn a(x) = x\n/// apart\n\nfn b(x) = x // no\nfn c(x) = x\n").items;
    expect([a, b, c].map((item) => (item !== undefined && "doc" in item ? item.doc : "none"))).toEqual(["One.\n Two.", undefined, undefined]);
  });

  it("is found in a text with Windows line ends", () => {
    const [a] = clean("/// One.\r\nfn a(x) = x\r\n").items;
    expect(a !== undefined && "doc" in a && a.doc).toBe("One.");
  });
});

describe("spans", () => {
  it("cover what was written, to the sign", () => {
    const text = "network A(x: [N]) {\n  y = f(x, k = 1)[0] + 2 |> g as near\n}\n";
    const [item] = clean(text).items;
    const [statement] = statementsOf(item);
    const cut = (span: { start: number; end: number }): string => text.slice(span.start, span.end);
    if (statement?.kind !== "define" || statement.value.kind !== "pipe" || statement.value.from.kind !== "binary") throw new Error("another tree");
    expect(cut(statement.span)).toBe("y = f(x, k = 1)[0] + 2 |> g as near");
    expect(cut(statement.value.from.left.span)).toBe("f(x, k = 1)[0]");
    expect(statement.value.stages.map((one) => cut(one.span))).toEqual(["g as near"]);
  });
});

describe("mistakes", () => {
  it("are told one a statement, each by itself", () => {
    const text = [
      "network A(image: [N, M, *S]) {",
      "  y := image |> Conv(C)",
      "  e[i in 1..4] = e[i - 1] |> Down",
      "  z = 3 +",
      "  w = 4",
      "  r = 5 5",
      "  in = 3",
      "  for i in 0..<4 { x = 3 }",
      "  let t = 7",
      '  p = "abc',
      "  s = a $ b",
      "  u = g(x y)",
      "  ok = 3",
      "}",
      "block down(x: [N, C, *S]) = x",
      "op Foo(x: [N]) -> y: [N] { y[n] = x[n] }",
      "block Q(x [N]) = x",
      "fn g(x) = x)",
      "block R(x: [N]) =",
    ].join("\n");
    expect(told(text)).toEqual([
      "N0101 `:=` is not part of the language: a definition uses `=`",
      "N0103 does this range include 4?",
      "N0107 nothing follows this `+`: a value should come next",
      "N0107 `5` does not fit here: an operator or a new line should come here",
      "N0109 `in` is a word of the language: it cannot be a name",
      "N0107 `for` does not fit here: a definition should come here",
      "N0107 `let` does not fit here: a definition should come here",
      "N0106 this text is never closed: opened here",
      "N0105 `$` is not part of the language",
      "N0107 `y` does not fit here: `,` or `)` should come here",
      "N0104 a block's name starts with a capital: rename to `Down`",
      "N0104 an op's name starts with a small letter: rename to `foo`",
      "N0107 `[` does not fit here: `:` should come here",
      "N0108 this `)` closes nothing",
      "N0107 nothing follows this `=`: a value should come next",
    ]);
    const { file } = parse({ path: "t.net", text });
    const kept = statementsOf(file.items[0]).flatMap((one) => ("target" in one && one.target.kind === "one" ? one.target.name.text : []));
    expect(kept).toEqual(expect.arrayContaining(["y", "e", "w", "ok"]));
  });

  it("of brackets leave the rest of the text alone", () => {
    const text = "block A(x: [N, C]) {\n  y = x\nblock B(x: [N, C]) {\n  y = sum[c(x[n, c])\n  return y\n}\nfn f(x) = (x + 1\nfn g(x) = x\n";
    expect(told(text).map((line) => line.slice(0, 5))).toEqual(["N0102", "N0102", "N0102"]);
    expect(parse({ path: "t.net", text }).file.items.map((item) => item.kind)).toEqual(["block", "block", "fn", "fn"]);
  });

  it.each([
    ["a # b", "comments begin with `//`"],
    ["a && b", "write `and`"],
    ["'a'", 'texts stand in double quotes: `"…"`'],
  ])("in %s come with advice", (value, hint) => {
    expect(parse({ path: "t.net", text: `x = ${value}\n` }).findings[0]?.hint).toBe(hint);
  });

  it("never take the parser down", () => {
    const text = files.map((name) => readFileSync(join(nets, name), "utf8")).join("\n");
    let seed = 1;
    const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 60; round++) {
      const start = random(text.length);
      const piece = text.slice(start, start + random(600));
      const at = random(piece.length + 1);
      const broken = piece.slice(0, at) + ["(", ")", "}", "{", "=", " in ", '"', "[", "§", "\n"][random(10)] + piece.slice(at + random(5));
      expect(() => parse({ path: "t.net", text: broken })).not.toThrow();
    }
  });
});
