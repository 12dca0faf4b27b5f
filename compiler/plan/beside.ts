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

/** A launch before it is put together. */
interface Node {
  /** Its kernels, by their places in the order in which they came. */
  readonly members: readonly number[];
  readonly isUpdate: boolean;
  /** Whether its programs may run in ranges. */
  readonly isPlain: boolean;
  readonly tensors: ReadonlySet<Tensor>;
  readonly bindings: number;
  readonly sums: Sums;
  /** What sharing costs. */
  readonly price: number;
  /** What programs it has: launches of one key mostly share a shader. */
  readonly key: string;
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

/** What a launch would be together with one at another place, but for its tensors. */
interface Partner {
  readonly both: Omit<Node, "tensors">;
  readonly to: number;
  /** By how much all shaders together get longer, where as many launches as can do likewise share that. */
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
  /** By kernel, what its results may be written over, those for which there is something. */
  readonly #replaceable: readonly ReadonlyMap<Tensor, readonly Tensor[]>[];
  readonly #writer = new Map<Tensor, number>();
  readonly #readers = new Map<Tensor, number[]>();
  /** By kernel, the number of its program. */
  readonly #programs: readonly number[];
  /** By key, how many launches have it. */
  readonly #uses = new Map<string, number>();
  #order: Node[];
  /** By kernel, the place of its launch in the order. */
  readonly #place: Int32Array;
  /** The launches that each must be done before. */
  readonly #after: readonly (readonly number[])[];
  /** By kernel, the first and the last step of its launch in a chain of needs, if no chain is to get longer. */
  readonly #low: Int32Array;
  readonly #high: Int32Array;
  readonly #longest: number;
  readonly #transient: readonly { readonly bytes: number; readonly writer: number; readonly readers: readonly number[]; readonly atEnd: boolean }[];
  /** Which of the transient values a tensor is. */
  readonly #transientOf: ReadonlyMap<Tensor, number>;
  readonly #peak: number;

  constructor(made: readonly Made[], around: Surroundings) {
    this.#made = made;
    this.#around = around;
    made.forEach(({ loops }, i) => {
      for (const t of loops.writes) this.#writer.set(t, i);
      for (const t of loops.reads) {
        const list = this.#readers.get(t);
        if (list) list.push(i);
        else this.#readers.set(t, [i]);
      }
    });
    const programs = [...new Set(made.map(({ loops }) => loops.like ?? loops))];
    const numbers = new Map(programs.map((p, n) => [p, n]));
    this.#programs = made.map(({ loops }) => numbers.get(loops.like ?? loops) ?? 0);
    this.#before = this.#needs();
    this.#replaceable = made.map(({ kernel }) => new Map([...replaceable(kernel.results, kernel.axes)].filter(([, olds]) => olds.length > 0)));
    const { own, atEnd } = around.storage;
    const transient = [...this.#writer].filter(([t]) => !own.has(t));
    this.#transient = transient.map(([t, writer]) => ({ writer, bytes: bytesOf(t), readers: this.#readers.get(t) ?? [], atEnd: atEnd.has(t) }));
    this.#transientOf = new Map(transient.map(([t], i) => [t, i]));
    this.#order = made.map((_, i) => this.#node(i));
    this.#place = Int32Array.from(made.keys());
    const after = made.map((): number[] => []);
    this.#before.forEach((list, i) => list.forEach((b) => after[b]?.push(i)));
    this.#after = after;
    [this.#low, this.#high] = [new Int32Array(made.length), new Int32Array(made.length)];
    this.#lift(0, made.length);
    this.#longest = this.#low.reduce((a, b) => Math.max(a, b), 0);
    const peak = Math.max(0, ...this.#living(this.#order, 0));
    this.#peak = peak + Math.min(Math.max(growth.share * peak, growth.least), growth.most);
  }

  /** Looks for partners of each launch, from the last to the first; takes the one that adds least to the shaders, and of those the latest, which leaves most room to launches before. */
  launches(): readonly Node[] {
    for (let at = this.#order.length - 1; at >= 0; at--) {
      this.#lower(at, at + 1);
      const partners: Partner[] = [];
      for (let to = at + 1; to < Math.min(this.#order.length, at + 1 + window); to++) {
        const partner = this.#both(at, to);
        if (partner) partners.push(partner);
      }
      partners.sort((a, b) => a.text - b.text || b.to - a.to);
      partners.some(({ both, to }) => this.#merge(at, to, both));
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
        for (const from of [this.#writer.get(t), overwriter.get(t)]) if (from !== undefined && from < i) set.add(from);
        readers.set(t, [...(readers.get(t) ?? []), i]);
      }
      for (const t of olds) {
        for (const r of readers.get(t) ?? []) if (r < i) set.add(r);
        overwriter.set(t, i);
      }
      return [...set];
    });
  }

  #node(m: number): Node {
    const { kernel, loops } = this.#made[m] as Made;
    const { straight, work } = weightOf(loops);
    const key = this.#key([m]);
    this.#count(key, 1);
    const tensors = new Set([...loops.reads, ...loops.writes]);
    return {
      members: [m], key, isPlain: !loops.adds && !loops.team && !(loops.subgroup && loops.subgroup < leastSubgroup), isUpdate: this.#around.phase((kernel.results[0] as Definition).root) === "update",
      tensors, bindings: [...tensors].reduce((n, t) => n + this.#around.bindingsOf(t), 0), price: 0,
      sums: { invocations: loops.invocations, straight, work, passed: loops.invocations * straight, crowded: work * straight, longest: straight },
    };
  }

  /** What all lanes pass through idly, or what the work loses beside what asks for more registers. */
  #price({ invocations, straight, work, passed, crowded, longest }: Sums): number {
    return this.#around.masked ? invocations * straight - passed : crowding * (work - crowded / longest);
  }

  /** Two launches as one; undefined where that cannot be or costs more than a start. */
  #both(from: number, to: number): Partner | undefined {
    const [a, b] = [this.#order[from] as Node, this.#order[to] as Node];
    if (!a.isPlain || !b.isPlain || a.isUpdate !== b.isUpdate || a.members.length + b.members.length > most) return undefined;
    const [k, l] = [a.members[0] as number, b.members[0] as number];
    if (Math.max(this.#low[k] as number, this.#low[l] as number) > Math.min(this.#high[k] as number, this.#high[l] as number)) return undefined;
    const [p, q] = [a.sums, b.sums];
    const sums = {
      invocations: p.invocations + q.invocations, straight: p.straight + q.straight, work: p.work + q.work,
      passed: p.passed + q.passed, crowded: p.crowded + q.crowded, longest: Math.max(p.longest, q.longest),
    };
    if (sums.invocations > widest) return undefined;
    const price = this.#price(sums);
    const { lanes, maxBindings, bindingsOf } = this.#around;
    if (price - a.price - b.price > start * lanes + slack * sums.work) return undefined;
    let { bindings } = a;
    for (const t of b.tensors) if (!a.tensors.has(t)) bindings += bindingsOf(t);
    if (bindings > maxBindings) return undefined;
    const members = [...a.members, ...b.members].sort((x, y) => x - y);
    const key = this.#key(members);
    return { to, text: this.#lengthening(a, b, key), both: { members, key, isPlain: true, isUpdate: a.isUpdate, bindings, sums, price } };
  }

  #key(members: readonly number[]): string {
    return members.map((m) => this.#programs[m] as number).sort((x, y) => x - y).join();
  }

  #count(key: string, more: number): void {
    this.#uses.set(key, (this.#uses.get(key) ?? 0) + more);
  }

  /** What two launches as one add to all shaders: their length, if nobody has these programs yet, less what nobody runs alone any more. */
  #lengthening(a: Node, b: Node, key: string): number {
    const uses = (k: string): number => this.#uses.get(k) ?? 0;
    const isLast = (x: Node): boolean => uses(x.key) === (a.key === b.key ? 2 : 1);
    const freed = (isLast(a) ? a.sums.straight : 0) + (isLast(b) ? b.sums.straight : 0);
    return ((uses(key) > 0 ? 0 : a.sums.straight + b.sums.straight) - freed) / Math.min(uses(a.key), uses(b.key));
  }

  /** Puts two launches together, as late as the first may run or as early as the second. */
  #merge(from: number, to: number, sum: Partner["both"]): boolean {
    const between = this.#order.slice(from + 1, to);
    const [one, other] = [this.#order[from] as Node, this.#order[to] as Node];
    const both = { ...sum, tensors: new Set([...one.tensors, ...other.tensors]) };
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
    const ways = [[...between.filter((x) => !after.includes(x)), both, ...after], [...first, both, ...between.filter((x) => !first.includes(x))]];
    const played = ways.map((nodes) => {
      const live = this.#living(nodes, from, to);
      return { nodes, peak: Math.max(...live), area: live.reduce((a, b) => a + b, 0) };
    });
    const [best] = played.filter((w) => w.peak <= this.#peak).sort((a, b) => a.area - b.area);
    if (!best) return false;
    this.#count(one.key, -1);
    this.#count(other.key, -1);
    this.#count(both.key, 1);
    this.#order.splice(from, to - from + 1, ...best.nodes);
    for (let i = from; i < this.#order.length; i++) for (const m of (this.#order[i] as Node).members) this.#place[m] = i;
    // Further on nobody looks for partners any more; what comes before is looked at when its turn comes.
    this.#lift(from, from + window + 1);
    this.#lower(from, from + best.nodes.length);
    return true;
  }

  /** Reckons the first steps of the launches of a stretch anew. */
  #lift(from: number, end: number): void {
    for (const { members } of this.#order.slice(from, end)) {
      let first = 0;
      for (const m of members) for (const b of this.#before[m] as readonly number[]) first = Math.max(first, 1 + (this.#low[b] as number));
      for (const m of members) this.#low[m] = first;
    }
  }

  /** Reckons the last steps of the launches of a stretch anew. */
  #lower(from: number, end: number): void {
    for (const { members } of this.#order.slice(from, end).reverse()) {
      let last = this.#longest;
      for (const m of members) for (const a of this.#after[m] as readonly number[]) last = Math.min(last, (this.#high[a] as number) - 1);
      for (const m of members) this.#high[m] = last;
    }
  }

  /** Bytes of transient values that live at each place of a stretch of the order, if it were these launches; all others stay. */
  #living(nodes: readonly Node[], from: number, to = from + nodes.length - 1): Float64Array {
    const { own } = this.#around.storage;
    const end = from + nodes.length - 1;
    const place = this.#place.slice();
    for (let m = 0; m < place.length; m++) if ((place[m] as number) >= from) place[m] = (place[m] as number) - (to - end);
    nodes.forEach((n, i) => n.members.forEach((m) => (place[m] = from + i)));
    // First by how much it changes from place to place.
    const live = new Float64Array(nodes.length + 1);
    const lasts = new Int32Array(this.#transient.length).fill(-1);
    this.#transient.forEach(({ bytes, writer, readers, atEnd }, t) => {
      const first = place[writer] as number;
      if (first > end) return;
      let last = atEnd ? Infinity : first;
      for (let k = 0; k < readers.length; k++) last = Math.max(last, place[readers[k] as number] as number);
      if (last < from) return;
      const at = Math.max(first, from) - from;
      live[at] = (live[at] as number) + bytes;
      if (last > end) return;
      lasts[t] = last;
      live[last + 1 - from] = (live[last + 1 - from] as number) - bytes;
    });
    for (let i = 1; i < live.length; i++) live[i] = (live[i] as number) + (live[i - 1] as number);
    nodes.forEach((n, i) => {
      if (n.members.every((m) => this.#replaceable[m]?.size === 0)) return;
      const choices = new Map(n.members.map((m) => [(this.#made[m] as Made).kernel, this.#replaceable[m] ?? new Map()]));
      const isLast = (t: Tensor): boolean => lasts[this.#transientOf.get(t) ?? -1] === from + i && !n.members.includes(this.#writer.get(t) as number);
      const pairs = taken([...choices.keys()], (k) => choices.get(k) ?? new Map(), (t) => !own.has(t), isLast);
      for (const [, old] of pairs) live[i] = (live[i] as number) - bytesOf(old);
    });
    return live.subarray(0, nodes.length);
  }
}
