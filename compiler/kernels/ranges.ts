// The programs of several launches as one: each runs in a range of the invocations' numbers.

import type { Tensor } from "../ir/graph.ts";
import type { Kernel } from "./kernel.ts";
import { isVector, type Local, type Loops, type Statement, type Value } from "./loops.ts";

/** Kernels that one launch runs, each in a range of its invocations. */
export interface Launch {
  /** In the order of the ranges. */
  readonly kernels: readonly Kernel[];
  readonly loops: Loops;
  /** Why the second and later kernels are here, one by one. */
  readonly beside: readonly string[];
}

/** What running a program takes, in operations of one invocation or one lane. */
export interface Weight {
  /** Of an invocation that passes through all of it and turns no loop more than once. */
  readonly straight: number;
  /** Of all invocations together. */
  readonly work: number;
}

/** Ranges begin at multiples of a workgroup's size, so that all of it are in one: this one's, or of a smaller one where there are few invocations. */
const aligned = { least: 16, most: 64, few: 1024 };
/** Up to so many units of that size are dealt out in turns. */
const mostMixed = 4096;

const number = (value: number): Value => ({ kind: "number", value, type: "int" });

/** Puts programs into ranges; sets of programs that differ only in their tensors become twins. */
export class Ranges {
  readonly #isMixed: boolean;
  readonly #first = new Map<string, Loops>();
  readonly #numbers = new Map<Loops, number>();

  /** With `isMixed` neighbouring workgroups are in different ranges: processors give each core a stretch of them, and ranges are not equally dear. */
  constructor(isMixed: boolean) {
    this.#isMixed = isMixed;
  }

  /** The programs as one, the first in the first range. None works in teams or adds to what others add to. */
  of(parts: readonly Loops[]): Loops {
    const [only] = parts;
    if (only && parts.length === 1) return only;
    const [writes, reads] = [parts.flatMap((p) => p.writes), [...new Set(parts.flatMap((p) => p.reads))]];
    const name = parts.map((p) => p.name).join(", ");
    const key = `${parts.map((p) => this.#number(p)).join()} ${pattern(parts)}`;
    const like = this.#first.get(key);
    const subgroup = Math.max(1, ...parts.map((p) => p.subgroup ?? 1));
    const unit = Math.max(endOf(startsOf(parts, aligned.least)) < aligned.few ? aligned.least : aligned.most, subgroup);
    const starts = startsOf(parts, unit);
    const isMixed = this.#isMixed;
    const id: Local = { name: "invocation", type: "int", vector: false };
    let body: readonly Statement[] | undefined;
    const made: Loops = {
      name, reads, writes, id, adds: false, invocations: endOf(starts), dials: [...new Set(parts.flatMap((p) => p.dials))], draws: parts.some((p) => p.draws),
      ...(like ? { like } : {}), ...(subgroup > 1 ? { subgroup } : {}),
      get body() {
        const units = endOf(starts) / unit;
        const place: Local = { name: "place", type: "int", vector: false };
        return body ??= isMixed && units <= mostMixed
          ? [{ kind: "let", local: place, value: mixed(id, unit, units) }, ...parts.map((p, i) => inRange(p, place, starts[i] as number))]
          : parts.map((p, i) => inRange(p, id, starts[i] as number));
      },
    };
    if (!like) this.#first.set(key, made);
    return made;
  }

  #number(p: Loops): number {
    const program = p.like ?? p;
    const known = this.#numbers.get(program) ?? this.#numbers.size;
    this.#numbers.set(program, known);
    return known;
  }
}

/** Which of the tensors of some programs are the same. */
function pattern(parts: readonly Loops[]): string {
  const numbers = new Map<Tensor, number>();
  return parts.flatMap((p) => [...p.writes, ...p.reads].map((t) => {
    const known = numbers.get(t) ?? numbers.size;
    numbers.set(t, known);
    return known;
  })).join();
}

/** Where each range begins, and where the last ends. */
function startsOf(parts: readonly Loops[], unit: number): readonly number[] {
  const starts = [0];
  for (const p of parts) starts.push(endOf(starts) + Math.ceil(p.invocations / unit) * unit);
  return starts;
}

const endOf = (starts: readonly number[]): number => starts[starts.length - 1] ?? 0;

/** The place of an invocation where units are dealt out in turns: those of any stretch come from all of the ranges. */
function mixed(id: Local, unit: number, units: number): Value {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  let step = Math.max(1, Math.round(units * 0.618));
  while (divisor(step, units) > 1) step++;
  const whole: Value = { kind: "local", local: id, type: "int" };
  const of = (fn: "idiv" | "imod" | "mul" | "add", a: Value, b: Value): Value => ({ kind: "apply", fn, args: [a, b], type: "int" });
  return of("add", of("mul", of("imod", of("mul", of("idiv", whole, number(unit)), number(step)), number(units)), number(unit)), of("imod", whole, number(unit)));
}

function inRange(p: Loops, id: Local, start: number): Statement {
  const whole: Value = { kind: "local", local: id, type: "int" };
  const compared = (fn: "le" | "lt", a: Value, b: Value): Value => ({ kind: "apply", fn, args: [a, b], type: "bool" });
  const ends = compared("lt", whole, number(start + p.invocations));
  const test: Value = start === 0 ? ends : { kind: "apply", fn: "and", args: [compared("le", number(start), whole), ends], type: "bool" };
  const own: Value = start === 0 ? whole : { kind: "apply", fn: "sub", args: [whole, number(start)], type: "int" };
  return { kind: "if", test, body: [{ kind: "let", local: p.id, value: own }, ...p.body] };
}

/** Dear functions, and what a load takes. */
const dear: ReadonlySet<string> = new Set(["exp", "log", "erf", "pow", "sin", "cos", "tanh"]);
const cost = { load: 3, dear: 10, turn: 2, draw: 40 };

/** Estimates what a program takes. */
export function weigh(program: Loops): Weight {
  const of = (v: Value): number => {
    switch (v.kind) {
      case "number": case "local": case "uniform": return 0;
      case "load": return of(v.at) + cost.load * (v.vector ? 2 : 1);
      case "spread": return of(v.at) + cost.load;
      case "staged": return of(v.at) + cost.load;
      case "draw": return of(v.at) + cost.draw;
      case "part": return of(v.of);
      case "mate": return of(v.of) + 1;
      case "pack": return v.parts.reduce((n, p) => n + of(p), 0);
      case "apply": return v.args.reduce((n, a) => n + of(a), (dear.has(v.fn) ? cost.dear : 1) * (isVector(v) ? 4 : 1));
      default: return v satisfies never;
    }
  };
  const go = (list: readonly Statement[]): { once: number; all: number } => {
    let [once, all] = [0, 0];
    for (const s of list) {
      const inner = s.kind === "for" || s.kind === "if" ? go(s.body) : { once: 0, all: 0 };
      const own = s.kind === "for" ? cost.turn : s.kind === "if" ? of(s.test) : s.kind === "barrier" || s.kind === "matrix" ? 0
        : s.kind === "fetch" || s.kind === "spill" ? of(s.at) + cost.load : s.kind === "multiply" ? s.into.unit.k
        : s.kind === "store" || s.kind === "add" || s.kind === "stage" ? of(s.at) + of(s.value) + cost.load : of(s.value);
      once += own + inner.once;
      all += s.kind === "for" ? s.extent * (own + inner.all) : own + inner.all;
    }
    return { once, all };
  };
  const { once, all } = go(program.body);
  return { straight: once, work: all * program.invocations };
}
