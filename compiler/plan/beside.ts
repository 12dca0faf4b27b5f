// Lets launches of different shapes that do not need each other share one launch, where its start costs more than sharing does.

import type { Tensor } from "../ir/graph.ts";
import type { Definition } from "../kernels/kernel.ts";
import type { Made } from "../kernels/twins.ts";
import type { Loops } from "../kernels/loops.ts";
import { Ranges, weigh, type Launch, type Weight } from "../kernels/ranges.ts";
import type { Phase } from "./plan.ts";
import { replaceable, taken } from "./lives.ts";
import { bytesOf, type Storage } from "./storage.ts";

/** How many launches away a partner is looked for. */
const window = 48;
/** What the start of a launch takes, in operations per lane. */
const start = 1000;
/** Sharing may take this part of the work on top of that: who ends first leaves lanes idle no more. */
const slack = 0.02;
/** The part of the work of a program with few registers that it loses at most beside one with many. */
const crowding = 0.1;
/** The part by which what lives at once may grow, and least and most bytes of that: where much is stored, starts hardly count. */
const growth = { share: 0.03, least: 1 << 16, most: 1 << 22 };
/** Subgroups of fewer invocations that load for each other stay alone: with SwiftShader's four they take a sixth longer in a range. */
const leastSubgroup = 8;
/** Kernels in one launch, and invocations. */
const most = 12;
const widest = 2 ** 30;
/** More kinds of launches than there can be. */
const mostKeys = 2 ** 26;

/** What must be known besides the launches. */
export interface Surroundings {
  readonly storage: Storage;
  readonly phase: (t: Tensor) => Phase | undefined;
  readonly maxBindings: number;
  readonly bindingsOf: (t: Tensor) => number;
  /** Invocations that keep the adapter busy. */
  readonly lanes: number;
  /** Whether all lanes pass through the code of all ranges, most of them idle: on processors. */
  readonly masked: boolean;
}

/** What launches read or write. */
interface Value {
  readonly id: number;
  readonly bytes: number;
  readonly bindings: number;
  /** The kernel that writes it, or -1, and those that read it. */
  readonly writer: number;
  readonly readers: readonly number[];
  /** Whether it shares its memory with others, and whether it is needed when the last launch is done. */
  readonly isTransient: boolean;
  readonly atEnd: boolean;
}

/** A launch before it is put together. */
interface Node {
  /** Its kernels, by their places in the order in which they came. */
  readonly members: readonly number[];
  readonly isUpdate: boolean;
  /** Whether its programs may run in ranges. */
  readonly isPlain: boolean;
  readonly values: readonly Value[];
  readonly bindings: number;
  readonly sums: Sums;
  /** What sharing costs. */
  readonly price: number;
  /** What programs it has, as a number: launches of one key mostly share a shader. */
  readonly key: number;
}

/** Of the programs of a launch: their invocations, lengths, work; products of these; the greatest length. */
interface Sums {
  readonly invocations: number;
  readonly straight: number;
  readonly work: number;
  readonly passed: number;
  readonly crowded: number;
  readonly longest: number;
}

/** A launch at another place, and by how much all shaders together get longer with it, where as many launches as can do likewise share that. */
interface Partner {
  readonly to: number;
  readonly text: number;
}

/** The launches in an order in which they can run, with fewer starts: no chain of launches that need each other gets longer, and hardly more lives at once. */
export function beside(made: readonly Made[], around: Surroundings): readonly Launch[] {
  const ranges = new Ranges(around.masked);
  const told = (n: number): string => n.toPrecision(2).replace("+", "");
  return new Sharing(made, around).launches().map(({ members, sums, price: shared }) => {
    // The heaviest gives the launch its place in the text and begins first.
    const all = members.map((m) => made[m] as Made).sort((a, b) => workOf(b.loops) - workOf(a.loops));
    const because = `neither needs the other; of ${told(sums.work)} operations sharing costs ${told(shared)}, each start ${told(start * around.lanes)}`;
    return { kernels: all.map((m) => m.kernel), loops: ranges.of(all.map((m) => m.loops)), beside: all.slice(1).map(() => because) };
  });
}

/** Every kernel in a launch of its own. */
export function alone(made: readonly Made[]): readonly Launch[] {
  return made.map(({ kernel, loops }) => ({ kernels: [kernel], loops, beside: [] }));
}

const weights = new WeakMap<Loops, Weight>();
function weightOf(loops: Loops): Weight {
  const program = loops.like ?? loops;
  const known = weights.get(program) ?? weigh(program);
  weights.set(program, known);
  return known;
}
const workOf = (loops: Loops): number => weightOf(loops).work;

class Sharing {
  readonly #made: readonly Made[];
  readonly #around: Surroundings;
  /** The launches that must be done before each. */
  readonly #before: readonly (readonly number[])[];
  /** By kernel, what its results may be written over. */
  readonly #replaceable: readonly { readonly choices: ReadonlyMap<Tensor, readonly Tensor[]>; readonly olds: readonly Value[] }[];
  readonly #values: ReadonlyMap<Tensor, Value>;
  /** The programs of a key, and how many launches have it. */
  readonly #keys: { readonly programs: readonly number[]; uses: number }[] = [];
  readonly #keyOf = new Map<string, number>();
  /** The key of two launches as one, by theirs. */
  readonly #joined = new Map<number, number>();
  #order: Node[];
  /** The launches that each must be done before. */
  readonly #after: readonly (readonly number[])[];
  /** By kernel, the first and the last step of its launch in a chain of needs, if no chain is to get longer. */
  readonly #low: Int32Array;
  readonly #high: Int32Array;
  readonly #longest: number;
  /** Bytes that live on from before each place of the order as it came: what is changed behind a place changes nothing here. */
  readonly #entering: Float64Array;
  /** By value, where it is last used in a stretch that is looked at, or -1 where it is used behind it. */
  readonly #last: Int32Array;
  /** By kernel, the number of the latest stretch that it was in; how many there were. */
  readonly #stretch: Int32Array;
  #stretches = 0;
  readonly #peak: number;

  constructor(made: readonly Made[], around: Surroundings) {
    this.#made = made;
    this.#around = around;
    const values = this.#values = valuesOf(made, around);
    this.#before = this.#needs();
    this.#replaceable = made.map(({ kernel }) => {
      const choices = replaceable(kernel.results, kernel.axes);
      return { choices, olds: choices.size > 0 ? [...choices.values()].flat().map((t) => values.get(t) as Value) : [] };
    });
    const numbers = new Map<Loops, number>();
    this.#order = made.map((_, i) => this.#node(i, numbers));
    const after = made.map((): number[] => []);
    this.#before.forEach((list, i) => list.forEach((b) => after[b]?.push(i)));
    this.#after = after;
    [this.#low, this.#high] = [new Int32Array(made.length), new Int32Array(made.length)];
    this.#lift(0, made.length);
    this.#longest = this.#low.reduce((a, b) => Math.max(a, b), 0);
    const entering = this.#entering = new Float64Array(made.length + 2);
    for (const { isTransient, writer, readers, bytes, atEnd } of values.values()) {
      if (!isTransient) continue;
      const last = atEnd ? made.length : readers.reduce((a, b) => Math.max(a, b), writer);
      entering[writer + 1] = (entering[writer + 1] as number) + bytes;
      entering[last + 1] = (entering[last + 1] as number) - bytes;
    }
    for (let i = 1; i < entering.length; i++) entering[i] = (entering[i] as number) + (entering[i - 1] as number);
    this.#last = new Int32Array(values.size);
    this.#stretch = new Int32Array(made.length);
    const { peak } = this.#living(this.#order, 0);
    this.#peak = peak + Math.min(Math.max(growth.share * peak, growth.least), growth.most);
  }

  /** Looks for partners of each launch, from the last to the first; takes the one that adds least to the shaders, and of those the latest, which leaves most room to launches before. */
  launches(): readonly Node[] {
    for (let at = this.#order.length - 1; at >= 0; at--) {
      this.#lower(at, at + 1);
      const partners: Partner[] = [];
      for (let to = at + 1; to < Math.min(this.#order.length, at + 1 + window); to++) {
        const text = this.#lengthening(this.#order[at] as Node, this.#order[to] as Node);
        if (text !== undefined) partners.push({ to, text });
      }
      partners.sort((a, b) => a.text - b.text || b.to - a.to);
      partners.some(({ to }) => this.#merge(at, to));
    }
    return this.#order;
  }

  /** What each launch waits for: who makes what it reads, and who reads what it overwrites. */
  #needs(): readonly (readonly number[])[] {
    const { behind, overwrites } = this.#around.storage;
    const overwriter = new Map<Tensor, number>();
    const readers = new Map<Tensor, number[]>();
    return this.#made.map(({ loops }, i) => {
      const set = new Set<number>();
      const olds = loops.writes.flatMap((t) => overwrites.get(t) ?? []);
      for (const t of loops.reads.flatMap((x) => [x, ...(behind.get(x) ?? [])])) {
        for (const from of [this.#values.get(t)?.writer ?? -1, overwriter.get(t) ?? -1]) if (from >= 0 && from < i) set.add(from);
        const list = readers.get(t);
        if (list) list.push(i);
        else readers.set(t, [i]);
      }
      for (const t of olds) {
        for (const r of readers.get(t) ?? []) if (r < i) set.add(r);
        overwriter.set(t, i);
      }
      return [...set];
    });
  }

  /** A kernel by itself. `numbers` are those of the programs. */
  #node(m: number, numbers: Map<Loops, number>): Node {
    const { kernel, loops } = this.#made[m] as Made;
    const { straight, work } = weightOf(loops);
    const program = loops.like ?? loops;
    const number = numbers.get(program) ?? numbers.size;
    numbers.set(program, number);
    const key = this.#key([number]);
    this.#count(key, 1);
    const values = [...new Set([...loops.reads, ...loops.writes])].map((t) => this.#values.get(t) as Value);
    return {
      members: [m], key, isPlain: !loops.adds && !loops.team && !(loops.subgroup && loops.subgroup < leastSubgroup), isUpdate: this.#around.phase((kernel.results[0] as Definition).root) === "update",
      values, bindings: values.reduce((n, v) => n + v.bindings, 0), price: 0,
      sums: { invocations: loops.invocations, straight, work, passed: loops.invocations * straight, crowded: work * straight, longest: straight },
    };
  }

  /** What all lanes pass through idly if two launches are one, or what the work loses beside what asks for more registers. */
  #price(p: Sums, q: Sums): number {
    if (this.#around.masked) return (p.invocations + q.invocations) * (p.straight + q.straight) - (p.passed + q.passed);
    return crowding * (p.work + q.work - (p.crowded + q.crowded) / Math.max(p.longest, q.longest));
  }

  /** What two launches as one add to all shaders; undefined where they cannot be one or where that costs more than a start. */
  #lengthening(a: Node, b: Node): number | undefined {
    if (!a.isPlain || !b.isPlain || a.isUpdate !== b.isUpdate || a.members.length + b.members.length > most) return undefined;
    const k = a.members[0] as number;
    const l = b.members[0] as number;
    if (Math.max(this.#low[k] as number, this.#low[l] as number) > Math.min(this.#high[k] as number, this.#high[l] as number)) return undefined;
    const p = a.sums;
    const q = b.sums;
    if (p.invocations + q.invocations > widest) return undefined;
    if (this.#price(p, q) - a.price - b.price > start * this.#around.lanes + slack * (p.work + q.work)) return undefined;
    let { bindings } = a;
    for (const v of b.values) if (!a.values.includes(v)) bindings += v.bindings;
    if (bindings > this.#around.maxBindings) return undefined;
    // Their length, if nobody has these programs yet, less what nobody runs alone any more.
    const last = a.key === b.key ? 2 : 1;
    const freed = (this.#uses(a.key) === last ? p.straight : 0) + (this.#uses(b.key) === last ? q.straight : 0);
    return ((this.#uses(this.#join(a.key, b.key)) > 0 ? 0 : p.straight + q.straight) - freed) / Math.min(this.#uses(a.key), this.#uses(b.key));
  }

  /** The key of some programs. */
  #key(programs: readonly number[]): number {
    const text = programs.join();
    const known = this.#keyOf.get(text);
    if (known !== undefined) return known;
    const key = this.#keys.push({ programs, uses: 0 }) - 1;
    this.#keyOf.set(text, key);
    return key;
  }

  /** The key of two launches as one. */
  #join(a: number, b: number): number {
    const pair = Math.min(a, b) * mostKeys + Math.max(a, b);
    let key = this.#joined.get(pair);
    if (key === undefined) {
      const programs = [a, b].flatMap((k) => this.#keys[k]?.programs ?? []);
      this.#joined.set(pair, key = this.#key(programs.sort((x, y) => x - y)));
    }
    return key;
  }

  #uses(key: number): number {
    return this.#keys[key]?.uses ?? 0;
  }

  #count(key: number, more: number): void {
    (this.#keys[key] as { uses: number }).uses += more;
  }

  /** Two launches as one. */
  #both(a: Node, b: Node): Node {
    const [p, q] = [a.sums, b.sums];
    const values = [...a.values, ...b.values.filter((v) => !a.values.includes(v))];
    return {
      members: [...a.members, ...b.members].sort((x, y) => x - y), key: this.#join(a.key, b.key), isPlain: true, isUpdate: a.isUpdate,
      values, bindings: values.reduce((n, v) => n + v.bindings, 0), price: this.#price(p, q),
      sums: {
        invocations: p.invocations + q.invocations, straight: p.straight + q.straight, work: p.work + q.work,
        passed: p.passed + q.passed, crowded: p.crowded + q.crowded, longest: Math.max(p.longest, q.longest),
      },
    };
  }

  /** Puts two launches together, as late as the first may run or as early as the second. */
  #merge(from: number, to: number): boolean {
    const between = this.#order.slice(from + 1, to);
    const [one, other] = [this.#order[from] as Node, this.#order[to] as Node];
    const after: Node[] = [];
    const late = new Set(one.members);
    const waits = (x: Node): boolean => x.members.some((m) => this.#before[m]?.some((b) => late.has(b)));
    for (const x of between) {
      if (!waits(x)) continue;
      after.push(x);
      for (const m of x.members) late.add(m);
    }
    if (waits(other)) return false;
    const first: Node[] = [];
    const early = new Set(other.members.flatMap((m) => this.#before[m] ?? []));
    for (const x of between.toReversed()) {
      if (!x.members.some((m) => early.has(m))) continue;
      first.unshift(x);
      for (const m of x.members) for (const b of this.#before[m] ?? []) early.add(b);
    }
    const both = this.#both(one, other);
    const ways = [[...between.filter((x) => !after.includes(x)), both, ...after], [...first, both, ...between.filter((x) => !first.includes(x))]];
    const played = ways.map((nodes) => ({ nodes, ...this.#living(nodes, from) }));
    const [best] = played.filter((w) => w.peak <= this.#peak).sort((a, b) => a.area - b.area);
    if (!best) return false;
    this.#count(one.key, -1);
    this.#count(other.key, -1);
    this.#count(both.key, 1);
    this.#order.splice(from, to - from + 1, ...best.nodes);
    // Further on nobody looks for partners any more; what comes before is looked at when its turn comes.
    this.#lift(from, from + window + 1);
    this.#lower(from, from + best.nodes.length);
    return true;
  }

  /** Reckons the first steps of the launches of a stretch anew. */
  #lift(from: number, end: number): void {
    for (let i = from; i < Math.min(end, this.#order.length); i++) {
      const { members } = this.#order[i] as Node;
      let first = 0;
      for (const m of members) for (const b of this.#before[m] as readonly number[]) first = Math.max(first, 1 + (this.#low[b] as number));
      for (const m of members) this.#low[m] = first;
    }
  }

  /** Reckons the last steps of the launches of a stretch anew. */
  #lower(from: number, end: number): void {
    for (let i = end - 1; i >= from; i--) {
      const { members } = this.#order[i] as Node;
      let last = this.#longest;
      for (const m of members) for (const a of this.#after[m] as readonly number[]) last = Math.min(last, (this.#high[a] as number) - 1);
      for (const m of members) this.#high[m] = last;
    }
  }

  /**
   * The most bytes of transient values that live at any place of a stretch, which begins where the order is still as it came, if it were these launches, and
   * their sum over all places.
   */
  #living(nodes: readonly Node[], from: number): { readonly peak: number; readonly area: number } {
    const last = this.#last;
    const stretch = this.#stretch;
    const number = ++this.#stretches;
    for (let i = 0; i < nodes.length; i++) {
      const { members, values } = nodes[i] as Node;
      for (const m of members) stretch[m] = number;
      for (const v of values) last[v.id] = i;
    }
    const isBehind = (reader: number): boolean => reader >= from && stretch[reader] !== number;
    let now = this.#entering[from] as number;
    let peak = 0;
    let area = 0;
    for (let i = 0; i < nodes.length; i++) {
      const { members, values } = nodes[i] as Node;
      let gone = 0;
      for (const v of values) {
        if (!v.isTransient) continue;
        if (members.includes(v.writer)) now += v.bytes;
        if (last[v.id] !== i) continue;
        if (v.atEnd || v.readers.some(isBehind)) last[v.id] = -1;
        else gone += v.bytes;
      }
      const live = now - this.#overwritten(members, i);
      if (live > peak) peak = live;
      area += live;
      now -= gone;
    }
    return { peak, area };
  }

  /** Bytes of the values that a launch at a place of the stretch writes others over. */
  #overwritten(members: readonly number[], at: number): number {
    const isLast = (v: Value): boolean => v.isTransient && this.#last[v.id] === at && !members.includes(v.writer);
    if (!members.some((m) => this.#replaceable[m]?.olds.some(isLast))) return 0;
    const choices = new Map(members.map((m) => [(this.#made[m] as Made).kernel, this.#replaceable[m]?.choices ?? new Map()]));
    const pairs = taken([...choices.keys()], (k) => choices.get(k) ?? new Map(), (t) => !this.#around.storage.own.has(t), (t) => isLast(this.#values.get(t) as Value));
    return pairs.reduce((n, [, old]) => n + bytesOf(old), 0);
  }
}

/** What some launches read or write. */
function valuesOf(made: readonly Made[], { storage: { own, atEnd }, bindingsOf }: Surroundings): ReadonlyMap<Tensor, Value> {
  const writer = new Map<Tensor, number>();
  const readers = new Map<Tensor, number[]>();
  made.forEach(({ loops }, i) => {
    for (const t of loops.writes) writer.set(t, i);
    for (const t of loops.reads) {
      const list = readers.get(t);
      if (list) list.push(i);
      else readers.set(t, [i]);
    }
  });
  const all = new Set([...writer.keys(), ...readers.keys()]);
  return new Map([...all].map((t, id) => [t, {
    id, bytes: bytesOf(t), bindings: bindingsOf(t), writer: writer.get(t) ?? -1, readers: readers.get(t) ?? [], isTransient: writer.has(t) && !own.has(t), atEnd: atEnd.has(t),
  }]));
}
