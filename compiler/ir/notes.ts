// What has been found out about expressions and axes: they live as long as the program, so a plain table by their numbers does.

/** An expression or an axis. */
interface Numbered {
  readonly id: number;
}

const bits = 10;
const size = 1 << bits;

/** A table from expressions or axes to `T`, faster than a `Map`. */
export class Notes<T> {
  readonly #pages: (T | undefined)[][] = [];

  get(e: Numbered): T | undefined {
    return this.#pages[e.id >>> bits]?.[e.id & (size - 1)];
  }

  set(e: Numbered, note: T): void {
    const at = e.id >>> bits;
    while (this.#pages.length <= at) this.#pages.push([]);
    let page = this.#pages[at] as (T | undefined)[];
    if (page.length === 0) this.#pages[at] = page = new Array<T | undefined>(size).fill(undefined);
    page[e.id & (size - 1)] = note;
  }
}
