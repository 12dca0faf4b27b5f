// Runs a plan's loops on the processor, over the plan's own buffers, with reals in float64 and whole numbers in 32 bits: what the device does, but for rounding.

import { drawValue } from "../../compiler/ir/draw.ts";
import { binade, erf, nearestHalf, roundEven, type Primitive } from "../../compiler/ir/expr.ts";
import type { Tensor } from "../../compiler/ir/graph.ts";
import { sizeOf } from "../../compiler/ir/graph.ts";
import { extentsOf, type Loops, type Matrix, type Statement, type Value } from "../../compiler/kernels/loops.ts";
import { isVector } from "../../compiler/kernels/loops.ts";
import type { Compiled } from "../../compiler/pipeline.ts";
import type { Plan, Port, Slice, Step } from "../../compiler/plan/plan.ts";
import { bytesOf } from "../../compiler/plan/storage.ts";

/** A buffer: one number for every two bytes, of which a value of more bytes uses the first. */
type Memory = Float64Array;
type Dispatch = Extract<Step, { kind: "dispatch" }>;

/** Element `at` of a tensor, the row-major one. What lies outside is NaN, whoever reads it, and may not be written. */
interface Store {
  readonly load: (at: number) => number;
  readonly store: (at: number, value: number) => void;
}

/** What a launch is given: the storage of each tensor, the values of the dials, and which invocations run. */
interface Given {
  readonly stores: readonly Store[];
  readonly dial: (name: string) => number;
  readonly first: number;
  readonly end: number;
}

/** Runs a plan once on `inputs` by name, and gives its outputs by name. Every buffer holds NaN before, and so does what lies outside a tensor. */
export function execute({ plan, loops, over }: Pick<Compiled, "plan" | "loops" | "over">, inputs: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> {
  const memory = plan.buffers.map(({ bytes }) => new Float64Array(bytes / 2).fill(NaN));
  const stretch = ({ buffer, offset, bytes }: Slice): Float64Array => (memory[buffer] as Memory).subarray(offset / 2, (offset + bytes) / 2);
  for (const port of plan.inputs) {
    const [to, values] = [stretch(port.slice), inputs.get(port.name) ?? []];
    inMemory(port).forEach((place, i) => (to[2 * place] = values[i] ?? NaN));
  }
  const dials = new Map(plan.uniforms.map((u) => [u.name, u.value]));
  let launch = 0;
  for (const step of plan.steps) {
    if (step.kind === "clear") stretch(step.slice).fill(0);
    else if (step.kind === "copy") stretch(step.to).set(stretch(step.from));
    else {
      const program = loops[launch++] as Loops;
      const places = placesOf(plan, step, program, over);
      const stores = [...program.reads, ...program.writes].map((t) => storeOf(t, stretch(places.get(t) as Slice)));
      compile(program)({ stores, dial: (name) => dials.get(name) ?? NaN, first: 0, end: program.invocations });
    }
  }
  if (launch !== loops.length) throw new Error(`${launch} launches of ${loops.length} kernels`);
  return new Map(plan.outputs.map((port) => {
    const from = stretch(port.slice);
    return [port.name, Float64Array.from(inMemory(port), (place) => from[2 * place] ?? NaN)];
  }));
}

/** What one invocation of a kernel without dials stores where; `load` says what it finds. For tensors that no machine has room for. */
export function trace(program: Loops, id: number, load: (t: Tensor, at: number) => number): readonly { readonly into: Tensor; readonly at: number; readonly value: number }[] {
  const stored: { readonly into: Tensor; readonly at: number; readonly value: number }[] = [];
  const stores = [...program.reads, ...program.writes].map((t) => inside(t, { load: (at) => load(t, at), store: (at, value) => stored.push({ into: t, at, value }) }));
  compile(program)({ stores, dial: () => NaN, first: id, end: id + 1 });
  return stored;
}

/** A tensor's elements in its memory; halves are rounded to as they are stored. */
function storeOf(t: Tensor, memory: Memory): Store {
  const places = t.half ? 1 : t.type === "wide" ? 4 : 2;
  return inside(t, {
    load: (at) => memory[places * at] as number,
    store: (at, value) => {
      memory[places * at] = t.half ? nearestHalf(value) : value;
    },
  });
}

function inside(t: Tensor, { load, store }: Store): Store {
  const size = sizeOf(t);
  return {
    load: (at) => (at >= 0 && at < size ? load(at) : NaN),
    store: (at, value) => {
      if (!(at >= 0 && at < size)) throw new Error(`a store at ${at} of the ${size} of ${t.name}`);
      store(at, Number(value));
    },
  };
}

/** Where each element of a port, in its declared order, lies in its memory. */
function inMemory({ shape, order = shape.map((_, k) => k) }: Port): readonly number[] {
  const steps = shape.map((_, k) => order.slice(order.indexOf(k) + 1).reduce((n, other) => n * (shape[other] ?? 1), 1));
  return shape.reduce<readonly number[]>((all, extent, k) => all.flatMap((at) => Array.from({ length: extent }, (_, i) => at + i * (steps[k] ?? 1))), [0]);
}

/** Where the tensors of a launch lie, from its bindings, which come in the order of what it writes and reads. */
function placesOf(plan: Plan, step: Dispatch, program: Loops, over: ReadonlyMap<Tensor, Tensor>): ReadonlyMap<Tensor, Slice> {
  const places = new Map<Tensor, Slice>();
  let next = 0;
  const replaced = new Map(program.writes.flatMap((w): readonly (readonly [Tensor, Tensor])[] => {
    const old = over.get(w);
    return old ? [[old, w]] : [];
  }));
  for (const t of new Set([...program.writes, ...program.reads])) {
    const by = replaced.get(t);
    if (by) {
      places.set(t, places.get(by) as Slice);
      continue;
    }
    const first = step.bindings[next] as Slice;
    let bytes = 0;
    while (bytes < bytesOf(t)) {
      const part = step.bindings[next++];
      if (!part || part.buffer !== first.buffer || part.offset !== first.offset + bytes) throw new Error(`\`${step.name}\` binds ${t.name} in pieces that do not follow each other`);
      bytes += part.bytes;
    }
    if (bytes !== bytesOf(t)) throw new Error(`\`${step.name}\` binds ${bytes} bytes of ${t.name}, which has ${bytesOf(t)}`);
    places.set(t, { ...first, bytes });
  }
  if (next !== step.bindings.length) throw new Error(`\`${step.name}\` binds more than it uses`);
  for (const w of program.writes) {
    const mine = places.get(w) as Slice;
    for (const [t, s] of places) {
      if (replaced.get(t) === w) continue;
      const apart = s.buffer !== mine.buffer || s.offset >= mine.offset + mine.bytes || mine.offset >= s.offset + s.bytes;
      if (t !== w && !apart) throw new Error(`\`${step.name}\` writes ${w.name} over ${t.name}`);
      if (t !== w && s.buffer === mine.buffer && !program.writes.includes(t)) throw new Error(`\`${step.name}\` reads ${t.name} in the buffer it writes ${w.name} to`);
    }
  }
  if (step.groups[0] * step.groups[1] * step.groups[2] * sizeOfGroup(plan, step) < program.invocations) throw new Error(`\`${step.name}\` has too few groups`);
  return places;
}

const sizeOfGroup = (plan: Plan, step: Dispatch): number => Number(/@workgroup_size\((\d+)\)/.exec(plan.shaders[step.shader]?.wgsl ?? "")?.[1]);

const extents = (m: Matrix): string => extentsOf(m).join(", ");

type Program = (given: Given) => void;
const known = new WeakMap<Loops, Program>();
const lanes = [0, 1, 2, 3];

/** Loops as a JavaScript function; a vector is four variables. */
function compile(program: Loops): Program {
  const made = known.get(program);
  if (made) return made;
  const tensors = [...program.reads, ...program.writes];
  const slot = (t: Tensor): number => {
    const found = tensors.indexOf(t);
    if (found < 0) throw new Error(`${program.name} uses ${t.name}, which it does not name`);
    return found;
  };
  const lines: string[] = [];
  const text = (v: Value, lane: number): string => {
    switch (v.kind) {
      case "number": return v.value < 0 || Object.is(v.value, -0) ? `(${v.value})` : String(v.value);
      case "local": return v.local.vector ? `${v.local.name}_${lane}` : v.local.name;
      case "uniform": return `g.dial(${JSON.stringify(v.name)})`;
      case "draw": return `s.draw(g.dial("draw_seed"), g.dial("draw_step"), ${v.site}, ${text(v.at, lane)})`;
      case "staged": return `${v.from.name}[4 * ${text(v.at, 0)} + ${lane}]`;
      case "pack": return text(v.parts[lane] as Value, 0);
      case "part": return text(v.of, v.lane);
      case "spread": return `s.spread(t${slot(v.from)}, ${text(v.at, 0)}, [${v.offsets.join(", ")}])`;
      case "mate": return `${text(v.of, 0)}[${v.mate}]`;
      case "load": {
        const at = v.vector ? `4 * ${text(v.at, 0)} + ${lane}` : text(v.at, lane);
        return `t${slot(v.from)}.load(${at})`;
      }
      case "apply": return applyText(v.fn, v.args.map((a) => text(a, lane)), v.type === "int");
      default: return v satisfies never;
    }
  };
  const set = (name: string, wide: boolean, value: Value, word: string): void => {
    // A vector's new values may depend on its old ones, but only lane by lane.
    for (const lane of wide ? lanes : [0]) lines.push(`${word}${wide ? `${name}_${lane}` : name} = ${text(value, lane)};`);
  };
  const put = (list: readonly Statement[]): void => {
    for (const s of list) {
      switch (s.kind) {
        case "for":
          lines.push(`for (let ${s.local.name} = 0; ${s.local.name} < ${s.extent}; ${s.local.name}++) {`);
          put(s.body);
          lines.push("}");
          break;
        case "if":
          lines.push(`if (${text(s.test, 0)}) {`);
          put(s.body);
          lines.push("}");
          break;
        case "let": set(s.local.name, s.local.vector || isVector(s.value), s.value, "const "); break;
        case "var": set(s.local.name, s.local.vector, s.value, "let "); break;
        case "set": set(s.local.name, s.local.vector, s.value, ""); break;
        case "store": {
          const into = (at: string, value: string): string => `t${slot(s.into)}.store(${at}, ${value});`;
          if (s.vector) for (const lane of lanes) lines.push(into(`4 * ${text(s.at, 0)} + ${lane}`, text(s.value, lane)));
          else lines.push(into(text(s.at, 0), text(s.value, 0)));
          break;
        }
        case "stage":
          for (const lane of lanes) {
            const value = text(s.value, lane);
            lines.push(`s.stage(${s.into.name}, 4 * ${text(s.at, 0)} + ${lane}, ${s.into.single === "f16" ? `s.half(${value})` : value});`);
          }
          break;
        case "barrier": lines.push("yield;"); break;
        case "matrix": lines.push(`const ${s.matrix.name} = s.zeros(${extents(s.matrix)});`); break;
        case "fetch":
          lines.push(`const ${s.matrix.name} = s.fetch(own, ${s.from.name}, ${text(s.at, 0)}, ${s.stride}, ${s.turned}, ${extents(s.matrix)});`);
          break;
        case "multiply": lines.push(`s.multiply(own, ${s.into.name}, ${s.left.name}, ${s.right.name}, ${s.into.unit.n}, ${s.into.unit.k});`); break;
        case "spill": lines.push(`s.spill(own, ${s.matrix.name}, ${s.into.name}, ${text(s.at, 0)}, ${s.stride}, ${s.matrix.unit.n});`); break;
        case "add": lines.push(`s.add(t${slot(s.into)}, ${text(s.at, 0)}, ${text(s.value, 0)});`); break;
        default: s satisfies never;
      }
    }
  };
  tensors.forEach((_, i) => lines.push(`const t${i} = g.stores[${i}];`));
  const { team, id } = program;
  if (team) {
    lines.push(`for (let ${id.name} = g.first / ${team.size}; ${id.name} < g.end / ${team.size}; ${id.name}++) {`);
    for (const s of team.staged) lines.push(`const ${s.name} = new Float64Array(${4 * s.fours}).fill(NaN);`);
    if (team.subgroup) lines.push(`const places = Array.from({ length: ${team.size / team.subgroup} }, () => []);`);
    lines.push(`s.together(${team.size}, function* (${team.member.name}) {`);
    if (team.subgroup) lines.push(`const own = s.mate(places, ${team.member.name}, ${team.subgroup});`);
    put(program.body);
    lines.push("});", "}");
  } else {
    lines.push(`for (let ${id.name} = g.first; ${id.name} < g.end; ${id.name}++) {`);
    if (program.subgroup) lines.push(`s.enter(${id.name}, ${program.subgroup}, g.end);`);
    put(program.body);
    lines.push("}");
    if (program.subgroup) lines.push("s.enter(0, 1, 0);");
  }
  const run = new Function("g", "s", lines.join("\n")) as (given: Given, s: typeof support) => void;
  const bound: Program = (given) => run(given, support);
  known.set(program, bound);
  return bound;
}

/** The places that the first invocation of a subgroup has loaded from, one after the other, and how many of them this one has. */
const abreast = { size: 1, places: [] as number[], met: 0, isFirst: true };

/** An invocation among those that use matrix units together: the first does the work, the others must name the same places. */
interface Mate {
  readonly isFirst: boolean;
  readonly places: number[];
  met: number;
}

/** Whether an invocation does the work at a place. */
function works(own: Mate, at: number): boolean {
  if (own.isFirst) own.places.push(at);
  else if (own.places[own.met] !== at) throw new Error(`an invocation of a subgroup has a matrix at ${at}, others at ${own.places[own.met]}`);
  own.met++;
  return own.isFirst;
}

const support = {
  mate: (places: readonly number[][], member: number, subgroup: number): Mate => ({ isFirst: member % subgroup === 0, places: places[Math.floor(member / subgroup)] ?? [], met: 0 }),
  zeros: (rows: number, columns: number): Float64Array => new Float64Array(rows * columns),
  /** A matrix, row by row. What lies outside of what is staged is NaN, and so is what nobody staged. */
  fetch: (own: Mate, from: Float64Array, at: number, stride: number, turned: boolean, rows: number, columns: number): Float64Array => {
    const made = new Float64Array(rows * columns);
    if (!works(own, at)) return made;
    return made.map((_, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns];
      return from[at + (turned ? column * stride + row : row * stride + column)] ?? NaN;
    });
  },
  multiply: (own: Mate, into: Float64Array, left: Float64Array, right: Float64Array, n: number, k: number): void => {
    if (!own.isFirst) return;
    for (let i = 0; i < into.length; i++) {
      for (let z = 0; z < k; z++) into[i] = (into[i] as number) + (left[Math.floor(i / n) * k + z] as number) * (right[z * n + (i % n)] as number);
    }
  },
  spill: (own: Mate, matrix: Float64Array, into: Float64Array, at: number, stride: number, columns: number): void => {
    if (works(own, at)) matrix.forEach((v, i) => support.stage(into, at + Math.floor(i / columns) * stride + (i % columns), v));
  },
  /** All of a subgroup go one way and load for each other at the same places. */
  enter: (id: number, size: number, end: number): void => {
    if (end % size !== 0) throw new Error(`${end} invocations in subgroups of ${size}`);
    if (abreast.met !== abreast.places.length) throw new Error(`an invocation of a subgroup loads ${abreast.met} times, others ${abreast.places.length}`);
    if (id % size === 0) abreast.places = [];
    Object.assign(abreast, { size, met: 0, isFirst: id % size === 0 });
  },
  /** What each of the subgroup loads. */
  spread: (from: Store, at: number, offsets: readonly number[]): readonly number[] => {
    if (offsets.length !== abreast.size) throw new Error(`${offsets.length} loads of a subgroup of ${abreast.size}`);
    if (abreast.isFirst) abreast.places.push(at);
    else if (abreast.places[abreast.met] !== at) throw new Error(`an invocation of a subgroup loads at ${at}, others at ${abreast.places[abreast.met]}`);
    abreast.met++;
    return offsets.map((o) => from.load(at + o));
  },
  erf, roundEven, binade, half: nearestHalf, draw: drawValue,
  add: (to: Store, at: number, value: number): void => to.store(at, to.load(at) + Math.trunc(value)),
  stage: (to: Float64Array, at: number, value: number): void => {
    if (!(at >= 0 && at < to.length)) throw new Error(`four at ${at} of ${to.length} staged`);
    to[at] = value;
  },
  /** Invocations that wait for each other at every barrier, and all come by the same ones. */
  together: (size: number, run: (member: number) => Generator<undefined, void>): void => {
    const members = Array.from({ length: size }, (_, member) => run(member));
    for (let ended = 0; ended === 0; ) {
      for (const m of members) ended += Number(m.next().done);
      if (ended > 0 && ended < size) throw new Error(`${ended} of ${size} passed a barrier that the others wait at`);
    }
  },
  /** What a real becomes as a whole number: the nearest that there is. */
  whole: (v: number): number => Math.min(Math.max(v, -(2 ** 31)), 2 ** 31 - 1) | 0,
};

function applyText(fn: Primitive, v: readonly string[], isInt: boolean): string {
  const [a, b, c] = v as [string, string, string];
  const wrapped = isInt ? " | 0" : "";
  switch (fn) {
    case "add": return `(${a} + ${b}${wrapped})`;
    case "sub": return `(${a} - ${b}${wrapped})`;
    case "mul": return isInt ? `Math.imul(${a}, ${b})` : `(${a} * ${b})`;
    case "div": return `(${a} / ${b})`;
    case "idiv": return `(${a} / ${b} | 0)`;
    case "imod": return `(${a} % ${b})`;
    case "neg": return `(-${a}${wrapped})`;
    case "erf": return `s.erf(${a})`;
    case "round": return `s.whole(s.roundEven(${a}))`;
    case "floor": case "trunc": return `s.whole(Math.${fn}(${a}))`;
    case "binade": case "half": return `s.${fn}(${a})`;
    case "select": return `(${a} ? ${b} : ${c})`;
    case "eq": return `(${a} === ${b})`;
    case "ne": return `(${a} !== ${b})`;
    case "lt": return `(${a} < ${b})`;
    case "le": return `(${a} <= ${b})`;
    case "and": return `(${a} && ${b})`;
    case "or": return `(${a} || ${b})`;
    case "not": return `!${a}`;
    case "rsqrt": return `(1 / Math.sqrt(${a}))`;
    case "real": case "hold": return a;
    case "min": case "max": case "abs": case "pow": case "exp": case "log": case "sqrt": case "sin": case "cos": case "tanh":
      return `Math.${fn}(${v.join(", ")})`;
    case "widen": throw new Error("a wide number outside a sum");
    default: return fn satisfies never;
  }
}
