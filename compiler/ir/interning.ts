// Where equal expressions meet: one object for each kind, head and parts, found by a number and never by a text.

import type { Expr } from "./expr.ts";

/** What an expression is besides its kind and its parts: `read` has its tensor and its view, `reduce` how and over what. */
export interface Make {
  readonly head: unknown;
  readonly detail: unknown;
}

type Entry = Expr & Make;

const multiplier = 0x9e3779b1;

/** Stirs a whole number into a hash. */
export function stirred(hash: number, by: number): number {
  const x = Math.imul(hash ^ by, multiplier);
  return x ^ (x >>> 15);
}

/** A table with open addressing, at most half full. */
export class Interned {
  #entries: (Entry | undefined)[] = new Array<Entry | undefined>(1 << 19).fill(undefined);
  #hashes = new Int32Array(1 << 19);
  #count = 0;

  /** The expression of this make; undefined where there is none. `hash` is the same for equal ones. */
  find(hash: number, kind: Expr["kind"], head: unknown, detail: unknown, parts: readonly Expr[]): Expr | undefined {
    const [hashes, entries] = [this.#hashes, this.#entries];
    const mask = hashes.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const e = hashes[at] === (hash | 0) ? entries[at] : undefined;
      if (e !== undefined && e.kind === kind && isSame(e.head, head) && isSame(e.detail, detail) && areSame(e.parts, parts)) return e;
      if (hashes[at] === 0 && entries[at] === undefined) return undefined;
    }
  }

  /** Adds an expression that `find` did not find. */
  add(hash: number, e: Entry): void {
    if (++this.#count * 2 > this.#hashes.length) this.#grow();
    this.#put(hash | 0, e);
  }

  #put(hash: number, e: Entry): void {
    const mask = this.#hashes.length - 1;
    let at = hash & mask;
    while (this.#entries[at] !== undefined) at = (at + 1) & mask;
    this.#entries[at] = e;
    this.#hashes[at] = hash;
  }

  #grow(): void {
    const [entries, hashes] = [this.#entries, this.#hashes];
    this.#entries = new Array<Entry | undefined>(2 * hashes.length).fill(undefined);
    this.#hashes = new Int32Array(2 * hashes.length);
    for (let at = 0; at < entries.length; at++) {
      const e = entries[at];
      if (e !== undefined) this.#put(hashes[at] as number, e);
    }
  }
}

/** Zero has one sign here, and what is no number is one. */
const isSame = (a: unknown, b: unknown): boolean => a === b || Object.is(a, b) || (Array.isArray(a) && Array.isArray(b) && areSame(a, b));

function areSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
