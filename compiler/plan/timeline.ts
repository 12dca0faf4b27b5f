// Which values live when, if some of them are given up early and made again where they are next needed.

/** A value that one launch makes, seen by the memory it takes. Values are numbered in the order of their launches. */
export interface Value {
  readonly bytes: number;
  /** The values that its launch reads. */
  readonly reads: readonly number[];
  /** Those of them that it may be written over, if its launch is the last to read them; they are as large. */
  readonly over?: readonly number[];
  /** What its launch costs. */
  readonly price: number;
  /** Whether it lies in memory of its own and is made exactly once, where it stands. */
  readonly fixed: boolean;
  /** The last launch before which it can still be made: afterwards something that it reads is overwritten. */
  readonly until: number;
  /** Whether it is needed after the last launch. */
  readonly atEnd: boolean;
}

/** Per value, the launches from which on what was made before is not held, ascending. */
export type Cuts = ReadonlyMap<number, readonly number[]>;

/** What a choice of cuts comes to. */
export interface Score {
  /** The most bytes that live at once. */
  readonly peak: number;
  /** Bytes beyond the budget, summed over all makings. */
  readonly excess: number;
  /** What all makings cost together. */
  readonly price: number;
}

/** One making of a value: its place in the order of all makings, and that of the last one that reads it. */
export interface Making {
  readonly value: number;
  readonly first: number;
  readonly last: number;
}

/** Two uses of one making with none between them, by the launches with which they stand. */
export interface Gap {
  readonly value: number;
  readonly from: number;
  readonly to: number;
}

/** A step as it is played. */
export interface Timeline extends Score {
  /** In the order in which they run. */
  readonly makings: readonly Making[];
  readonly gaps: readonly Gap[];
  /** Bytes that live, by place. */
  readonly live: Float64Array;
  /** The place of the first making that stands with a launch; those made again come before the launch itself. */
  readonly start: Int32Array;
}

/** Makings that may stand with one launch. */
const span = 1 << 20;

/**
 * Plays through a step: a value is made at its launch, held until its last use, and made again right before the first use
 * behind a cut, from values that are held or made again likewise. The tables are used again and again, as many choices are tried.
 */
export class Player {
  readonly #values: readonly Value[];
  readonly #budget: number;
  /** Uses by value as sorted lists; a use is a number: the launch, then how near to the launch itself. */
  readonly #head: Int32Array;
  #next: Int32Array;
  #use: Float64Array;
  #uses = 0;
  /** How many values are made again with each launch. */
  readonly #again: Int32Array;
  readonly #start: Int32Array;
  #value: Int32Array;
  #first: Float64Array;
  #last: Float64Array;
  #makings = 0;
  /** The latest making by value so far, and the one before by making. */
  readonly #newest: Int32Array;
  #older: Int32Array;
  #live: Float64Array;
  #price = 0;

  /** `budget` in bytes. */
  constructor(values: readonly Value[], budget: number) {
    const n = values.length;
    this.#values = values;
    this.#budget = budget;
    this.#head = new Int32Array(n);
    this.#again = new Int32Array(n + 1);
    this.#start = new Int32Array(n + 2);
    [this.#next, this.#use] = [new Int32Array(8 * n), new Float64Array(8 * n)];
    [this.#value, this.#first, this.#last] = [new Int32Array(2 * n), new Float64Array(2 * n), new Float64Array(2 * n)];
    [this.#newest, this.#older] = [new Int32Array(n), new Int32Array(2 * n)];
    this.#live = new Float64Array(4 * n);
  }

  score(cuts: Cuts): Score {
    this.#play(cuts, undefined);
    return this.#measure();
  }

  timeline(cuts: Cuts): Timeline {
    const gaps: Gap[] = [];
    this.#play(cuts, gaps);
    const score = this.#measure();
    const makings = Array.from({ length: this.#makings }, (_, k): Making => ({
      value: this.#value[k] as number, first: this.#place(this.#first[k] as number), last: this.#place(this.#last[k] as number),
    })).sort((a, b) => a.first - b.first);
    return { ...score, makings, gaps, live: this.#live.slice(0, this.#start[this.#values.length + 1]), start: this.#start.slice() };
  }

  #play(cuts: Cuts, gaps: Gap[] | undefined): void {
    const n = this.#values.length;
    this.#head.fill(-1);
    this.#again.fill(0);
    this.#newest.fill(-1);
    this.#uses = this.#makings = this.#price = 0;
    // Consumers first: what is made again reads once more.
    for (let i = n - 1; i >= 0; i--) {
      const value = this.#values[i] as Value;
      let first = i * span + span - 1;
      let last = first;
      if (value.fixed) {
        this.#make(i, first, last);
        continue;
      }
      if (value.atEnd) this.#read(i, n * span + span - 1);
      const given = cuts.get(i);
      let cut = 0;
      let launch = i;
      let isUsed = this.#head[i] === -1;
      for (let u = this.#head[i] as number; u !== -1; u = this.#next[u] as number) {
        const use = this.#use[u] as number;
        const to = Math.floor(use / span);
        let isCut = false;
        if (given) for (; cut < given.length && (given[cut] as number) <= to; cut++) isCut ||= (given[cut] as number) > launch;
        if (isCut && to <= value.until && to < n) {
          // What nobody used is not made before at all.
          if (isUsed) this.#make(i, first, last);
          const rank = (this.#again[to] as number) + 1;
          this.#again[to] = rank;
          first = to * span + span - 1 - rank;
        } else if (gaps && to > launch) gaps.push({ value: i, from: launch, to });
        isUsed = true;
        last = use;
        launch = to;
      }
      this.#make(i, first, last);
    }
  }

  #make(i: number, first: number, last: number): void {
    const k = this.#makings++;
    if (k >= this.#value.length) {
      [this.#value, this.#first, this.#last] = [grown(this.#value, Int32Array), grown(this.#first, Float64Array), grown(this.#last, Float64Array)];
      this.#older = grown(this.#older, Int32Array);
    }
    this.#value[k] = i;
    this.#first[k] = first;
    this.#last[k] = last;
    this.#older[k] = this.#newest[i] as number;
    this.#newest[i] = k;
    const value = this.#values[i] as Value;
    this.#price += value.price;
    for (const r of value.reads) this.#read(r, first);
  }

  #read(i: number, use: number): void {
    const k = this.#uses++;
    if (k >= this.#use.length) [this.#next, this.#use] = [grown(this.#next, Int32Array), grown(this.#use, Float64Array)];
    this.#use[k] = use;
    let before = -1;
    let at = this.#head[i] as number;
    while (at !== -1 && (this.#use[at] as number) < use) {
      before = at;
      at = this.#next[at] as number;
    }
    this.#next[k] = at;
    if (before === -1) this.#head[i] = k;
    else this.#next[before] = k;
  }

  #place(use: number): number {
    const launch = Math.floor(use / span);
    return (this.#start[launch + 1] as number) - span + (use - launch * span);
  }

  /** Whether a making of a value is read for the last time at this use. */
  #ends(i: number, use: number): boolean {
    for (let k = this.#newest[i] as number; k !== -1; k = this.#older[k] as number) if (this.#last[k] === use) return true;
    return false;
  }

  #measure(): Score {
    const n = this.#values.length;
    for (let i = 0; i <= n; i++) this.#start[i + 1] = (this.#start[i] as number) + (this.#again[i] as number) + 1;
    const total = this.#start[n + 1] as number;
    if (total >= this.#live.length) this.#live = new Float64Array(2 * total);
    const live = this.#live.fill(0);
    for (let k = 0; k < this.#makings; k++) {
      const { bytes, over } = this.#values[this.#value[k] as number] as Value;
      const first = this.#place(this.#first[k] as number);
      const end = this.#place(this.#last[k] as number) + 1;
      // A value written over another one adds to what lives only when that one is gone.
      const from = over?.some((u) => this.#ends(u, this.#first[k] as number)) ? first + 1 : first;
      live[from] = (live[from] as number) + bytes;
      live[end] = (live[end] as number) - bytes;
    }
    let [now, peak, excess] = [0, 0, 0];
    for (let at = 0; at < total; at++) {
      now += live[at] as number;
      live[at] = now;
      if (now > peak) peak = now;
      if (now > this.#budget) excess += now - this.#budget;
    }
    return { peak, excess, price: this.#price };
  }
}

function grown<T extends Int32Array | Float64Array>(table: T, kind: new (length: number) => T): T {
  const larger = new kind(2 * table.length + 16);
  larger.set(table);
  return larger;
}
