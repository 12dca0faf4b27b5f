// Prepared cases that do not all fit into memory: those used last are held, the others read again from the cache.

import { Fault, diagnostic, invariant } from "../../compiler/report/diagnostic.ts";
import { keptCase } from "./cache.ts";
import { caseBytes } from "./case-work.ts";
import type { Case } from "./case.ts";

type Pixels = Pick<Case, "image" | "label">;

/** Holds the voxels of cases up to a number of bytes; one case is always held. */
export class Larder {
  readonly #most: number;
  /** By path; the one used last stands last. */
  readonly #held = new Map<string, Case>();
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A case that is kept in a file; its voxels are there whenever they are looked at. */
  hold(path: string): Case {
    const { image: _image, label: _label, ...plain } = this.#take(path);
    const pixels = (): Pixels => this.#take(path);
    return { ...plain, get image() { return pixels().image; }, get label() { return pixels().label; } };
  }

  #take(path: string): Case {
    const held = this.#held.get(path);
    if (held !== undefined) {
      this.#held.delete(path);
      this.#held.set(path, held);
      return held;
    }
    const one = keptCase(path)?.value;
    if (one === undefined) {
      throw new Fault(diagnostic("N1006", `cannot read ${path}`, { facts: ["It held a prepared case and is gone from the cache."], hint: "start again with `--resume`; the case is then prepared anew" }));
    }
    this.#bytes += caseBytes(one);
    this.#held.set(path, one);
    for (const [old, value] of this.#held) {
      if (this.#bytes <= this.#most || old === path) break;
      this.#held.delete(old);
      this.#bytes -= caseBytes(value);
    }
    invariant(this.#bytes >= 0, () => "a larder that owes");
    return one;
  }
}
