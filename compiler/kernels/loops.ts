// What one invocation does, in order: statements form a tree, values an expression over locals.

import type { Primitive, Type } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";

/** A variable of the shader; its name is unique in the kernel. */
export interface Local {
  readonly name: string;
  readonly type: Type;
}

export type Value =
  | { readonly kind: "number"; readonly value: number; readonly type: Type }
  | { readonly kind: "local"; readonly local: Local; readonly type: Type }
  /** `idiv` and `imod` truncate, as the hardware does: their first argument is never negative here. */
  | { readonly kind: "apply"; readonly fn: Primitive; readonly args: readonly Value[]; readonly type: Type }
  /** Element `at` of a tensor's row-major storage. */
  | { readonly kind: "load"; readonly from: Tensor; readonly at: Value; readonly type: Type }
  | { readonly kind: "uniform"; readonly name: string; readonly type: Type }
  | { readonly kind: "draw"; readonly site: number; readonly at: Value; readonly type: Type };

export type Statement =
  | { readonly kind: "for"; readonly local: Local; readonly extent: number; readonly body: readonly Statement[] }
  | { readonly kind: "if"; readonly test: Value; readonly body: readonly Statement[] }
  /** A constant of its scope. */
  | { readonly kind: "let"; readonly local: Local; readonly value: Value }
  | { readonly kind: "var"; readonly local: Local; readonly value: Value }
  | { readonly kind: "set"; readonly local: Local; readonly value: Value }
  | { readonly kind: "store"; readonly into: Tensor; readonly at: Value; readonly value: Value }
  /** Adds a whole number, given as a real, to an element that others add to at the same time. */
  | { readonly kind: "add"; readonly into: Tensor; readonly at: Value; readonly value: Value };

/** A kernel's program: `invocations` of `body`, each with its number in `id`. */
export interface Loops {
  readonly name: string;
  readonly invocations: number;
  readonly id: Local;
  readonly body: readonly Statement[];
  readonly reads: readonly Tensor[];
  readonly writes: readonly Tensor[];
  /** Whether what it writes must hold zeros before. */
  readonly adds: boolean;
  /** Names of the dials used; `draws` when the step counter and the seed are. */
  readonly dials: readonly string[];
  readonly draws: boolean;
}

/** Loops as indented text, for people. */
export function printLoops(loops: Loops): string {
  const lines = [`${loops.name}: ${loops.invocations} invocations`];
  const put = (list: readonly Statement[], indent: string): void => {
    for (const s of list) {
      switch (s.kind) {
        case "for": lines.push(`${indent}for ${s.local.name} in 0..<${s.extent}`); put(s.body, `${indent}  `); break;
        case "if": lines.push(`${indent}if ${printValue(s.test)}`); put(s.body, `${indent}  `); break;
        case "let": lines.push(`${indent}${s.local.name} = ${printValue(s.value)}`); break;
        case "var": lines.push(`${indent}var ${s.local.name} = ${printValue(s.value)}`); break;
        case "set": lines.push(`${indent}${s.local.name} <- ${printValue(s.value)}`); break;
        case "add": lines.push(`${indent}${s.into.name}[${printValue(s.at)}] +<- ${printValue(s.value)}`); break;
        case "store": lines.push(`${indent}${s.into.name}[${printValue(s.at)}] <- ${printValue(s.value)}`); break;
      }
    }
  };
  put(loops.body, "  ");
  return lines.join("\n");
}

function printValue(v: Value): string {
  switch (v.kind) {
    case "number": return String(v.value);
    case "local": return v.local.name;
    case "uniform": return v.name;
    case "load": return `${v.from.name}[${printValue(v.at)}]`;
    case "draw": return `draw(${v.site}, ${printValue(v.at)})`;
    case "apply": return `${v.fn}(${v.args.map(printValue).join(", ")})`;
  }
}
