// Loops to WGSL text. Equal programs give equal text, so that they share a pipeline.

import type { Tensor } from "../ir/graph.ts";
import type { Loops, Statement, Value } from "../kernels/loops.ts";
import { invariant } from "../report/diagnostic.ts";
import { gatherWgsl } from "./prelude.ts";
import { scalar, Words } from "./words.ts";

/** One stretch of memory that a kernel sees: the tensors kept there, and in how many equal parts it is bound. */
export interface Binding {
  readonly tensors: readonly Tensor[];
  readonly access: "read" | "read_write";
  /** Elements of each part but the last; the parts are bound one after the other. */
  readonly part: number;
  readonly parts: number;
  /** Whether it is seen as vectors of four. */
  readonly vector: boolean;
  /** Whether its elements are halves. */
  readonly half: boolean;
}

export interface Emitted {
  readonly wgsl: string;
  readonly groups: readonly [number, number, number];
  readonly uniforms: boolean;
}

/** Turns up to which a driver writes a loop out, if it sees how many there are. */
const writtenOut = 32;

/**
 * A 1 of which no driver knows, from a place in an array that it does not know either. For that array llvmpipe aligns its stack: else half of the
 * registers that it keeps there lie across two lines of the cache and one across two pages, and a kernel whose innermost loop uses that
 * one takes up to half as long again.
 */
const unknown = "  var ones: array<i32, 4>;\n  ones[groups.z] = 1;\n  let one = ones[groups.z * groups.z];\n";

/** What of a profile shows in texts. */
export interface Manner {
  readonly ranges: boolean;
  readonly opaque?: boolean;
}

/** Most workgroups along one axis of a dispatch that every adapter takes. */
const rowGroups = 32768;

/**
 * `uniforms` are the fields of the uniform buffer in order, all four bytes; with `ranges` the kernel may begin at any of its
 * workgroups of `size` invocations.
 */
export function emit(loops: Loops, bindings: readonly Binding[], uniforms: readonly { name: string; type: "f32" | "u32" }[], size: number, { ranges, opaque = false }: Manner): Emitted {
  const slot = new Map<Tensor, number>();
  bindings.forEach((b, i) => b.tensors.forEach((t) => slot.set(t, i)));
  const at = (t: Tensor): number => {
    const found = slot.get(t);
    invariant(found !== undefined, () => `${loops.name} uses ${t.name}, which has no binding`);
    return found;
  };
  const uses = loops.dials.length > 0 || loops.draws;
  const out: string[] = [];
  let hides = false;
  const words = new Words(at, bindings);
  const value = (v: Value): string => words.of(v);

  const put = (list: readonly Statement[], indent: string): void => {
    for (const s of list) {
      switch (s.kind) {
        case "for": {
          const i = s.local.name;
          const isHidden = opaque && s.extent <= writtenOut;
          hides ||= isHidden;
          out.push(`${indent}for (var ${i} = 0; ${i} < ${isHidden ? `${s.extent} * one` : s.extent}; ${i}++) {`);
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
        case "var": out.push(`${indent}var ${s.local.name} = ${words.as(s.value, s.local.vector)};`); break;
        case "set": out.push(`${indent}${s.local.name} = ${words.as(s.value, s.local.vector)};`); break;
        case "add":
          out.push(`${indent}gather(${value(s.at)}, ${value(s.value)});`);
          break;
        case "stage": out.push(...words.stage(s).map((line) => indent + line)); break;
        case "barrier": out.push(`${indent}workgroupBarrier();`); break;
        case "matrix": case "fetch": case "multiply": case "spill": out.push(`${indent}${words.matrix(s)}`); break;
        case "store":
          out.push(`${indent}${words.store(s)}`);
          break;
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
    const type = `array<${gathers ? "atomic<u32>" : element(b)}>`;
    if (gathers) {
      invariant(b.parts === 1, () => `${loops.name} adds to a tensor in parts`);
      head.push(gatherWgsl(`buf${i}`));
    }
    const names = b.parts === 1 ? [`buf${i}`] : Array.from({ length: b.parts }, (_, p) => `buf${i}_${p}`);
    for (const n of names) head.push(`@group(0) @binding(${number++}) var<storage, ${b.access}> ${n}: ${type};`);
    if (b.parts > 1) head.push(...partFunctions(b, i));
  });
  head.push(...words.needed());
  if (ranges) head.push("@group(1) @binding(0) var<uniform> first_group: u32;");
  for (const s of loops.team?.staged ?? []) head.push(`var<workgroup> ${s.name}: ${s.single ? `array<${s.single}, ${4 * s.fours}>` : `array<vec4<f32>, ${s.fours}>`};`);
  const of = (place: "gid" | "team_id", each: number): string =>
    `i32(${place}.x)${rows === 1 ? "" : ` + i32(${place}.y) * ${rowGroups * each}`}${ranges ? ` + i32(first_group)${each === 1 ? "" : ` * ${each}`}` : ""}`;
  // All of a team leave or none: who is alone at a barrier waits for ever.
  const [builtins, id, all] = loops.team ? ["@builtin(workgroup_id) team_id: vec3<u32>, @builtin(local_invocation_index) number: u32", of("team_id", 1), groups]
    : ["@builtin(global_invocation_id) gid: vec3<u32>", of("gid", size), loops.invocations];
  // That a subgroup is on one way follows from what its invocations have in common, which only the compiler knows.
  const enabled = `${words.halves() ? "enable f16;\n" : ""}${loops.subgroup ? "enable subgroups;\ndiagnostic(off, subgroup_uniformity);\n" : ""}${
    loops.team?.subgroup ? "enable chromium_experimental_subgroup_matrix;\ndiagnostic(off, chromium.subgroup_matrix_uniformity);\n" : ""}`;
  const mates = loops.subgroup ? ["let mate = i32(sg_place);", ...words.spreads()].map((line) => `  ${line}\n`).join("") : "";
  const wgsl = `${enabled}${head.join("\n")}
@compute @workgroup_size(${size})
fn main(${builtins}${hides ? ", @builtin(num_workgroups) groups: vec3<u32>" : ""}${loops.subgroup ? ", @builtin(subgroup_invocation_id) sg_place: u32" : ""}) {
${hides ? unknown : ""}  let ${loops.id.name} = ${id};
  if (${loops.id.name} >= ${all}) { return; }
${loops.team ? `  let ${loops.team.member.name} = i32(number);\n` : ""}${mates}${out.join("\n")}
}
`;
  return { wgsl, groups: [columns, rows, 1], uniforms: uses };
}

/** What a binding's array is made of. */
function element(b: Binding): string {
  return b.vector ? `vec4<${stored(b)}>` : stored(b);
}

/** The WGSL type of one element in memory. */
function stored(b: Binding): string {
  return b.half ? "f16" : scalar((b.tensors[0] as Tensor).type);
}

/** A tensor larger than one binding may be is bound in parts; these find the part of an element, or of four. */
function partFunctions(b: Binding, i: number): string[] {
  const size = b.vector ? b.part / 4 : b.part;
  const parts = Array.from({ length: b.parts }, (_, p) => p);
  const load = parts.slice(0, -1).map((p) => `if (i < ${(p + 1) * size}) { return buf${i}_${p}[i - ${p * size}]; }`);
  const lines = [`fn get${i}(i: i32) -> ${element(b)} { ${load.join(" ")} return buf${i}_${b.parts - 1}[i - ${(b.parts - 1) * size}]; }`];
  if (b.access === "read_write") {
    const store = (place: string, value: string): string =>
      parts.map((p) => `${p < b.parts - 1 ? `if (i < ${(p + 1) * size}) ` : ""}{ buf${i}_${p}[i - ${p * size}]${place} = ${value}; }`).join(" else ");
    lines.push(`fn put${i}(i: i32, v: ${element(b)}) { ${store("", "v")} }`);
    if (b.vector) lines.push(`fn set${i}(i: i32, lane: i32, v: ${stored(b)}) { ${store("[lane]", "v")} }`);
  }
  return lines;
}
