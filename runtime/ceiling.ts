// What a device can do at most, measured: how fast it moves memory and how fast it multiplies and adds.

import type { Plan, Provenance, Shader, Slice } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { Session } from "./session.ts";

export interface Ceiling {
  /** Bytes in a second, read and written by a copy between two buffers that no cache holds, or read by a sum, whichever is more. */
  readonly bytes: number;
  /** Multiplications and additions in a second, in registers alone. */
  readonly flops: number;
}

const group = 64;
/** A run is as many launches as take this long, in milliseconds, so that what happens between runs does not count. */
const long = 40;
const launches = 512;
const runs = 4;

/** Takes a second or two: no kernel does the most on every device, so there are a few of each kind. */
export async function measureCeiling(device: Device): Promise<Ceiling> {
  const bytes = Math.min(device.software ? 2 ** 26 : 2 ** 28, 2 ** Math.floor(Math.log2(device.profile.maxBinding)));
  const threads = device.software ? 2 ** 12 : 2 ** 18;
  return {
    bytes: await best(device, [copyOf(bytes), sumOf(bytes)]),
    flops: await best(device, [
      arithmetic({ type: "f32", chains: 8, written: 32, term: (a) => `${a} * m + b` }, threads),
      arithmetic({ type: "f32", chains: 12, written: 8, term: (a) => `fma(${a}, m, b)` }, threads),
      arithmetic({ type: "vec4f", chains: 4, written: 8, term: (a) => `${a} * m + b` }, threads),
    ]),
  };
}

async function best(device: Device, probes: readonly Probe[]): Promise<number> {
  let most = 0;
  for (const probe of probes) most = Math.max(most, await fastest(device, probe));
  return most;
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

/** Every invocation adds up sixteen vectors that lie side by side. */
function sumOf(bytes: number): Probe {
  const [count, threads] = [16, bytes / 256];
  const terms = Array.from({ length: count }, (_, k) => `given[${count}u * id.x + ${k}u]`);
  return {
    shader: shader("sum", ["read", "read_write"], `@group(0) @binding(1) var<storage, read> given: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> to: array<vec4f>;
@compute @workgroup_size(${group})
fn main(@builtin(global_invocation_id) id: vec3u) {
  to[id.x] = ${terms.join(" + ")};
}`),
    slices: [{ buffer: 0, offset: 0, bytes }, { buffer: 1, offset: 0, bytes: bytes / count }], groups: threads / group, amount: bytes + bytes / count,
  };
}

interface Arithmetic {
  readonly type: "f32" | "vec4f";
  /** Sums that do not wait for each other: as many as hide how long an addition takes, and no more than there are registers. */
  readonly chains: number;
  /** Terms of each that are written out in a turn of the loop; a turn costs as much as some of them. */
  readonly written: number;
  readonly term: (sum: string) => string;
}

/** Chains of multiply-adds. What is stored stays zero, which no compiler sees. */
function arithmetic({ type, chains: count, written, term }: Arithmetic, threads: number): Probe {
  const terms = 256;
  const width = type === "f32" ? 1 : 4;
  const chains = Array.from({ length: count }, (_, k) => `a${k}`);
  const turn = Array.from({ length: written }, () => chains.map((a) => `    ${a} = ${term(a)};`)).flat();
  return {
    shader: shader(`multiply_add_${count}_${type}`, ["read_write"], `@group(0) @binding(1) var<storage, read_write> data: array<${type}>;
@compute @workgroup_size(${group})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let m = data[id.x] + 0.5;
  let b = data[id.x] + 0.25;
${chains.map((a, k) => `  var ${a} = b * ${k + 1}.0;`).join("\n")}
  for (var turn = 0u; turn < ${terms / written}u; turn++) {
${turn.join("\n")}
  }
  data[id.x] = min(${chains.join(" + ")}, ${type}(0.0));
}`),
    slices: [{ buffer: 0, offset: 0, bytes: threads * width * 4 }], groups: threads / group, amount: threads * width * terms * count * 2,
  };
}

const nowhere: Provenance = { file: "", line: 0, column: 0, path: "" };

const shader = (name: string, access: Shader["access"], wgsl: string): Shader => ({ name, wgsl, uniforms: false, access });

/** How much the probe does in a second, at best. */
async function fastest(device: Device, probe: Probe): Promise<number> {
  for (let count = 1; ; ) {
    const session = await Session.create(device, planOf(probe, count));
    try {
      const time = async (): Promise<number> => {
        const started = performance.now();
        await session.run();
        await device.idle("while the device's speed was measured");
        return performance.now() - started;
      };
      // The first run warms up.
      await time();
      let least = await time();
      if (least >= long || count === launches) {
        for (let run = 1; run < runs; run++) least = Math.min(least, await time());
        return (1000 * count * probe.amount) / least;
      }
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
