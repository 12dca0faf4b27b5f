// How findings look: marks, several lines and files, frames, colour, JSON.

import { describe, expect, it } from "vitest";
import { diagnostic, type Label } from "../../compiler/report/diagnostic.ts";
import { render, renderAll, toJson } from "../../compiler/report/render.ts";
import type { SourceFile } from "../../compiler/source.ts";

const file: SourceFile = {
  path: "nets/a.net",
  text: ["network A(image: [N, M, *S]) {", "  x + Inverted(x, Conv(C, kernel, groups = C))", "", "  return y", "}"].join("\n"),
};
const std: SourceFile = { path: "std/layers.net", text: "block Conv(\n  width: int,\n)" };

function at(source: SourceFile, piece: string, text: string): Label {
  const start = source.text.indexOf(piece);
  return { span: { file: source, start, end: start + piece.length }, text };
}

const shapes = diagnostic("N0401", "these shapes do not line up", {
  labels: [at(file, "+", ""), at(file, "x", "[1, 32, 64]"), at(file, "Inverted", "[1, 32, 63]")],
  facts: ["Axis 2 is 64 on the left and 63 on the right."],
  frames: [
    { text: "Block(kernel = 4)", span: at(file, "Conv", "").span },
    { text: "A.e[0], pass 1 of 2", span: undefined },
  ],
  hint: "an even kernel cannot be centred",
});

describe("render", () => {
  it("puts several labels under one line", () => {
    expect(render(shapes, { colour: false })).toMatchInlineSnapshot(`
      "error[N0401]: these shapes do not line up
        nets/a.net:2:5
        2 |   x + Inverted(x, Conv(C, kernel, groups = C))
          |   - ^ -------- [1, 32, 63]
          |   [1, 32, 64]
      Axis 2 is 64 on the left and 63 on the right.
        in Block(kernel = 4)     nets/a.net:2:19
        in A.e[0], pass 1 of 2   command line
      hint: an even kernel cannot be centred"
    `);
  });

  it("orders the labels of several lines and tells those of other files below", () => {
    const finding = diagnostic("W0201", "nothing needs `y`", {
      labels: [at(file, "return", "here"), at(file, "network", "in this"), at(std, "width: int", ""), at(std, "Conv", "a block")],
    });
    expect(render(finding, { colour: false })).toMatchInlineSnapshot(`
      "warning[W0201]: nothing needs \`y\`
        nets/a.net:4:3
        1 | network A(image: [N, M, *S]) {
          | ------- in this
        4 |   return y
          |   ^^^^^^ here
        std/layers.net:2:3   width: int
        std/layers.net:1:7   a block"
    `);
  });

  it("elides the middle of many frames", () => {
    const frames = Array.from({ length: 12 }, (_, depth) => ({ text: `level ${depth}`, span: undefined }));
    const lines = render(diagnostic("N0502", "too deep", { frames }), { colour: false }).split("\n");
    expect(lines).toHaveLength(1 + 8 + 1);
    expect(lines[5]).toBe("  … 4 more …");
    expect(lines.at(-1)).toBe("  in level 11   command line");
  });

  it("says only the headline of a finding without a place", () => {
    expect(render(diagnostic("I0902", "the gradient scatters"), { colour: false })).toBe("note[I0902]: the gradient scatters");
  });

  it("shows the first line of a long span, and the neighbourhood in a long line", () => {
    const long: SourceFile = { path: "l.net", text: `y = ${"a + ".repeat(100)}bad + ${"b + ".repeat(100)}c\nz = 1` };
    const lines = render(diagnostic("N0107", "no", { labels: [at(long, "bad", "this")] }), { colour: false }).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(180);
    const column = lines[3]?.indexOf("^^^") ?? -1;
    expect(lines[2]?.slice(column, column + 3)).toBe("bad");
    const over = { span: { file: long, start: 4, end: long.text.length }, text: "" };
    expect(() => render(diagnostic("N0107", "no", { labels: [over] }), { colour: false })).not.toThrow();
  });

  it("points just behind the last character at the end of a text", () => {
    const end: SourceFile = { path: "e.net", text: "y = " };
    const label = { span: { file: end, start: 4, end: 4 }, text: "here" };
    expect(render(diagnostic("N0110", "no", { labels: [label] }), { colour: false }).split("\n").slice(2)).toEqual(["  1 | y =", "    |     ^ here"]);
  });

  it("colours only when asked, and never changes the words", () => {
    const painted = render(shapes, { colour: true });
    expect(painted).toContain("\u001b[1;31m");
    expect(painted.replace(/\u001b\[[\d;]*m/g, "")).toBe(render(shapes, { colour: false }));
  });

  it("shows twenty at most", () => {
    const many = Array.from({ length: 33 }, () => diagnostic("N0107", "no"));
    expect(renderAll(many, { colour: false })).toMatch(/… and 13 more$/);
  });
});

describe("toJson", () => {
  it("holds everything, with lines and columns", () => {
    const json = toJson(shapes);
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
    expect(json.labels[0]).toEqual({ path: "nets/a.net", line: 2, column: 5, endLine: 2, endColumn: 6, text: "" });
    expect(json.frames[1]).toEqual({ text: "A.e[0], pass 1 of 2", place: null });
    expect(json.level).toBe("error");
  });
});
