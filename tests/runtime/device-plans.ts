// Hand-written plans for the tests of the runtime.

import type { BufferSpec, Kept, Plan, Port, Provenance, Shader, Slice, Start, Step, Uniform } from "../../compiler/plan/plan.ts";

/** A place in a `.net` text that does not exist. */
export const origin = (line: number, path = "e[0].Conv"): Provenance => ({ file: "made-up.net", line, column: 3, path });

/** `count` values from the start of a buffer, or from `first` on. */
export const values = (buffer: number, count: number, first = 0): Slice => ({ buffer, offset: first * 4, bytes: count * 4 });

export const buffer = (name: string, count: number, kept = true): BufferSpec => ({ name, bytes: count * 4, kept, origin: origin(1, name) });

export const port = (name: string, slice: Slice): Port => ({ name, shape: [slice.bytes / 4], slice });

export const kept = (name: string, slice: Slice, start: Start = { kind: "constant", value: 0 }): Kept => ({ ...port(name, slice), start });

export const dispatch = (name: string, shader: number, bindings: readonly Slice[], groups: number, line = 7): Extract<Step, { kind: "dispatch" }> =>
  ({ kind: "dispatch", name, shader, bindings, groups: [groups, 1, 1], phase: "forward", cost: { bytes: 0, flops: 0 }, origin: origin(line) });

/** A plan of the parts given. */
export function planOf(parts: Partial<Plan> & { readonly buffers: readonly BufferSpec[] }): Plan {
  const uniforms: readonly Uniform[] = parts.uniforms ?? [];
  return {
    name: "Made", shaders: [], steps: [], inputs: [], outputs: [], weights: [], states: [],
    uniformBytes: uniforms.length * 4, bytes: parts.buffers.reduce((n, { bytes }) => n + bytes, 0), ...parts, uniforms,
  };
}

/** `y[i] = body` over all of `y`, where `x` is the input at `i`. */
export function mapShader(body: string, name = "map"): Shader {
  return {
    name, uniforms: false, access: ["read", "read_write"],
    wgsl: `@group(0) @binding(1) var<storage, read> x_in: array<f32>;
@group(0) @binding(2) var<storage, read_write> y_out: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i < arrayLength(&y_out)) { let x = x_in[i]; y_out[i] = ${body}; }
}`,
  };
}

/** `y = 2 x` on `count` values, in one dispatch. */
export function doubling(count: number): Plan {
  return planOf({
    buffers: [buffer("x", count), buffer("y", count, false)],
    shaders: [mapShader("2 * x")],
    steps: [dispatch("double", 0, [values(0, count), values(1, count)], Math.ceil(count / 64))],
    inputs: [port("x", values(0, count))],
    outputs: [port("y", values(1, count))],
  });
}
