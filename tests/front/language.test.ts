// What the language means: names of weights, sharing, running values, packs, interpolation, limits.

import { describe, expect, test } from "vitest";
import { check, instantiate, load, type Instance, type Options } from "../../compiler/front/front.ts";
import { walk } from "../../compiler/ir/rewrite.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { Graph } from "../../compiler/ir/graph.ts";
import { codesIn, findingsIn, reader, written } from "./library.ts";

function made(text: string, inputs: readonly (readonly number[])[], options: Partial<Options> = {}): Instance {
  return instantiate(written(text), "Net", { inputs, training: true, ...options });
}

function graphOf(text: string, inputs: readonly (readonly number[])[], options: Partial<Options> = {}): Graph {
  const { graph, findings } = made(text, inputs, options);
  expect(findings).toEqual([]);
  if (!graph) throw new Error("no graph");
  return graph;
}

const paths = (g: Graph): readonly string[] => g.weights.map((w) => w.path);

/** The first output for input values 0, 1, 2, … */
function run(text: string, shape: readonly number[], options: Partial<Options> = {}): number[] {
  const g = graphOf(text, [shape], options);
  const out = g.outputs[0];
  if (!out) throw new Error("no output");
  const values = new Map(g.inputs.map((t) => [t, Float64Array.from({ length: shape.reduce((n, x) => n * x, 1) }, (_, i) => i)]));
  return [...interpret(out.tensor, { values })];
}

describe("names of weights", () => {
  test("equation, pass, block, `as`, parameter; a lone call adds nothing", () => {
    const g = graphOf(`
block Mixed(x: [N, C, *S]) {
  y = x |> Conv(C, 3) as wide |> relu |> Conv(C)
  return y
}
block Residual(x: [N, C, *S]) = x + Mixed(x)
network Net(image: [N, M, *S]) {
  e[0] = image |> Conv(4) as stem |> repeat 2 { Residual }
  e[1] = e[0] |> Conv(4)
  out y = e[1] |> InstanceNorm
}`, [[1, 1, 8, 8]]);
    expect(paths(g)).toEqual([
      "e[0].stem.weight", "e[0].stem.offset",
      "e[0].0.Residual.wide.weight", "e[0].0.Residual.wide.offset", "e[0].0.Residual.y.Conv.weight", "e[0].0.Residual.y.Conv.offset",
      "e[0].1.Residual.wide.weight", "e[0].1.Residual.wide.offset", "e[0].1.Residual.y.Conv.weight", "e[0].1.Residual.y.Conv.offset",
      "e[1].weight", "e[1].offset", "y.gain", "y.bias",
    ]);
  });

  test("do not depend on the order of definitions", () => {
    const [a, b] = ["p = image |> Conv(2)", "q = image |> Conv(3)"];
    const text = (x: string, y: string): string => `network Net(image: [N, M, *S]) {\n  ${x}\n  ${y}\n  out y = concat(p, q)\n}`;
    expect(paths(graphOf(text(a, b), [[1, 1, 4, 4]]))).toEqual(paths(graphOf(text(b, a), [[1, 1, 4, 4]])));
  });

  test("only what an output needs exists", () => {
    const text = "network Net(image: [N, M, *S]) {\n  out y = image |> Conv(2, bias = false)\n  out z = image |> Conv(3) when training\n}";
    expect(paths(graphOf(text, [[1, 1, 4, 4]]))).toEqual(["y.weight", "z.weight", "z.offset"]);
    expect(paths(graphOf(text, [[1, 1, 4, 4]], { training: false }))).toEqual(["y.weight"]);
  });
});

describe("layers", () => {
  test("each use of a recipe makes new weights, uses of a shared one do not", () => {
    const text = (word: string): string => `network Net(image: [N, M, *S]) {\n  ${word}norm = LayerNorm()\n  a = image |> norm\n  out y = a |> norm\n}`;
    expect(graphOf(text(""), [[1, 2, 4, 4]]).weights.length).toBe(4);
    expect(paths(graphOf(text("shared "), [[1, 2, 4, 4]]))).toEqual(["norm.gain", "norm.bias"]);
  });

  test("a shared running value is updated use by use", () => {
    const text = "network Net(image: [N, M, *S]) {\n  shared norm = BatchNorm(momentum = 0.5)\n  a = image |> norm\n  out y = 2 * a + 3 |> norm\n}";
    const g = graphOf(text, [[2, 1, 3, 3]]);
    const mu = g.states.find((s) => s.path === "norm.seen_mu");
    if (!mu?.next) throw new Error("no update");
    const values = new Map([...g.inputs, ...g.weights.map((w) => w.tensor), ...g.states.map((s) => s.tensor)].map((t) => [t, Float64Array.from({ length: t.axes.reduce((n, a) => n * a.extent, 1) }, (_, i) => (t.name === "image" ? i : t.name === "gain" || t.name === "seen_var" ? 1 : 0))]));
    // First the image, whose mean is 8.5; then twice the normalised image plus 3, whose mean is 3.
    expect(interpret(mu.next, { values })[0]).toBeCloseTo(0.5 * (0.5 * 8.5) + 0.5 * 3, 9);
    expect(graphOf(text, [[2, 1, 3, 3]], { training: false }).states.every((s) => s.next === undefined)).toBe(true);
  });
});

describe("numbers", () => {
  test("`/` of whole numbers floors, except for a float", () => {
    const text = "block Twice(x: [N, C, *S], part: float = 1 / 2, whole: int = 7 / 2) = x * part + whole\nnetwork Net(image: [N, M, *S]) {\n  out y = image |> Twice\n  out z = image |> Twice(part = 1 / 4)\n}";
    expect(run(text, [1, 1, 2])).toEqual([3, 3.5]);
  });

  test("`--set` is read as an expression, and unknown names are told", () => {
    const text = "dial heat: float = 1\nnetwork Net(image: [N, M, *S], width: int = 3) {\n  out y = image / heat |> Conv(width)\n}";
    const g = graphOf(text, [[1, 1, 4]], { set: { width: "2 * 4", heat: "0.5" } });
    expect(g.outputs[0]?.tensor.axes[1]?.extent).toBe(8);
    expect(g.dials).toEqual([{ name: "heat", value: 0.5 }]);
    expect(made(text, [[1, 1, 4]], { set: { widht: "8" } }).findings[0]?.labels[0]?.text).toBe("did you mean `width`?");
    expect(made(text, [[1, 1, 4]], { set: { width: "2 *" } }).findings[0]?.code.startsWith("N01")).toBe(true);
  });
});

describe("elements", () => {
  const pipe = (op: string, use: string): string => `${op}\nnetwork Net(image: [N, M, *S]) {\n  out y = image |> ${use}\n}`;

  test("a pack stands for every axis", () => {
    const op = "op turned(x: [N, C, *S]) -> y: [N, C, *S] {\n  y[n, c, *s] = x[n, c, *(S - 1 - s)]\n}";
    expect(run(pipe(op, "turned"), [1, 1, 2, 3])).toEqual([5, 4, 3, 2, 1, 0]);
  });

  test("a list takes an entry for every axis", () => {
    const op = "op marked(x: [N, C, *S]) -> y: [N, C, *S] {\n  y[n, c, *s] = x[n, c, *s] * product([*(s + 1 + 10 * axis)])\n}";
    expect(run(pipe(op, "marked"), [1, 1, 2, 3])).toEqual([0, 12, 26, 66, 96, 130]);
  });

  test("interpolation at fractional places is done in whole numbers", () => {
    const text = "network Net(image: [N, M, *S]) {\n  out y = image |> resize(5)\n}";
    expect(run(text, [1, 1, 3]).map((v) => Number(v.toFixed(9)))).toEqual([0, 0.4, 1, 1.6, 2]);
    const used = new Set<string>();
    walk(graphOf(text, [[1, 1, 3]]).outputs[0]?.tensor.body ?? fail(), (e) => e.kind === "apply" && used.add(e.fn));
    expect(used.has("idiv") && used.has("imod")).toBe(true);
    expect(used.has("floor")).toBe(false);
  });

  test("a reshape between products divides nothing it need not", () => {
    const g = graphOf("network Net(image: [N, M, *S]) {\n  out y = image |> reshape([N, 2, M / 2, product(S)])\n}", [[3, 4, 5, 6]]);
    const divided: number[] = [];
    walk(g.outputs[0]?.tensor.body ?? fail(), (e) => e.kind === "apply" && e.fn === "idiv" && e.args[1]?.kind === "number" && divided.push(e.args[1].value));
    expect(divided).toEqual([6]);
    expect(run("network Net(image: [N, M, *S]) {\n  out y = image |> reshape([N, 3, 4])\n}", [1, 2, 6])).toEqual(Array.from({ length: 12 }, (_, i) => i));
  });

  test("dropping paths draws in training only", () => {
    const text = "network Net(image: [N, M, *S]) {\n  out y = image |> drop_path(0.5) |> drop_path(0.5)\n}";
    const sites = (training: boolean): number => {
      const found = new Set<number>();
      for (let t = graphOf(text, [[4, 1, 2]], { training }).outputs[0]?.tensor, more = [t]; t; t = more.pop()) {
        walk(t.body ?? fail(), (e) => {
          if (e.kind === "draw") found.add(e.site);
          if (e.kind === "read" && e.tensor.body) more.push(e.tensor);
        });
      }
      return found.size;
    };
    expect(sites(true)).toBe(2);
    expect(sites(false)).toBe(0);
  });
});

const fail = (): never => {
  throw new Error("no body");
};

describe("limits", () => {
  const net = (body: string): string => `network Net(image: [N, M, *S]) {\n${body}\n}\ncheck shape(Net([1, 1, 4]).y) == [1, 1, 4]\n`;

  test("long families are fine, endless ones are told", () => {
    expect(codesIn(net("  e[0] = image\n  e[i in 1..=400] = 2 * e[i - 1]\n  out y = e[400]"))).toEqual([]);
    expect(codesIn(net("  e[i in 0..=100000000] = image\n  out y = e[3]"))).toContain("N0504");
    expect(codesIn(net("  e[i in 0..=30000] = 2 * e[i + 1]\n  out y = e[0]"))).toContain("N0504");
    expect(codesIn("fn f(x) = f(x)\ncheck f(1) == 1\n")).toContain("N0504");
    expect(codesIn("a = b + 1\nb = a + 1\ncheck a == 1\n")).toContain("N0502");
    expect(codesIn("check len([0; 10 ^ 9]) == 1\n")).toContain("N0504");
    expect(codesIn("check len([i for i in 0..<10 ^ 9]) == 1\n")).toContain("N0504");
  });

  test("imports: circles, missing files, namespaces", () => {
    const of = (texts: Record<string, string>): readonly string[] => {
      const { program, findings } = load("a.net", reader(texts));
      return [...findings, ...(program && findings.length === 0 ? check(program) : [])].map((f) => f.code);
    };
    expect(of({ "a.net": 'import { f } from "./b.net"\nfn g(x) = f(x)\n', "b.net": 'import { g } from "./a.net"\nfn f(x) = g(x)\n' })).toContain("N0202");
    expect(of({ "a.net": 'import { f as h } from "./sub/b.net"\ncheck h(2) == 4\n', "sub/b.net": 'import "../c.net" as c\nfn f(x) = c.double(x)\n', "c.net": "fn double(x) = 2 * x\n" })).toEqual([]);
    expect(load("missing.net", reader()).findings.map((f) => f.code)).toEqual(["N0202"]);
  });
});

test("the library's own names are right", () => {
  for (const name of ["scalar", "ops", "layers", "loss", "optim", "schedule", "metric"]) {
    const { program, findings } = load(`nets/std/${name}.net`, reader());
    expect(findings).toEqual([]);
    expect([...(program?.main.items.keys() ?? [])].length).toBeGreaterThan(0);
  }
});

test("every net holds what it says", { timeout: 60_000 }, () => {
  const nets = ["mednext", "nnunet", "dnet", "sedyconv", "sedy_nnunet", "unetr", "sedy_unetr", "div_attention", "div_unetr", "div_espnet", "espnet3d", "div_pipeline", "deform_uxnet"];
  for (const name of nets) {
    const { program, findings } = load(`nets/${name}.net`, reader());
    if (!program) throw new Error(name);
    expect([...findings, ...check(program)].map((f) => `${name}: ${f.code} ${f.headline}`)).toEqual([]);
  }
});

test("a false check is told with both sides", () => {
  expect(findingsIn("check params(Conv([1, 4, 8, 8], 8, 3)) == 295\n").map((f) => f.facts)).toEqual([["`params(Conv([1, 4, 8, 8], 8, 3))` is 296."]]);
});

test("a network that nothing builds is tried, and nothing is said of shapes that were only guessed", () => {
  const net = (body: string): string => `network T(image: [N, M, *S], classes: int) where S % 5 == 0 { out logits = image |> ${body} }\n`;
  expect(codesIn(net("Conv(classes)"))).toEqual([]);
  expect(codesIn(net("Conv(classes)").replace(" where S % 5 == 0", "").replace("Conv(classes)", "Conv(classes, krnel = 3)"))).toEqual(["N0301"]);
});
