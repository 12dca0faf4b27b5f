// The tables of docs/networks.md say what the compiler counts, and what the reference counts.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { instantiate } from "../../compiler/front/front.ts";
import { shapeOf } from "../../compiler/ir/graph.ts";
import { multiplyAdds } from "../../compiler/passes/multiply-adds.ts";
import { program, written } from "./library.ts";

const document = "docs/networks.md";
const reference = `${process.env["GOLDEN_DIR"] ?? "../shared/golden"}/../reference`;
const there = existsSync(`${reference}/README.md`);
if (!there) console.warn(`skipped: no sizes in ${reference}`);

interface Size {
  readonly file: string;
  readonly network: string;
  /** Without the sample axis: channels, then space. */
  readonly input: readonly number[];
  readonly parameters: number;
  readonly gmac: number;
  /** The grids of the outputs. */
  readonly heads: readonly (readonly number[])[];
}

const spaced = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, " ");

function sizeOf(file: string, network: string, input: readonly number[]): Size {
  const { graph, report, findings } = instantiate(program(`nets/${file}.net`), network, { inputs: [[1, ...input]], training: true });
  expect(findings, network).toEqual([]);
  if (!graph || !report) throw new Error(network);
  const work = [...multiplyAdds(graph).values()].reduce((a, b) => a + b, 0);
  return { file, network, input, parameters: report.count, gmac: work / 1e9, heads: graph.outputs.map((o) => shapeOf(o.tensor).slice(2)) };
}

/** `96, 48, 24` for cubes, `48x192x192, 48x96x96` else. */
function gridsText(grids: readonly (readonly number[])[]): string {
  const even = grids.every((g) => new Set(g).size === 1);
  return grids.map((g) => (even ? String(g[0]) : g.join("x"))).join(", ");
}

/** The recipes of a file, and a network's parameters as they are written. */
function optionsOf(network: string, file: string): string {
  const { items } = program(`nets/${file}.net`).main.file;
  const ports = items.flatMap((i) => (i.kind === "network" && i.name.text === network ? i.ports : []));
  const parameters = ports.filter((p) => p.type.kind === "static").map((p) => {
    const { file: { text }, start, end } = p.value?.span ?? p.name.span;
    return p.value ? `\`${p.name.text} = ${text.slice(start, end)}\`` : `\`${p.name.text}\``;
  });
  const runs = items.flatMap((i) => (i.kind === "run" && i.mode === "train" ? [i.name ? `\`${i.name.text}\`` : "one, unnamed"] : []));
  return `| ${network} | [${file}.net](../nets/${file}.net) | ${runs.join(", ") || "none"} | ${parameters.join(", ")} |`;
}

const sizes: Size[] = [];

/** The document with its tables filled in; what is counted and how it is called comes from the document. */
function filled(text: string): string {
  return text.split("\n").map((line) => {
    const cells = line.split("|").map((c) => c.trim());
    const [, first = "", second = "", third = ""] = cells;
    if (cells.length === 6 && existsSync(`nets/${fileIn(second)}.net`)) return optionsOf(first, fileIn(second));
    if (cells.length !== 8 || !existsSync(`nets/${first}.net`)) return line;
    const size = sizeOf(first, second.replaceAll("`", ""), third.split(", ").map(Number));
    sizes.push(size);
    return `| ${first} | \`${size.network}\` | ${third} | ${spaced(size.parameters)} | ${size.gmac.toFixed(3)} | ${gridsText(size.heads)} |`;
  }).join("\n");
}

const fileIn = (cell: string): string => /^\[(\w+)\.net\]/.exec(cell)?.[1] ?? cell;

const text = readFileSync(document, "utf8");
const wanted = filled(text);

test("the tables of docs/networks.md are what the compiler counts", () => {
  if (process.env["UPDATE"]) writeFileSync(document, wanted);
  else expect(text).toBe(wanted);
  expect(sizes.length).toBeGreaterThan(20);
  const tabled = new Set(sizes.map((s) => s.file));
  const files = readdirSync("nets").flatMap((f) => (f.endsWith(".names") ? [f.replace(/\.names$/, "")] : []));
  expect([...tabled].sort()).toEqual(files.sort());
});

interface Claim {
  readonly where: string;
  readonly parameters: number;
  /** As written, with all its digits; undefined where only the parameters are told. */
  readonly gmac: string | undefined;
}

/** Every pair of a number of parameters and a number of GMAC in the reference's tables; in prose only the former. */
function claims(): readonly Claim[] {
  return readdirSync(reference).filter((f) => f.endsWith(".md")).flatMap((file) => {
    let column = -1;
    return readFileSync(`${reference}/${file}`, "utf8").split("\n").flatMap((line, i): Claim[] => {
      const where = `${file}:${i + 1}`;
      // A shape is no number of parameters, and 3D UX-Net is none of the networks here.
      const counts = [...line.replace(/\[[\d,]+\]|3D UX-Net [\d,]+/g, "").matchAll(/(?<![\d,])\d{1,2},\d{3},\d{3}(?![\d,])/g)].map((m) => Number(m[0].replaceAll(",", "")));
      const cells = line.split("|").map((c) => c.trim());
      if (cells.length < 3) column = -1;
      else if (cells.some((c) => c.startsWith("GMAC"))) column = cells.findIndex((c) => c.startsWith("GMAC"));
      const works = column < 0 ? [] : [...(cells[column] ?? "").replace(/\(.*?\)/g, "").matchAll(/\d[\d,]*\.\d+/g)].map((m) => m[0].replaceAll(",", ""));
      return counts.map((parameters, k) => ({ where, parameters, gmac: works[k] }));
    });
  });
}

/** The reference rounded some numbers to three digits before it rounded them to two. */
const agrees = (gmac: number, written: string): boolean =>
  Math.abs(gmac - Number(written)) <= 0.5 * 10 ** -(written.split(".")[1] ?? "").length + 0.0005;

/**
 * The published offset convolution of DeformUX-Net pads its 1x1x1 kernel by one voxel, by accident. The reference counts the
 * border that this adds, although it decides against it.
 */
function borderOfOffsets({ file, network, input }: Size): number {
  if (file !== "deform_uxnet" || network.includes("wide")) return 0;
  const stages = [48, 96, 192, 384].map((width, i) => ({ width, extent: (input[1] ?? NaN) / 2 ** (i + 1) }));
  return stages.reduce((sum, { width, extent: n }) => sum + 2 * 81 * width * ((n + 2) ** 3 - n ** 3), 0) / 1e9;
}

describe.skipIf(!there)("the reference's sizes", () => {
  const told = there ? claims() : [];
  test("are found", () => {
    expect(told.length).toBeGreaterThan(40);
    expect(told.filter((c) => c.gmac !== undefined).length).toBeGreaterThan(30);
  });

  test.each(told)("$where: $parameters, $gmac GMAC", ({ parameters, gmac }) => {
    const same = sizes.filter((s) => s.parameters === parameters && s.input.length === 4);
    expect(same.map((s) => s.parameters)).toContain(parameters);
    if (gmac !== undefined) expect(same.some((s) => agrees(s.gmac + borderOfOffsets(s), gmac)), `${same.map((s) => s.gmac)}`).toBe(true);
  });

  // nnunet.md and unetr.md tell these in prose.
  test.each([["nnunet", 128, "477.3"], ["nnunet", 96, "201.8"], ["nnunet", 192, "571.9"], ["unetr", 96, "73.22"]])("%s at %i: %s GMAC", (file, last, gmac) => {
    expect(readFileSync(`${reference}/${file}.md`, "utf8")).toContain(`${gmac} GMAC`);
    expect(sizes.some((s) => s.file === file && s.input[3] === last && agrees(s.gmac, gmac))).toBe(true);
  });

  test("heads have the published grids", () => {
    const rows = readFileSync(`${reference}/README.md`, "utf8").split("\n").map((l) => l.split("|").map((c) => c.trim()));
    for (const size of sizes) {
      const row = rows.find((r) => r[3]?.includes(size.parameters.toLocaleString("en-US")));
      const grids = /^\d+: ([\dx, ]+)$/.exec(row?.[5] ?? "")?.[1];
      if (grids !== undefined && size.input.length === 4) expect(gridsText(size.heads), size.network).toBe(grids);
    }
  });
});

describe("multiply-accumulates", () => {
  const count = (text: string, ...inputs: readonly (readonly number[])[]): number => {
    const { graph, findings } = instantiate(written(text), "A", { inputs, training: true });
    expect(findings).toEqual([]);
    return graph ? [...multiplyAdds(graph).values()].reduce((a, b) => a + b, 0) : NaN;
  };
  test("are the points of a product of two tensors", () => {
    expect(count("block A(x: [N, C, *S]) = x |> Conv(6, 3)\n", [2, 4, 8, 8])).toBe(2 * 6 * 4 * 9 * 64);
    expect(count("block A(x: [N, C, *S]) = x |> Conv(4, 3, stride = 2, groups = 4)\n", [1, 4, 8, 8])).toBe(4 * 9 * 16);
    expect(count("block A(a: [N, I, K], b: [N, K, J]) = matmul(a, b)\n", [2, 3, 4], [2, 4, 5])).toBe(2 * 3 * 4 * 5);
  });
  test("of a transposed convolution are those of the convolution that it is the adjoint of", () => {
    expect(count("block A(x: [N, C, *S]) = x |> ConvTranspose(6, 2, stride = 2)\n", [1, 4, 8, 8])).toBe(4 * 6 * 4 * 64);
    expect(count("block A(x: [N, C, *S]) = x |> ConvTranspose(6, 1, stride = 2)\n", [1, 4, 8, 8])).toBe(4 * 6 * 64);
  });
  test("count where a sum has one point", () => {
    expect(count("block A(x: [N, C, *S]) = x |> Conv(6)\n", [1, 1, 8, 8])).toBe(6 * 64);
    expect(count("block A(x: [N, C, *S]) = x |> Conv(8, groups = 2)\n", [1, 2, 8])).toBe(8 * 8);
  });
  test("leave out scales, norms and the weights of interpolations", () => {
    expect(count("block A(x: [N, C, *S]) = x |> InstanceNorm |> resize(S * 2)\n", [1, 4, 8, 8])).toBe(0);
    const deform = "op at(x: [N, S], w: [K], shift: [N, K, S]) -> y: [N, S] {\n  y[n, s] = sum[k, near in 0..<2](w[k] * (near + shift[n, k, s]) * x.zero[n, s + k + near])\n}\nblock A(x: [N, S], w: [K], shift: [N, K, S]) = at(x, w, shift)\n";
    expect(count(deform, [1, 8], [3], [1, 3, 8])).toBe(3 * 8);
  });
});
