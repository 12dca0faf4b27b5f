// Loops to WGSL text. Equal programs give equal text, so that they share a pipeline.

import { drawWgsl } from "../ir/draw.ts";
import type { Primitive, Type } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import type { Loops, Statement, Value } from "../kernels/loops.ts";
import { invariant } from "../report/diagnostic.ts";
import { erfWgsl, gatherWgsl, narrowWgsl } from "./prelude.ts";

/** One stretch of memory that a kernel sees: the tensors kept there, and in how many equal parts it is bound. */
export interface Binding {
  readonly tensors: readonly Tensor[];
  readonly access: "read" | "read_write";
  /** Elements of each part but the last; the parts are bound one after the other. */
  readonly part: number;
  readonly parts: number;
}

export interface Emitted {
  readonly wgsl: string;
  readonly groups: readonly [number, number, number];
  readonly uniforms: boolean;
}

/** Most workgroups along one axis of a dispatch that every adapter takes. */
const rowGroups = 32768;

/** `uniforms` are the fields of the uniform buffer in order, all four bytes. */
export function emit(loops: Loops, bindings: readonly Binding[], uniforms: readonly { name: string; type: "f32" | "u32" }[], size: number): Emitted {
  const slot = new Map<Tensor, number>();
  bindings.forEach((b, i) => b.tensors.forEach((t) => slot.set(t, i)));
  const at = (t: Tensor): number => {
    const found = slot.get(t);
    invariant(found !== undefined, () => `${loops.name} uses ${t.name}, which has no binding`);
    return found;
  };
  const functions = new Set<Primitive | "draw" | "narrow">();
  const uses = loops.dials.length > 0 || loops.draws;
  const out: string[] = [];
  const value = (v: Value): string => emitValue(v, at, bindings, functions);

  const put = (list: readonly Statement[], indent: string): void => {
    for (const s of list) {
      switch (s.kind) {
        case "for": {
          const i = s.local.name;
          out.push(`${indent}for (var ${i} = 0; ${i} < ${s.extent}; ${i}++) {`);
          put(s.body, `${indent}  `);
          out.push(`${indent}}`);
          break;
        }
        case "if":
          out.push(`${indent}if (${value(s.test)}) {`);
          put(s.body, `${indent}  `);
          out.push(`${indent}}`);
          break;
        case "let": out.push(`${indent}let ${s.local.name} = ${value(s.value)};`); break;
        case "var": out.push(`${indent}var ${s.local.name} = ${value(s.value)};`); break;
        case "set": out.push(`${indent}${s.local.name} = ${value(s.value)};`); break;
        case "add":
          out.push(`${indent}gather(${value(s.at)}, ${value(s.value)});`);
          break;
        case "store": {
          const b = at(s.into);
          out.push((bindings[b] as Binding).parts === 1
            ? `${indent}buf${b}[${value(s.at)}] = ${value(s.value)};`
            : `${indent}put${b}(${value(s.at)}, ${value(s.value)});`);
          break;
        }
      }
    }
  };
  put(loops.body, "  ");

  const groups = Math.ceil(loops.invocations / size);
  const rows = Math.ceil(groups / rowGroups);
  const columns = rows === 1 ? groups : rowGroups;
  const head: string[] = [];
  if (uses) head.push(`struct Dials { ${uniforms.map((u) => `${u.name.replace(/\W/g, "_")}: ${u.type}`).join(", ")} }`, "@group(0) @binding(0) var<uniform> dials: Dials;");
  let number = 1;
  bindings.forEach((b, i) => {
    const gathers = loops.adds && b.tensors.some((t) => loops.writes.includes(t));
    const type = `array<${gathers ? "atomic<u32>" : scalar((b.tensors[0] as Tensor).type)}>`;
    if (gathers) {
      invariant(b.parts === 1, () => `${loops.name} adds to a tensor in parts`);
      head.push(gatherWgsl(`buf${i}`));
    }
    const names = b.parts === 1 ? [`buf${i}`] : Array.from({ length: b.parts }, (_, p) => `buf${i}_${p}`);
    for (const n of names) head.push(`@group(0) @binding(${number++}) var<storage, ${b.access}> ${n}: ${type};`);
    if (b.parts > 1) head.push(...partFunctions(b, i));
  });
  if (functions.has("erf")) head.push(erfWgsl);
  if (functions.has("draw")) head.push(drawWgsl);
  if (functions.has("narrow")) head.push(narrowWgsl);
  const id = rows === 1 ? "i32(gid.x)" : `i32(gid.x) + i32(gid.y) * ${rowGroups * size}`;
  const wgsl = `${head.join("\n")}
@compute @workgroup_size(${size})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let ${loops.id.name} = ${id};
  if (${loops.id.name} >= ${loops.invocations}) { return; }
${out.join("\n")}
}
`;
  return { wgsl, groups: [columns, rows, 1], uniforms: uses };
}

/** A tensor larger than one binding may be is bound in parts; these find the part of an element. */
function partFunctions(b: Binding, i: number): string[] {
  const type = scalar((b.tensors[0] as Tensor).type);
  const parts = Array.from({ length: b.parts }, (_, p) => p);
  const load = parts.slice(0, -1).map((p) => `if (i < ${(p + 1) * b.part}) { return buf${i}_${p}[i - ${p * b.part}]; }`);
  const lines = [`fn get${i}(i: i32) -> ${type} { ${load.join(" ")} return buf${i}_${b.parts - 1}[i - ${(b.parts - 1) * b.part}]; }`];
  if (b.access === "read_write") {
    const store = parts.map((p) => `${p < b.parts - 1 ? `if (i < ${(p + 1) * b.part}) ` : ""}{ buf${i}_${p}[i - ${p * b.part}] = v; }`);
    lines.push(`fn put${i}(i: i32, v: ${type}) { ${store.join(" else ")} }`);
  }
  return lines;
}

function scalar(type: Type): string {
  switch (type) {
    case "real": return "f32";
    case "int": return "i32";
    case "bool": return "bool";
    case "wide": return "vec2<u32>";
    default: return type satisfies never;
  }
}

function emitValue(v: Value, at: (t: Tensor) => number, bindings: readonly Binding[], functions: Set<Primitive | "draw" | "narrow">): string {
  const go = (x: Value): string => emitValue(x, at, bindings, functions);
  switch (v.kind) {
    case "number": return literal(v.value, v.type);
    case "local": return v.local.name;
    case "uniform": return `dials.${v.name.replace(/\W/g, "_")}`;
    case "load": {
      const b = at(v.from);
      return (bindings[b] as Binding).parts === 1 ? `buf${b}[${go(v.at)}]` : `get${b}(${go(v.at)})`;
    }
    case "draw":
      functions.add("draw");
      return `draw(dials.draw_seed, dials.draw_step, ${v.site}u, ${go(v.at)})`;
    case "apply": break;
  }
  const args = v.args.map(go);
  const [a, b, c] = args as [string, string, string];
  switch (v.fn) {
    case "add": return `(${a} + ${b})`;
    case "sub": return `(${a} - ${b})`;
    case "mul": return `(${a} * ${b})`;
    case "div": case "idiv": return `(${a} / ${b})`;
    case "imod": return `(${a} % ${b})`;
    case "neg": return `(-${a})`;
    case "rsqrt": return `inverseSqrt(${a})`;
    case "erf": functions.add("erf"); return `erf(${a})`;
    // Implementations return NaN for large arguments; beyond 15 it is 1 in f32.
    case "tanh": return `tanh(clamp(${a}, -15.0, 15.0))`;
    case "floor": return `i32(floor(${a}))`;
    case "round": return `i32(round(${a}))`;
    case "trunc": return `i32(${a})`;
    case "real":
      if (v.args[0]?.type !== "wide") return `f32(${a})`;
      functions.add("narrow");
      return `narrow(${a})`;
    case "widen": throw new Error("internal: a wide number outside a sum");
    case "hold": return a;
    case "binade": return `bitcast<f32>(bitcast<u32>(${a}) & 0x7f800000u)`;
    case "select": return `select(${c}, ${b}, ${a})`;
    case "eq": return `(${a} == ${b})`;
    case "ne": return `(${a} != ${b})`;
    case "lt": return `(${a} < ${b})`;
    case "le": return `(${a} <= ${b})`;
    case "and": return `(${a} && ${b})`;
    case "or": return `(${a} || ${b})`;
    case "not": return `(!${a})`;
    case "min": case "max": case "abs": case "pow": case "exp": case "log": case "sqrt": case "sin": case "cos": return `${v.fn}(${args.join(", ")})`;
    default: return v.fn satisfies never;
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
