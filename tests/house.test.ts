// The habits of the house: who may import whom, how long a file may be, and words that have no place.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

const folders = ["grammar", "compiler", "runtime", "cli"];

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : path.endsWith(".ts") ? [path] : [];
  });
}

const sources = folders.flatMap(filesBelow).map((path) => ({ path, text: readFileSync(path, "utf8") }));
const tests = filesBelow("tests").map((path) => ({ path, text: readFileSync(path, "utf8") }));

interface Import {
  readonly from: string;
  readonly to: string;
  /** Whether only types come over. */
  readonly types: boolean;
}

function importsOf({ path, text }: { path: string; text: string }): Import[] {
  const found = [...text.matchAll(/^(?:import|export)\s+(type\s+)?[^;]*?from\s+"([^"]+)";/gms)];
  const dynamic = [...text.matchAll(/import\("([^"]+)"\)/g)].map((m) => ["", undefined, m[1]] as const);
  return [...found, ...dynamic].map((m) => {
    const to = m[2] as string;
    return { from: path, to: to.startsWith(".") ? normalize(join(dirname(path), to)) : to, types: m[1] !== undefined };
  });
}

const imports = sources.flatMap(importsOf);
const below = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

/** Folder, what it may import from the house (by path prefix), and which packages. */
const rules: readonly { readonly of: string; readonly may: readonly string[]; readonly packages: RegExp }[] = [
  { of: "grammar", may: ["grammar", "compiler/source.ts", "compiler/report/diagnostic.ts", "compiler/report/spelling.ts"], packages: /^(chevrotain|prettier)(\/|$)/ },
  { of: "compiler/ir", may: ["compiler/ir", "compiler/source.ts", "compiler/report/diagnostic.ts", "compiler/plan/plan.ts"], packages: /^$/ },
  { of: "compiler/passes", may: ["compiler/passes", "compiler/ir", "compiler/plan", "compiler/report/diagnostic.ts"], packages: /^$/ },
  { of: "compiler/kernels", may: ["compiler/kernels", "compiler/ir", "compiler/report/diagnostic.ts"], packages: /^$/ },
  { of: "compiler/wgsl", may: ["compiler/wgsl", "compiler/kernels/loops.ts", "compiler/ir", "compiler/report/diagnostic.ts"], packages: /^$/ },
  { of: "compiler/front", may: ["compiler/front", "compiler/ir", "compiler/report", "compiler/source.ts", "compiler/plan/plan.ts", "grammar"], packages: /^$/ },
  { of: "compiler", may: ["compiler", "grammar"], packages: /^$/ },
  { of: "runtime", may: ["runtime", "compiler/plan/plan.ts", "compiler/report/diagnostic.ts"], packages: /^(node:|webgpu$)/ },
  { of: "cli", may: ["cli", "compiler", "runtime", "grammar"], packages: /^node:/ },
];

describe("house", () => {
  it("lets every folder import only what is below it", () => {
    const wrong = imports.filter((i) => rules.some((r) => {
      if (!below(i.from, r.of)) return false;
      return i.to.startsWith("..") || folders.some((f) => below(i.to, f)) ? !r.may.some((m) => below(i.to, m)) : !r.packages.test(i.to);
    }));
    expect(wrong.map((i) => `${i.from} imports ${i.to}`)).toEqual([]);
  });

  it("lets the runtime take only types from the plan", () => {
    const wrong = imports.filter((i) => below(i.from, "runtime") && i.to === "compiler/plan/plan.ts" && !i.types);
    expect(wrong.map((i) => i.from)).toEqual([]);
  });

  it("has no circle of imports", () => {
    const edges = new Map<string, string[]>();
    for (const i of imports) if (!i.types) edges.set(i.from, [...(edges.get(i.from) ?? []), i.to]);
    const state = new Map<string, "open" | "done">();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (state.get(path) === "done") return;
      if (state.get(path) === "open") {
        circles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
        return;
      }
      state.set(path, "open");
      for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
      state.set(path, "done");
    };
    for (const path of edges.keys()) visit(path, []);
    expect(circles).toEqual([]);
  });

  it("keeps files short", () => {
    const lines = (text: string): number => text.split("\n").length - 1;
    expect([...sources, ...tests].filter((s) => lines(s.text) > 500).map((s) => s.path)).toEqual([]);
    const sizes = sources.map((s) => lines(s.text)).sort((a, b) => a - b);
    expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThanOrEqual(160);
  });

  it("begins every file with a sentence that says what it is for", () => {
    const silent = [...sources, ...tests].filter(({ text }) => !/^(#!.*\n)?\/\/ .+[.:]\n/.test(text));
    expect(silent.map((s) => s.path)).toEqual([]);
  });

  it("has no `any`, no assertion away of null, no default export and no enum", () => {
    const wrong = sources.flatMap(({ path, text }) => text.split("\n").flatMap((line, i) => {
      const code = line.replace(/\/\/.*$/, "").replace(/"[^"]*"|`[^`]*`/g, '""');
      const bad = /\bas any\b|:\s*any\b|<any>|@ts-(ignore|expect-error)|^\s*export default|^\s*(export )?(const )?enum\b|[\w)\]]!(\.|;|,|\)|\[)/.test(code);
      return bad ? [`${path}:${i + 1}: ${line.trim()}`] : [];
    }));
    expect(wrong).toEqual([]);
  });

  it("knows no `utils`", () => {
    expect(sources.filter(({ path }) => /(^|\/)(utils?|helpers?|common|manager|misc)(\.ts|\/)/.test(path)).map((s) => s.path)).toEqual([]);
  });

  it("keeps the compiler free of layers: no layer, loss or optimiser is named in it", () => {
    const words = /\b(conv(olution)?3?d?|Conv|ConvTranspose|GroupNorm|InstanceNorm|BatchNorm|LayerNorm|softmax|gelu|relu|MedNeXt|NNUNet|DNet|SEDy|adamw?|sgd|cross_entropy)\b/;
    const wrong = sources.filter(({ path }) => below(path, "compiler") && !below(path, "compiler/report")).flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, i) => {
        // Comments and messages may give examples.
        const code = line.replace(/^\s*(\/\/|\*|\/\*\*).*$/, "").replace(/\s\/\/ .*$/, "").replace(/"[^"]*\s[^"]*"|`[^`]*`/g, '""');
        return words.test(code) ? [`${path}:${i + 1}: ${line.trim()}`] : [];
      }));
    expect(wrong).toEqual([]);
  });
});
