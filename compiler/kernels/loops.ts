// What one invocation does, in order: statements form a tree, values an expression over locals.

import type { Primitive, Type } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import type { MatrixUnit } from "./kernel.ts";

/** A variable of the shader; its name is unique in the kernel. `vector` ones hold four values side by side. */
export interface Local {
  readonly name: string;
  readonly type: Type;
  readonly vector: boolean;
}

export type Value =
  | { readonly kind: "number"; readonly value: number; readonly type: Type }
  | { readonly kind: "local"; readonly local: Local; readonly type: Type }
  /** `idiv` and `imod` truncate, as the hardware does: their first argument is never negative here. */
  | { readonly kind: "apply"; readonly fn: Primitive; readonly args: readonly Value[]; readonly type: Type }
  /** Element `at` of a tensor's row-major storage; of a vector load, the `at`-th four. */
  | { readonly kind: "load"; readonly from: Tensor; readonly at: Value; readonly type: Type; readonly vector: boolean }
  /** Four values as a vector. */
  | { readonly kind: "pack"; readonly parts: readonly Value[]; readonly type: Type }
  /** One of a vector's four values. */
  | { readonly kind: "part"; readonly of: Value; readonly lane: number; readonly type: Type }
  /** Another element for each invocation of the subgroup: the `i`-th of them loads element `at + offsets[i]`. */
  | { readonly kind: "spread"; readonly from: Tensor; readonly at: Value; readonly offsets: readonly number[]; readonly type: Type }
  /** What the `mate`-th invocation of the subgroup has in a local. */
  | { readonly kind: "mate"; readonly of: Value; readonly mate: number; readonly type: Type }
  /** The `at`-th four that the team has staged. */
  | { readonly kind: "staged"; readonly from: Staged; readonly at: Value; readonly type: Type }
  | { readonly kind: "uniform"; readonly name: string; readonly type: Type }
  | { readonly kind: "draw"; readonly site: number; readonly at: Value; readonly type: Type };

export type Statement =
  | { readonly kind: "for"; readonly local: Local; readonly extent: number; readonly body: readonly Statement[] }
  | { readonly kind: "if"; readonly test: Value; readonly body: readonly Statement[] }
  /** A constant of its scope. */
  | { readonly kind: "let"; readonly local: Local; readonly value: Value }
  | { readonly kind: "var"; readonly local: Local; readonly value: Value }
  | { readonly kind: "set"; readonly local: Local; readonly value: Value }
  | { readonly kind: "store"; readonly into: Tensor; readonly at: Value; readonly value: Value; readonly vector: boolean }
  /** Adds a whole number, given as a real, to an element that others add to at the same time. */
  | { readonly kind: "add"; readonly into: Tensor; readonly at: Value; readonly value: Value }
  /** Stages four values for the team. */
  | { readonly kind: "stage"; readonly into: Staged; readonly at: Value; readonly value: Value }
  /** All of the team wait here for each other; it stands where all of them come by. */
  | { readonly kind: "barrier" }
  /** A matrix of zeros, to which products are added. This and the next three all of a subgroup do together, with the same places. */
  | { readonly kind: "matrix"; readonly matrix: Matrix }
  /** A matrix of what is staged: from element `at` on, row after row, or column after column where `turned`, which begin `stride` elements apart. */
  | { readonly kind: "fetch"; readonly matrix: Matrix; readonly from: Staged; readonly at: Value; readonly stride: number; readonly turned: boolean }
  | { readonly kind: "multiply"; readonly into: Matrix; readonly left: Matrix; readonly right: Matrix }
  /** Stages a matrix from element `at` on, row after row. */
  | { readonly kind: "spill"; readonly matrix: Matrix; readonly into: Staged; readonly at: Value; readonly stride: number };

/** Workgroup memory: `fours` of reals, or, for matrix units, as many single elements, whose type is given. Halves are rounded to as they are staged. */
export interface Staged {
  readonly name: string;
  readonly fours: number;
  readonly single?: "f32" | "f16";
}

/** A matrix that a subgroup holds: `m` x `k` elements of a unit on the left, `k` x `n` on the right, and `m` x `n` sums. */
export interface Matrix {
  readonly name: string;
  readonly part: "left" | "right" | "sum";
  readonly unit: MatrixUnit;
}

/** Invocations that share memory: how many, the number that each has among them, and what they stage. */
export interface Team {
  readonly size: number;
  readonly member: Local;
  readonly staged: readonly Staged[];
  /** Invocations of a subgroup, where they use matrix units. */
  readonly subgroup?: number;
}

/** A kernel's program: `invocations` of `body`, each with its number in `id`, or, where they work in teams, with its team's. */
export interface Loops {
  readonly name: string;
  readonly invocations: number;
  readonly id: Local;
  readonly body: readonly Statement[];
  /** A whole number of teams runs. */
  readonly team?: Team;
  /** Invocations of a subgroup, where they hand values to each other: consecutive ones, a whole number of them, on one way. */
  readonly subgroup?: number;
  readonly reads: readonly Tensor[];
  readonly writes: readonly Tensor[];
  /** Whether what it writes must hold zeros before. */
  readonly adds: boolean;
  /** Names of the dials used; `draws` when the step counter and the seed are. */
  readonly dials: readonly string[];
  readonly draws: boolean;
  /** The launch whose program this is but for the tensors, which are its own, place by place. */
  readonly like?: Loops;
}

/** Whether a value is four values side by side. A scalar among vectors counts for each of the four. */
export function isVector(v: Value): boolean {
  switch (v.kind) {
    case "local": return v.local.vector;
    case "load": return v.vector;
    case "pack": case "staged": return true;
    case "apply": return v.args.some(isVector);
    case "number": case "uniform": case "draw": case "part": case "spread": case "mate": return false;
    default: return v satisfies never;
  }
}

/** One place in a program's text that loads or stores elements of a tensor, side by side. */
export interface Access {
  readonly tensor: Tensor;
  readonly elements: number;
}

/** Where a program loads and stores. */
export function accessesOf(loops: Loops): readonly Access[] {
  const found: Access[] = [];
  const seen = new Set<Value>();
  const put = (tensor: Tensor, vector: boolean): void => {
    found.push({ tensor, elements: vector ? 4 : 1 });
  };
  const look = (v: Value): void => {
    if (seen.has(v)) return;
    seen.add(v);
    switch (v.kind) {
      case "load":
        put(v.from, v.vector);
        return look(v.at);
      case "spread":
        put(v.from, false);
        return look(v.at);
      case "apply": return v.args.forEach(look);
      case "pack": return v.parts.forEach(look);
      case "part": case "mate": return look(v.of);
      case "draw": case "staged": return look(v.at);
      case "number": case "local": case "uniform": return;
      default: return v satisfies never;
    }
  };
  const go = (list: readonly Statement[]): void => {
    for (const s of list) {
      switch (s.kind) {
        case "for": go(s.body); break;
        case "if": look(s.test); go(s.body); break;
        case "let": case "var": case "set": look(s.value); break;
        case "store": case "add":
          put(s.into, s.kind === "store" && s.vector);
          look(s.at);
          look(s.value);
          break;
        case "stage": look(s.at); look(s.value); break;
        case "fetch": case "spill": look(s.at); break;
        case "barrier": case "matrix": case "multiply": break;
        default: s satisfies never;
      }
    }
  };
  go(loops.body);
  return found;
}

/** The tensors of which four elements are loaded or stored in one go. */
export const vectorsOf = (loops: Loops): ReadonlySet<Tensor> => new Set(accessesOf(loops).flatMap((a) => (a.elements > 1 ? [a.tensor] : [])));

/** Loops as indented text, for people. */
export function printLoops(loops: Loops): string {
  const lines = [`${loops.name}: ${loops.invocations} invocations${loops.team ? ` in teams of ${loops.team.size}` : ""}${loops.team?.subgroup ? `, subgroups of ${loops.team.subgroup}` : ""}${loops.subgroup ? ` in subgroups of ${loops.subgroup}` : ""}`];
  const put = (list: readonly Statement[], indent: string): void => {
    for (const s of list) {
      switch (s.kind) {
        case "for": lines.push(`${indent}for ${s.local.name} in 0..<${s.extent}`); put(s.body, `${indent}  `); break;
        case "if": lines.push(`${indent}if ${printValue(s.test)}`); put(s.body, `${indent}  `); break;
        case "let": lines.push(`${indent}${s.local.name} = ${printValue(s.value)}`); break;
        case "var": lines.push(`${indent}var ${s.local.name} = ${printValue(s.value)}`); break;
        case "set": lines.push(`${indent}${s.local.name} <- ${printValue(s.value)}`); break;
        case "stage": lines.push(`${indent}${s.into.name}[4 at ${printValue(s.at)}] <- ${printValue(s.value)}`); break;
        case "barrier": lines.push(`${indent}barrier`); break;
        case "matrix": lines.push(`${indent}var ${s.matrix.name} = ${printMatrix(s.matrix)} of 0`); break;
        case "fetch": lines.push(`${indent}${s.matrix.name} = ${printMatrix(s.matrix)} of ${s.from.name}[${printValue(s.at)}] by ${s.turned ? "columns" : "rows"} of ${s.stride}`); break;
        case "multiply": lines.push(`${indent}${s.into.name} +<- ${s.left.name} times ${s.right.name}`); break;
        case "spill": lines.push(`${indent}${s.into.name}[${printValue(s.at)}] by rows of ${s.stride} <- ${s.matrix.name}`); break;
        case "add": lines.push(`${indent}${s.into.name}[${printValue(s.at)}] +<- ${printValue(s.value)}`); break;
        case "store": lines.push(`${indent}${s.into.name}[${s.vector ? "4 at " : ""}${printValue(s.at)}] <- ${printValue(s.value)}`); break;
      }
    }
  };
  put(loops.body, "  ");
  return lines.join("\n");
}

/** Rows and columns of a matrix. */
export function extentsOf({ part, unit: { m, n, k } }: Matrix): readonly [number, number] {
  return part === "left" ? [m, k] : part === "right" ? [k, n] : [m, n];
}

const printMatrix = (m: Matrix): string => `${extentsOf(m).join(" x ")} ${elementOf(m)}`;

/** The type of a matrix's elements. */
export const elementOf = ({ part, unit }: Matrix): "f32" | "f16" => (part === "sum" ? "f32" : unit.component);

function printValue(v: Value): string {
  switch (v.kind) {
    case "number": return String(v.value);
    case "local": return v.local.name;
    case "uniform": return v.name;
    case "load": return `${v.from.name}[${v.vector ? "4 at " : ""}${printValue(v.at)}]`;
    case "staged": return `${v.from.name}[4 at ${printValue(v.at)}]`;
    case "pack": return `(${v.parts.map(printValue).join(", ")})`;
    case "part": return `${printValue(v.of)}.${v.lane}`;
    case "spread": return `${v.from.name}[${printValue(v.at)} + mate of (${v.offsets.join(", ")})]`;
    case "mate": return `${printValue(v.of)} of mate ${v.mate}`;
    case "draw": return `draw(${v.site}, ${printValue(v.at)})`;
    case "apply": return `${v.fn}(${v.args.map(printValue).join(", ")})`;
  }
}
