// Kernels to a plan: buffers, bindings, shaders shared by equal text, steps in order, and the named ports.

import { flopsAt, flopsOf } from "../ir/flops.ts";
import type { Expr } from "../ir/expr.ts";
import { walk } from "../ir/rewrite.ts";
import { shapeOf, type Origin, type Tensor, type Weight } from "../ir/graph.ts";
import type { Definition, Kernel } from "../kernels/kernel.ts";
import type { Loops } from "../kernels/loops.ts";
import { invariant } from "../report/diagnostic.ts";
import { lineColumn } from "../source.ts";
import type { Binding } from "../wgsl/emit.ts";
import { Texts } from "../wgsl/texts.ts";
import type { Pack } from "./layout.ts";
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

/** Kernels come in the order in which they run. */
export function assemble(job: Job, kernels: readonly { readonly kernel: Kernel; readonly loops: Loops }[], storage: Storage, phases: ReadonlyMap<Tensor, Phase>, profile: Profile): Plan {
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
  const life = new Map<Tensor, { first: number; last: number }>();
  kernels.forEach(({ loops }, at) => {
    for (const t of [...loops.writes, ...loops.reads]) {
      const l = life.get(t);
      if (l) l.last = at;
      else life.set(t, { first: at, last: at });
    }
  });
  for (const t of storage.atEnd) {
    const l = life.get(t);
    if (l) l.last = kernels.length;
  }
  const transient = [...life].filter(([t]) => !storage.own.has(t));
  const number = new Map(transient.map(([t], i) => [t, i]));
  const reads = new Map(kernels.flatMap(({ loops }) => loops.writes.map((t) => [t, loops.reads])));
  const assigned = assign(transient.map(([t, l]) => ({ bytes: bytesOf(t), ...l, apart: (reads.get(t) ?? []).flatMap((r) => number.get(r) ?? []) })));
  const base = buffers.length;
  const holders = new Map<number, Tensor>();
  transient.forEach(([t], i) => {
    const k = assigned.buffer[i] as number;
    const holder = holders.get(k);
    if (!holder || bytesOf(t) > bytesOf(holder)) holders.set(k, t);
    slices.set(t, { buffer: base + k, offset: assigned.offset[i] as number, bytes: bytesOf(t) });
  });
  assigned.bytes.forEach((bytes, k) => {
    const holder = holders.get(k) as Tensor;
    buffers.push({ name: holder.name, bytes, kept: false, origin: provenance(holder.origin) });
  });

  const uniforms = uniformsOf(kernels.map((k) => k.loops), kernels);
  const texts = new Texts(uniforms, profile);
  const work = new Map<Loops, number>();
  const shaders: Shader[] = [];
  const byText = new Map<string, number>();
  const steps: Step[] = kernels.flatMap(({ kernel, loops }) => {
    const { root } = kernel.results[0] as Definition;
    const { bindings, bound } = bind(loops, texts.vectors(loops), slices, profile);
    // Few invocations are dealt out in small groups, so that every core gets some.
    const size = loops.team?.size ?? Math.min(loops.invocations < 1024 ? 16 : 64, profile.maxInvocations);
    const made = texts.text(loops, bindings, size);
    const access = bindings.flatMap((b) => Array.from({ length: b.parts }, () => b.access));
    const key = `${access.join()}\n${made.wgsl}`;
    let shader = byText.get(key);
    if (shader === undefined) {
      shader = shaders.push({ name: kernel.name, wgsl: made.wgsl, uniforms: made.uniforms, access, ...(profile.ranges ? { ranges: true } : {}) }) - 1;
      byText.set(key, shader);
    }
    const dispatch: Extract<Step, { kind: "dispatch" }> = {
      kind: "dispatch", name: kernel.name, shader, bindings: bound, groups: made.groups,
      phase: phases.get(root) ?? "forward", cost: costOf(kernel, loops, work), origin: provenance(root.origin),
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

/** `known` has the operations of launches whose program others run too. */
function costOf(kernel: Kernel, loops: Loops, known: Map<Loops, number>): Cost {
  const program = loops.like ?? loops;
  const flops = known.get(program) ?? flopsIn(kernel);
  known.set(program, flops);
  return { bytes: [...new Set([...loops.reads, ...loops.writes])].reduce((n, t) => n + bytesOf(t), 0), flops };
}

function flopsIn({ axes, results, covered }: Kernel): number {
  const [first] = results;
  return first && first.root.type === "wide" ? flopsOf(first.root, first.body) : flopsAt(axes, axes, results.map((r) => r.body), covered);
}

/** Bindings of a kernel: one per stretch of memory, in parts where the adapter binds less at once. */
function bind(loops: Loops, vectors: ReadonlySet<Tensor>, slices: ReadonlyMap<Tensor, Slice>, profile: Profile): { bindings: Binding[]; bound: Slice[] } {
  const groups = new Map<string, { slice: Slice; tensors: Tensor[] }>();
  for (const t of [...loops.writes, ...loops.reads]) {
    const slice = slices.get(t);
    invariant(slice, () => `${t.name} has no memory`);
    const key = `${slice.buffer}:${slice.offset}:${slice.bytes}`;
    const group = groups.get(key);
    if (!group) groups.set(key, { slice, tensors: [t] });
    else if (!group.tensors.includes(t)) group.tensors.push(t);
  }
  const written = new Set(loops.writes.map((t) => slices.get(t)?.buffer));
  const bindings: Binding[] = [];
  const bound: Slice[] = [];
  for (const { slice, tensors } of groups.values()) {
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

function uniformsOf(all: readonly Loops[], kernels: readonly { readonly kernel: Kernel }[]): Uniform[] {
  const values = new Map<string, number>();
  for (const { kernel } of kernels) collectDials(kernel, values);
  const names = [...new Set(all.flatMap((l) => l.dials))].sort();
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
