// Schedules and lowers launches; of those that differ in nothing but their tensors and axes only the first.

import type { Axis } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import type { Choose, Group, Kernel, Lanes, Schedule } from "./kernel.ts";
import type { Loops, Statement, Value } from "./loops.ts";
import { invariant } from "../report/diagnostic.ts";
import { digest, signatureOf, type Signature } from "./signature.ts";
import { lower, schedules } from "./strategies/choose.ts";

/** A launch with its schedule, and its program. */
export interface Made {
  readonly kernel: Kernel;
  readonly loops: Loops;
}

/** A step repeats its blocks: most of its launches have a twin. */
export class Twins {
  readonly #lanes: Lanes;
  readonly #choose: Choose | undefined;
  readonly #first = new Map<string, Made & { readonly signature: Signature }>();

  constructor(lanes: Lanes, choose?: Choose) {
    this.#lanes = lanes;
    this.#choose = choose;
  }

  of(group: Group, signature = signatureOf(group)): Made {
    const first = this.#first.get(signature.key);
    if (first?.signature === signature) return first;
    const name = [...new Set(group.results.map((r) => r.root))].map((t) => t.name).join(", ");
    if (first) {
      const kernel = { ...group, name, key: first.kernel.key, schedule: renamedSchedule(first.kernel.schedule, between(first.signature.axes, signature.axes)) };
      return { kernel, loops: twin(name, first.loops, between(first.signature.tensors, signature.tensors)) };
    }
    const key = digest(signature.key);
    const all = schedules(group, this.#lanes, this.#choose !== undefined);
    const chosen = all[this.#choose ? wished(this.#choose, key, all.map((s) => scheduleText(s, signature.axes))) : 0];
    invariant(chosen, () => `${name} cannot run`);
    const kernel = { ...group, name, key, schedule: chosen };
    const made = { kernel, loops: lower(kernel) };
    this.#first.set(signature.key, { ...made, signature });
    return made;
  }
}

/** Which of the offered schedules is asked for; the first where none is. */
function wished(choose: Choose, key: string, offered: readonly string[]): number {
  const wish = choose(key, offered);
  return wish === undefined ? 0 : Math.max(0, offered.indexOf(wish));
}

function between<T>(from: readonly T[], to: readonly T[]): (x: T) => T {
  return (x) => to[from.indexOf(x)] as T;
}

/** A schedule in a text that is the same for launches of one signature. */
function scheduleText(s: Schedule, axes: readonly Axis[]): string {
  const at = (list: Iterable<Axis>): string => [...list].map((a) => axes.indexOf(a)).join(",");
  if (s.strategy === "contract") return `contract ${s.block.rows}x${s.block.columns} by ${s.block.height}x${s.block.width}${s.by ? ` units ${s.by.unit.component} ${s.by.unit.m}x${s.by.unit.n}x${s.by.unit.k}` : ""}`;
  if (s.strategy === "scatter") return `scatter ${at(s.parallel)}`;
  return `tile ${[...s.tile].map(([a, w]) => `${w}@${axes.indexOf(a)}`).join(",")} written ${at(s.unrolled)} fours ${s.vector ? at([s.vector]) : ""}${s.subgroup ? ` subgroup ${at(s.subgroup.along)}` : ""}`;
}

function renamedSchedule(s: Schedule, now: (a: Axis) => Axis): Schedule {
  switch (s.strategy) {
    case "map": return {
      ...s, tile: new Map([...s.tile].map(([a, w]) => [now(a), w])), unrolled: new Set([...s.unrolled].map(now)), vector: s.vector && now(s.vector), subgroup: s.subgroup && { ...s.subgroup, along: s.subgroup.along.map(now) },
    };
    case "scatter": return { ...s, parallel: s.parallel.map(now), serial: s.serial.map(now) };
    case "contract": return s;
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
      case "part": case "mate": return { ...v, of: value(v.of) };
      case "spread": return { ...v, from: now(v.from), at: value(v.at) };
      case "draw": case "staged": return { ...v, at: value(v.at) };
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
      case "stage": return { ...s, at: value(s.at), value: value(s.value) };
      case "fetch": case "spill": return { ...s, at: value(s.at) };
      case "barrier": case "matrix": case "multiply": return s;
      default: return s satisfies never;
    }
  };
  return list.map(statement);
}
