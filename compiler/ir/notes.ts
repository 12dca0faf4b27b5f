// What has been found out about expressions, by expression: they live as long as the program, so a plain table does.

import type { Expr } from "./expr.ts";

const bits = 10;
const size = 1 << bits;

/** A table from expressions to `T`, faster than a `Map`. */
export class Notes<T> {
  readonly #pages: (T | undefined)[][] = [];

  get(e: Expr): T | undefined {
    return this.#pages[e.id >>> bits]?.[e.id & (size - 1)];
  }

  set(e: Expr, note: T): void {
    const at = e.id >>> bits;
    while (this.#pages.length <= at) this.#pages.push([]);
    let page = this.#pages[at] as (T | undefined)[];
    if (page.length === 0) this.#pages[at] = page = new Array<T | undefined>(size).fill(undefined);
    page[e.id & (size - 1)] = note;
  }
}
