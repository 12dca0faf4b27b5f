// Kernels to a plan: buffers, bindings, shaders shared by equal text, steps in order, and the named ports.

import { flopsAt, flopsOf } from "../ir/flops.ts";
import type { Expr } from "../ir/expr.ts";
import { walk } from "../ir/rewrite.ts";
import { shapeOf, type Origin, type Tensor, type Weight } from "../ir/graph.ts";
import type { Definition, Kernel } from "../kernels/kernel.ts";
import type { Loops } from "../kernels/loops.ts";
import type { Launch } from "../kernels/ranges.ts";
import { invariant } from "../report/diagnostic.ts";
import { lineColumn } from "../source.ts";
import type { Binding, Emitted } from "../wgsl/emit.ts";
import { Texts } from "../wgsl/texts.ts";
import type { Pack } from "./layout.ts";
import type { Stays } from "./lives.ts";
import { assign } from "./memory.ts";
import type { BufferSpec, Cost, Kept, Phase, Plan, Port, Profile, Provenance, Shader, Slice, Start, Step, Uniform } from "./plan.ts";
import { bytesOf, elementBytes, type Storage } from "./storage.ts";

/** What lies in memory with its axes in another order than it has by its name: the declared axis at each place. */
export interface Ordered {
  readonly order?: readonly number[];
}

/** What a plan is made from, besides its kernels. */
export interface Job {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  /** Of inputs whose axes lie in another order. */
  readonly inputOrders?: ReadonlyMap<Tensor, readonly number[]>;
  readonly weights: readonly (Weight & Ordered)[];
  readonly states: readonly { readonly path: string; readonly tensor: Tensor; readonly start: Start }[];
  readonly outputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  readonly packs: readonly Pack[];
  /** What the loss is multiplied by in half precision. */
  readonly scale?: Tensor | undefined;
  /** Values replaced by the step, and when: the kernel of `next` writes where `now` lies. */
  readonly updates: readonly { readonly now: Tensor; readonly next: Tensor; readonly phase: Phase }[];
  /** Parts of flat values that are ports of their own, and the number they begin at. */
  readonly memories: readonly ({ readonly path: string; readonly flat: Tensor; readonly offset: number; readonly shape: readonly number[]; readonly start: number } & Ordered)[];
}

/** Launches come in the order in which they run; `stays` tells where their transient values lie. */
export function assemble(job: Job, launches: readonly Launch[], { stays }: Stays, storage: Storage, phases: ReadonlyMap<Tensor, Phase>, profile: Profile): Plan {
  const { inPlace } = storage;

  // Storage: kept values have buffers of their own, the rest share by liveness.
  const buffers: BufferSpec[] = [];
  const slices = new Map<Tensor, Slice>();
  const keep = (t: Tensor): Slice => {
    const known = slices.get(t);
    if (known) return known;
    const buffer = buffers.push({ name: t.name, bytes: bytesOf(t), kept: true, origin: provenance(t.origin) }) - 1;
    const slice = { buffer, offset: 0, bytes: bytesOf(t) };
    slices.set(t, slice);
    return slice;
  };
  for (const p of job.packs) {
    const whole = keep(p.flat);
    for (const part of p.parts) slices.set(part.tensor, { buffer: whole.buffer, offset: part.offset * 4, bytes: bytesOf(part.tensor) });
  }
  for (const t of job.inputs) keep(t);
  for (const s of job.states) keep(s.tensor);
  for (const u of job.updates) keep(u.now);
  for (const [next, now] of inPlace) slices.set(next, keep(now));
  for (const o of job.outputs) keep(o.tensor);
  const readBeside = new Map(launches.flatMap(({ loops }) => loops.writes.map((t) => [t, loops.reads])));
  const number = new Map(stays.flatMap(({ tensors }, i) => tensors.map((t) => [t, i])));
  const assigned = assign(stays.map(({ tensors, first, last }, i) => {
    const apart = tensors.flatMap((t) => (readBeside.get(t) ?? []).flatMap((r) => number.get(r) ?? []));
    return { bytes: Math.max(...tensors.map(bytesOf)), first, last, apart: apart.filter((k) => k !== i) };
  }));
  const base = buffers.length;
  const holders = new Map<number, Tensor>();
  stays.forEach(({ tensors }, i) => {
    const k = assigned.buffer[i] as number;
    for (const t of tensors) {
      const holder = holders.get(k);
      if (!holder || bytesOf(t) > bytesOf(holder)) holders.set(k, t);
      slices.set(t, { buffer: base + k, offset: assigned.offset[i] as number, bytes: bytesOf(t) });
    }
  });
  assigned.bytes.forEach((bytes, k) => {
    const holder = holders.get(k) as Tensor;
    buffers.push({ name: holder.name, bytes, kept: false, origin: provenance(holder.origin) });
  });

  const uniforms = uniformsOf(launches);
  const texts = new Texts(uniforms, profile);
  const work = new Map<string, number>();
  const shaders: Shader[] = [];
  const byText = new Map<string, number>();
  const numbers = new Map<Emitted, number>();
  const steps: Step[] = launches.flatMap(({ kernels, loops }) => {
    const { root } = kernels[0]?.results[0] as Definition;
    const { bindings, bound } = bind(loops, texts.vectors(loops), slices, profile);
    // Few invocations are dealt out in small groups, so that every core gets some.
    const size = loops.team?.size ?? Math.min(Math.max(loops.invocations < 1024 ? 16 : 64, loops.subgroup ?? 1), profile.maxInvocations);
    const made = texts.text(loops, bindings, size);
    let shader = numbers.get(made);
    if (shader === undefined) {
      const access = bindings.flatMap((b) => Array.from({ length: b.parts }, () => b.access));
      const key = `${access.join()}\n${made.wgsl}`;
      shader = byText.get(key) ?? shaders.push({ name: loops.name, wgsl: made.wgsl, uniforms: made.uniforms, access, ...(profile.ranges ? { ranges: true } : {}) }) - 1;
      byText.set(key, shader);
      numbers.set(made, shader);
    }
    const dispatch: Extract<Step, { kind: "dispatch" }> = {
      kind: "dispatch", name: loops.name, shader, bindings: bound, groups: made.groups,
      phase: phases.get(root) ?? "forward", cost: costOf(kernels, loops, work), origin: provenance(root.origin),
    };
    return loops.adds ? [{ kind: "clear", slice: slices.get(root) as Slice, phase: dispatch.phase }, dispatch] : [dispatch];
  });
  for (const u of job.updates) {
    if (inPlace.has(u.next)) continue;
    steps.push({ kind: "copy", from: slices.get(u.next) as Slice, to: slices.get(u.now) as Slice, phase: u.phase });
  }

  const port = (name: string, t: Tensor): Port => ({ name, shape: shapeOf(t), slice: slices.get(t) as Slice });
  const kept: Kept[] = job.states.map((s) => ({ ...port(s.path, s.tensor), start: s.start }));
  for (const m of job.memories) {
    const whole = slices.get(m.flat) as Slice;
    const bytes = m.shape.reduce((n, e) => n * e, 1) * 4;
    const slice = { buffer: whole.buffer, offset: m.offset * 4, bytes };
    kept.push({ name: m.path, shape: m.shape, slice, start: { kind: "constant", value: m.start }, ...inOrder(m) });
  }
  return {
    name: job.name, buffers, shaders, steps, uniforms, uniformBytes: Math.ceil((uniforms.length * 4) / 16) * 16,
    inputs: job.inputs.map((t) => {
      const order = job.inputOrders?.get(t);
      return { ...port(t.name, t), shape: declared(shapeOf(t), order), ...(order ? { order } : {}) };
    }),
    outputs: job.outputs.map((o) => port(o.name, o.tensor)),
    weights: job.weights.map((w) => ({ ...port(w.path, w.tensor), shape: declared(shapeOf(w.tensor), w.order), start: w.start, ...inOrder(w) })),
    states: kept,
    bytes: buffers.reduce((n, b) => n + b.bytes, 0),
  };
}

const inOrder = ({ order }: Ordered): Ordered => (order ? { order } : {});

/** The declared shape of what has this shape in memory. */
function declared(shape: readonly number[], order: readonly number[] | undefined): readonly number[] {
  if (!order) return shape;
  return shape.map((_, axis) => shape[order.indexOf(axis)] as number);
}

/** `known` has the operations of kernels by their keys: equal ones do not count again. */
function costOf(kernels: readonly Kernel[], loops: Loops, known: Map<string, number>): Cost {
  let flops = 0;
  for (const k of kernels) {
    let own = known.get(k.key);
    if (own === undefined) known.set(k.key, own = flopsIn(k));
    flops += own;
  }
  return { bytes: [...new Set([...loops.reads, ...loops.writes])].reduce((n, t) => n + bytesOf(t), 0), flops };
}

function flopsIn({ axes, results, covered }: Kernel): number {
  const [first] = results;
  return first && first.root.type === "wide" ? flopsOf(first.root, first.body) : flopsAt(axes, axes, results.map((r) => r.body), covered);
}

/** Bindings of a kernel: one per stretch of memory, in parts where the adapter binds less at once. */
function bind(loops: Loops, vectors: ReadonlySet<Tensor>, slices: ReadonlyMap<Tensor, Slice>, profile: Profile): { bindings: Binding[]; bound: Slice[] } {
  const groups: { readonly slice: Slice; readonly tensors: Tensor[] }[] = [];
  for (const t of [...loops.writes, ...loops.reads]) {
    const slice = slices.get(t);
    invariant(slice, () => `${t.name} has no memory`);
    const group = groups.find((g) => g.slice.buffer === slice.buffer && g.slice.offset === slice.offset && g.slice.bytes === slice.bytes);
    if (!group) groups.push({ slice, tensors: [t] });
    else if (!group.tensors.includes(t)) group.tensors.push(t);
  }
  const written = new Set(loops.writes.map((t) => slices.get(t)?.buffer));
  const bindings: Binding[] = [];
  const bound: Slice[] = [];
  for (const { slice, tensors } of groups) {
    const limit = Math.floor(profile.maxBinding / 256) * 256;
    const parts = Math.ceil(slice.bytes / limit);
    const part = parts === 1 ? slice.bytes : limit;
    const half = tensors.some((t) => t.half);
    invariant(tensors.every((t) => t.half === half), () => `halves and others share the memory of ${tensors.map((t) => t.name).join(", ")}`);
    // One buffer may not be bound both to read and to write, even at different places.
    bindings.push({
      tensors, access: written.has(slice.buffer) ? "read_write" : "read",
      part: part / elementBytes(tensors[0] as Tensor), parts, vector: tensors.some((t) => vectors.has(t)), half,
    });
    for (let p = 0; p < parts; p++) {
      bound.push({ buffer: slice.buffer, offset: slice.offset + p * part, bytes: Math.min(part, slice.bytes - p * part) });
    }
  }
  return { bindings, bound };
}

function uniformsOf(launches: readonly Launch[]): Uniform[] {
  const values = new Map<string, number>();
  for (const { kernels, loops } of launches) if (loops.dials.length > 0) for (const k of kernels) collectDials(k, values);
  const names = [...new Set(launches.flatMap((l) => l.loops.dials))].sort();
  const fields: { name: string; type: "f32" | "u32"; value: number }[] = [
    { name: "draw_step", type: "u32", value: 0 }, { name: "draw_seed", type: "u32", value: 0 },
    ...names.map((name) => ({ name, type: "f32" as const, value: values.get(name) ?? 0 })),
  ];
  return fields.map((f, i) => ({ ...f, offset: i * 4 }));
}

function collectDials(kernel: Kernel, values: Map<string, number>): void {
  const seen = new Set<Expr>();
  for (const { body } of kernel.results) {
    walk(body, (e) => {
      if (e.kind === "dial") values.set(e.dial.name, e.dial.value);
    }, seen);
  }
}

/** A place in the text, for the runtime's messages. */
export function provenance(origin: Origin): Provenance {
  if (!origin.span) return { file: "", line: 0, column: 0, path: origin.path };
  const { line, column } = lineColumn(origin.span.file, origin.span.start);
  return { file: origin.span.file.path, line, column, path: origin.path };
}
