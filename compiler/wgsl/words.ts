// Values of a kernel as WGSL expressions, scalars and vectors of four alike.

import { drawWgsl } from "../ir/draw.ts";
import type { Type } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { elementOf, extentsOf, isVector, type Matrix, type Statement, type Value } from "../kernels/loops.ts";
import { invariant } from "../report/diagnostic.ts";
import type { Binding } from "./emit.ts";
import { erfWgsl, halfWgsl, narrowWgsl } from "./prelude.ts";

type Apply = Extract<Value, { kind: "apply" }>;

/** Functions that WGSL lacks. */
const functions = { erf: erfWgsl("erf", "f32"), erf4: erfWgsl("erf4", "vec4<f32>"), draw: drawWgsl, narrow: narrowWgsl, half: halfWgsl("half", "f32"), half4: halfWgsl("half4", "vec4<f32>") };

export class Words {
  readonly #slot: (t: Tensor) => number;
  readonly #bindings: readonly Binding[];
  readonly #used = new Set<keyof typeof functions>();
  readonly #spreads = new Map<string, string>();

  /** `slot` gives the binding of a tensor. */
  constructor(slot: (t: Tensor) => number, bindings: readonly Binding[]) {
    this.#slot = slot;
    this.#bindings = bindings;
  }

  /** The functions that must stand in front of what was written so far. */
  needed(): readonly string[] {
    return Object.entries(functions).flatMap(([name, text]) => (this.#used.has(name as keyof typeof functions) ? [text] : []));
  }

  /** Whether halves occur in what was written so far. */
  halves(): boolean {
    return this.#bindings.some((b) => b.half) || this.#used.has("half") || this.#used.has("half4");
  }

  of(v: Value): string {
    switch (v.kind) {
      case "number": return literal(v.value, v.type);
      case "local": return v.local.name;
      case "uniform": return `dials.${v.name.replace(/\W/g, "_")}`;
      case "load": return this.#loaded(v.from, this.of(v.at), v.vector);
      case "draw":
        this.#used.add("draw");
        return `draw(dials.draw_seed, dials.draw_step, ${v.site}u, ${this.of(v.at)})`;
      case "staged": {
        const { name, single } = v.from;
        if (!single) return `${name}[${this.of(v.at)}]`;
        return `vec4<f32>(${[0, 1, 2, 3].map((i) => `f32(${name}[4 * ${this.of(v.at)} + ${i}])`).join(", ")})`;
      }
      case "pack": return `vec4<${scalar(v.type)}>(${v.parts.map((p) => this.of(p)).join(", ")})`;
      case "part": return `${this.of(v.of)}.${"xyzw"[v.lane]}`;
      case "spread": return this.#loaded(v.from, `(${this.of(v.at)} + ${this.#spread(v.offsets)})`, false);
      case "mate": return `subgroupBroadcast(${this.of(v.of)}, ${v.mate}u)`;
      case "apply": return this.#apply(v);
      default: return v satisfies never;
    }
  }

  /** A value where four are wanted, or one. */
  as(v: Value, vector: boolean): string {
    return vector && !isVector(v) ? `vec4<${scalar(v.type)}>(${this.of(v)})` : this.of(v);
  }

  /** The statement that stores a value, or four. */
  store({ into, at, value, vector }: Extract<Statement, { kind: "store" }>): string {
    const b = this.#slot(into);
    const { parts, vector: wide, half } = this.#bindings[b] as Binding;
    const place = this.of(at);
    const what = half ? this.#half(this.as(value, vector), vector) : this.as(value, vector);
    if (vector || !wide) return parts === 1 ? `buf${b}[${place}] = ${what};` : `put${b}(${place}, ${what});`;
    return parts === 1 ? `buf${b}[${place} / 4][${place} % 4] = ${what};` : `set${b}(${place} / 4, ${place} % 4, ${what});`;
  }

  /** The statements that stage four values. */
  stage({ into: { name, single }, at, value }: Extract<Statement, { kind: "stage" }>): readonly string[] {
    const four = this.as(value, true);
    if (!single) return [`${name}[${this.of(at)}] = ${four};`];
    const parts = [0, 1, 2, 3].map((i) => `${name}[4 * ${this.of(at)} + ${i}] = staged[${i}];`);
    return ["{", `  let staged = ${single === "f16" ? this.#half(four, true) : four};`, `  ${parts.join(" ")}`, "}"];
  }

  /** The statement that makes, multiplies or stages a matrix. */
  matrix(s: Extract<Statement, { kind: "matrix" | "fetch" | "multiply" | "spill" }>): string {
    switch (s.kind) {
      case "matrix": return `var ${s.matrix.name}: ${matrixType(s.matrix)};`;
      case "fetch": {
        const order = s.turned ? "col_major" : "row_major";
        return `let ${s.matrix.name} = subgroupMatrixLoad<${matrixType(s.matrix)}, ${order}>(&${s.from.name}, u32(${this.of(s.at)}), ${s.stride}u);`;
      }
      case "multiply": return `${s.into.name} = subgroupMatrixMultiplyAccumulate(${s.left.name}, ${s.right.name}, ${s.into.name});`;
      case "spill": return `subgroupMatrixStore<row_major>(&${s.into.name}, u32(${this.of(s.at)}), ${s.matrix.name}, ${s.stride}u);`;
      default: return s satisfies never;
    }
  }

  /** The locals that every invocation has at the beginning: how far from the first of a subgroup it loads. */
  spreads(): readonly string[] {
    return [...this.#spreads].map(([key, name]) => {
      const offsets = key.split(",").map(Number);
      const step = (offsets[1] ?? 0) - (offsets[0] ?? 0);
      if (offsets.every((o, i) => o === i * step)) return `let ${name} = ${step === 1 ? "mate" : `mate * ${step}`};`;
      return `let ${name} = array<i32, ${offsets.length}>(${key})[mate];`;
    });
  }

  #spread(offsets: readonly number[]): string {
    const key = offsets.join();
    const known = this.#spreads.get(key) ?? `spread${this.#spreads.size}`;
    this.#spreads.set(key, known);
    return known;
  }

  #loaded(from: Tensor, at: string, vector: boolean): string {
    const b = this.#slot(from);
    const { parts, vector: wide, half } = this.#bindings[b] as Binding;
    const place = vector || !wide ? (parts === 1 ? `buf${b}[${at}]` : `get${b}(${at})`)
      : parts === 1 ? `buf${b}[${at} / 4][${at} % 4]` : `get${b}(${at} / 4)[${at} % 4]`;
    return half ? `${vector ? "vec4<f32>" : "f32"}(${place})` : place;
  }

  /** A real, or four, as halves. */
  #half(what: string, vector: boolean): string {
    const fn = vector ? "half4" : "half";
    this.#used.add(fn);
    return `${fn}(${what})`;
  }

  #apply(v: Apply): string {
    const first = v.args[0] as Value;
    switch (v.fn) {
      case "add": case "sub": case "mul": case "div": case "idiv": case "imod": return `(${this.of(first)} ${signs[v.fn]} ${this.of(v.args[1] as Value)})`;
      case "neg": return `(-${this.of(first)})`;
      case "rsqrt": return `inverseSqrt(${this.of(first)})`;
      case "erf": {
        const name = isVector(v) ? "erf4" : "erf";
        this.#used.add(name);
        return `${name}(${this.of(first)})`;
      }
      // Implementations return NaN for large arguments; beyond 15 it is 1 in f32.
      case "tanh": return `tanh(clamp(${this.of(first)}, ${typeOf(v, "f32")}(-15.0), ${typeOf(v, "f32")}(15.0)))`;
      case "floor": return `${typeOf(v, "i32")}(floor(${this.of(first)}))`;
      case "round": return `${typeOf(v, "i32")}(round(${this.of(first)}))`;
      case "trunc": return `${typeOf(v, "i32")}(${this.of(first)})`;
      case "real":
        if (first.type !== "wide") return `${typeOf(v, "f32")}(${this.of(first)})`;
        this.#used.add("narrow");
        return `narrow(${this.of(first)})`;
      case "widen": throw new Error("internal: a wide number outside a sum");
      case "hold": return this.of(first);
      case "half": return `${typeOf(v, "f32")}(${this.#half(this.of(first), isVector(v))})`;
      case "binade": return `bitcast<${typeOf(v, "f32")}>(bitcast<${typeOf(v, "u32")}>(${this.of(first)}) & ${typeOf(v, "u32")}(0x7f800000u))`;
      case "select": {
        const vector = isVector(v);
        const test = this.of(first);
        const then = this.as(v.args[1] as Value, vector);
        return `select(${this.as(v.args[2] as Value, vector)}, ${then}, ${test})`;
      }
      case "eq": return `(${this.#even(v, " == ")})`;
      case "ne": return `(${this.#even(v, " != ")})`;
      case "lt": return `(${this.#even(v, " < ")})`;
      case "le": return `(${this.#even(v, " <= ")})`;
      case "and": return `(${this.#even(v, isVector(v) ? " & " : " && ")})`;
      case "or": return `(${this.#even(v, isVector(v) ? " | " : " || ")})`;
      case "not": return `(!${this.of(first)})`;
      case "min": case "max": case "abs": case "pow": case "exp": case "log": case "sqrt": case "sin": case "cos": return `${v.fn}(${this.#even(v, ", ")})`;
      default: return v.fn satisfies never;
    }
  }

  /** Arguments that are all vectors if one is, as functions and comparisons want them. */
  #even(v: Apply, between: string): string {
    const vector = isVector(v);
    return v.args.map((x) => this.as(x, vector)).join(between);
  }
}

/** Signs take a vector with a number. */
const signs = { add: "+", sub: "-", mul: "*", div: "/", idiv: "/", imod: "%" } as const;

const typeOf = (v: Value, type: "f32" | "i32" | "u32"): string => (isVector(v) ? `vec4<${type}>` : type);

/** The WGSL type of a matrix, which names columns before rows. */
function matrixType(m: Matrix): string {
  const [rows, columns] = extentsOf(m);
  return `subgroup_matrix_${m.part === "sum" ? "result" : m.part}<${elementOf(m)}, ${columns}, ${rows}>`;
}

/** The WGSL type of a value. */
export function scalar(type: Type): string {
  switch (type) {
    case "real": return "f32";
    case "int": return "i32";
    case "bool": return "bool";
    case "wide": return "vec2<u32>";
    default: return type satisfies never;
  }
}

function literal(value: number, type: Type): string {
  if (type === "bool") return value ? "true" : "false";
  if (type === "int") return value < 0 ? `(${value})` : String(value);
  const rounded = Math.fround(value);
  invariant(Number.isFinite(rounded), () => `${value} is not a number that f32 holds`);
  const text = /[.e]/.test(String(rounded)) ? String(rounded) : `${rounded}.0`;
  return rounded < 0 ? `(${text}f)`.replace(".0f", ".0") : text.includes("e") ? `${text}f` : text;
}
