// What a device can do at most, measured: how fast it copies memory and how fast it multiplies and adds.

import type { Plan, Provenance, Shader, Slice } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { Session } from "./session.ts";

export interface Ceiling {
  /** Bytes read and written in a second by a copy between two buffers that no cache holds. */
  readonly bytes: number;
  /** Multiplications and additions in a second, in registers alone. */
  readonly flops: number;
}

const group = 64;
/** A run is as many launches as take this long, in milliseconds, so that what happens between runs does not count. */
const long = 60;
const launches = 512;
const runs = 4;

/** Takes a second or two. */
export async function measureCeiling(device: Device): Promise<Ceiling> {
  const bytes = Math.min(device.software ? 2 ** 26 : 2 ** 28, 2 ** Math.floor(Math.log2(device.profile.maxBinding)));
  const copied = await fastest(device, copyOf(bytes));
  const threads = device.software ? 2 ** 12 : 2 ** 18;
  const rates = [];
  for (const type of ["f32", "vec4f"] as const) rates.push(await fastest(device, arithmetic(type, threads)));
  return { bytes: copied, flops: Math.max(...rates) };
}

/** One kernel and how much it does in a launch. */
interface Probe {
  readonly shader: Shader;
  readonly slices: readonly Slice[];
  readonly groups: number;
  readonly amount: number;
}

/** Every invocation copies four vectors, each next to those of its neighbours. */
function copyOf(bytes: number): Probe {
  const threads = bytes / 64;
  const lines = [0, 1, 2, 3].map((k) => `  to[i + ${k * threads}u] = given[i + ${k * threads}u];`);
  return {
    shader: shader("copy", ["read", "read_write"], `@group(0) @binding(1) var<storage, read> given: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> to: array<vec4f>;
@compute @workgroup_size(${group})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
${lines.join("\n")}
}`),
    slices: [0, 1].map((buffer) => ({ buffer, offset: 0, bytes })), groups: threads / group, amount: 2 * bytes,
  };
}

/** Eight chains of multiply-adds that do not wait for each other. What is stored stays zero, which no compiler sees. */
function arithmetic(type: "f32" | "vec4f", threads: number): Probe {
  const turns = 256;
  const width = type === "f32" ? 1 : 4;
  const chains = [0, 1, 2, 3, 4, 5, 6, 7];
  return {
    shader: shader(`multiply_add_${type}`, ["read_write"], `@group(0) @binding(1) var<storage, read_write> data: array<${type}>;
@compute @workgroup_size(${group})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let m = data[id.x] + 0.5;
  let b = data[id.x] + 0.25;
${chains.map((k) => `  var a${k} = b * ${k + 1}.0;`).join("\n")}
  for (var turn = 0u; turn < ${turns}u; turn++) {
${chains.map((k) => `    a${k} = a${k} * m + b;`).join("\n")}
  }
  data[id.x] = min(${chains.map((k) => `a${k}`).join(" + ")}, ${type}(0.0));
}`),
    slices: [{ buffer: 0, offset: 0, bytes: threads * width * 4 }], groups: threads / group, amount: threads * width * turns * chains.length * 2,
  };
}

const nowhere: Provenance = { file: "", line: 0, column: 0, path: "" };

const shader = (name: string, access: Shader["access"], wgsl: string): Shader => ({ name, wgsl, uniforms: false, access });

/** How much the probe does in a second, at best. */
async function fastest(device: Device, probe: Probe): Promise<number> {
  let best = 0;
  for (let count = 1; ; ) {
    const session = await Session.create(device, planOf(probe, count));
    try {
      let least = Infinity;
      // The first run warms up.
      for (let run = 0; run <= runs; run++) {
        const started = performance.now();
        await session.run();
        await device.idle("while the device's speed was measured");
        const took = performance.now() - started;
        if (run > 0) least = Math.min(least, took);
      }
      best = Math.max(best, (1000 * count * probe.amount) / least);
      if (least >= long || count >= launches) return best;
      count = Math.min(launches, Math.ceil((count * long * 1.2) / least));
    } finally {
      session.destroy();
    }
  }
}

function planOf({ shader: one, slices, groups, amount }: Probe, count: number): Plan {
  const buffers = slices.map(({ bytes }, i) => ({ name: `probe${i}`, bytes, kept: true, origin: nowhere }));
  return {
    name: one.name, buffers, shaders: [one], uniforms: [], uniformBytes: 0, inputs: [], outputs: [], weights: [], states: [],
    steps: Array.from({ length: count }, () => ({
      kind: "dispatch", name: one.name, shader: 0, bindings: slices, groups: [groups, 1, 1], phase: "forward", cost: { bytes: amount, flops: amount }, origin: nowhere,
    })),
    bytes: buffers.reduce((n, { bytes }) => n + bytes, 0),
  };
}
