// Schedules and lowers launches; of those that differ in nothing but their tensors and axes only the first.

import type { Axis } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import type { Group, Kernel, Lanes, Schedule } from "./kernel.ts";
import type { Loops, Statement, Value } from "./loops.ts";
import { signatureOf, type Signature } from "./signature.ts";
import { lower, schedule } from "./strategies/choose.ts";

interface Made {
  readonly kernel: Kernel;
  readonly loops: Loops;
}

/** A step repeats its blocks: most of its launches have a twin. */
export class Twins {
  readonly #lanes: Lanes;
  readonly #first = new Map<string, Made & { readonly signature: Signature }>();

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
  }

  of(group: Group): Made {
    const name = group.results.map((r) => r.root.name).join(", ");
    const signature = signatureOf(group);
    const first = this.#first.get(signature.key);
    if (first) {
      const kernel = { ...group, name, schedule: renamedSchedule(first.kernel.schedule, between(first.signature.axes, signature.axes)) };
      return { kernel, loops: twin(name, first.loops, between(first.signature.tensors, signature.tensors)) };
    }
    const kernel = { ...group, name, schedule: schedule(group, this.#lanes) };
    const made = { kernel, loops: lower(kernel) };
    this.#first.set(signature.key, { ...made, signature });
    return made;
  }
}

function between<T>(from: readonly T[], to: readonly T[]): (x: T) => T {
  const by = new Map(from.map((x, i) => [x, to[i] as T]));
  return (x) => by.get(x) as T;
}

function renamedSchedule(s: Schedule, now: (a: Axis) => Axis): Schedule {
  switch (s.strategy) {
    case "map": return {
      ...s, tile: new Map([...s.tile].map(([a, w]) => [now(a), w])), unrolled: new Set([...s.unrolled].map(now)), vector: s.vector && now(s.vector),
    };
    case "scatter": return { ...s, parallel: s.parallel.map(now), serial: s.serial.map(now) };
    default: return s satisfies never;
  }
}

/** The same program with other tensors; its statements are only written down for who looks at them. */
function twin(name: string, first: Loops, now: (t: Tensor) => Tensor): Loops {
  let body: readonly Statement[] | undefined;
  return {
    ...first, name, reads: first.reads.map(now), writes: first.writes.map(now), like: first,
    get body() {
      return body ??= renamed(first.body, now);
    },
  };
}

function renamed(list: readonly Statement[], now: (t: Tensor) => Tensor): readonly Statement[] {
  const known = new Map<Value, Value>();
  const value = (v: Value): Value => {
    const before = known.get(v);
    if (before) return before;
    const made = other(v);
    known.set(v, made);
    return made;
  };
  const other = (v: Value): Value => {
    switch (v.kind) {
      case "load": return { ...v, from: now(v.from), at: value(v.at) };
      case "apply": return { ...v, args: v.args.map(value) };
      case "pack": return { ...v, parts: v.parts.map(value) };
      case "part": return { ...v, of: value(v.of) };
      case "draw": return { ...v, at: value(v.at) };
      case "number": case "local": case "uniform": return v;
      default: return v satisfies never;
    }
  };
  const statement = (s: Statement): Statement => {
    switch (s.kind) {
      case "for": return { ...s, body: s.body.map(statement) };
      case "if": return { ...s, test: value(s.test), body: s.body.map(statement) };
      case "let": case "var": case "set": return { ...s, value: value(s.value) };
      case "store": case "add": return { ...s, into: now(s.into), at: value(s.at), value: value(s.value) };
      default: return s satisfies never;
    }
  };
  return list.map(statement);
}
