// Where equal expressions meet: one object for each kind, head and parts, found by a number and never by a text.

import type { Axis, Expr } from "./expr.ts";

/** What an expression is besides its kind and its parts: `read` has its tensor and its view, `reduce` how and over what. */
type Head = unknown;

const multiplier = 0x9e3779b1;

/** Stirs a whole number into a hash. */
export function stirred(hash: number, by: number): number {
  const x = Math.imul(hash ^ by, multiplier);
  return x ^ (x >>> 15);
}

/** A table with open addressing, at most half full. */
export class Interned {
  #entries: (Expr | undefined)[] = new Array<Expr | undefined>(1 << 17).fill(undefined);
  #hashes = new Int32Array(1 << 17);
  #count = 0;

  /** The expression of this make; undefined where there is none. `hash` is the same for equal ones. */
  find(hash: number, kind: Expr["kind"], head: Head, detail: Head, parts: readonly Expr[]): Expr | undefined {
    const mask = this.#hashes.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const e = this.#entries[at];
      if (e === undefined) return undefined;
      if (this.#hashes[at] === (hash | 0) && e.kind === kind && isAlike(e, head, detail, parts)) return e;
    }
  }

  /** Adds an expression that `find` did not find. */
  add(hash: number, e: Expr): void {
    if (++this.#count * 2 > this.#hashes.length) this.#grow();
    this.#put(hash | 0, e);
  }

  #put(hash: number, e: Expr): void {
    const mask = this.#hashes.length - 1;
    let at = hash & mask;
    while (this.#entries[at] !== undefined) at = (at + 1) & mask;
    this.#entries[at] = e;
    this.#hashes[at] = hash;
  }

  #grow(): void {
    const [entries, hashes] = [this.#entries, this.#hashes];
    this.#entries = new Array<Expr | undefined>(2 * hashes.length).fill(undefined);
    this.#hashes = new Int32Array(2 * hashes.length);
    for (let at = 0; at < entries.length; at++) {
      const e = entries[at];
      if (e !== undefined) this.#put(hashes[at] as number, e);
    }
  }
}

function isAlike(e: Expr, head: Head, detail: Head, parts: readonly Expr[]): boolean {
  switch (e.kind) {
    case "apply": return e.fn === head && areSame(e.args, parts);
    case "read": return e.tensor === head && e.outside === detail && areSame(e.at, parts);
    // Zero has one sign here, and what is no number is one.
    case "number": return (e.value === head || Object.is(e.value, head)) && e.type === detail;
    case "axis": return e.axis === head;
    case "dial": return e.dial.name === head && Object.is(e.dial.value, detail);
    case "draw": return e.site === head && e.at === parts[0];
    case "reduce": {
      const { over, where } = e;
      if (e.by !== head || where.length !== parts.length - 1 || e.body !== parts[where.length]) return false;
      return areSame(over, detail as readonly Axis[]) && where.every((w, i) => w === parts[i]);
    }
    default: return e satisfies never;
  }
}

function areSame<T>(a: readonly T[], b: readonly T[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
