// What the invocations of a subgroup load for each other: each loads one of the elements that all of them need, and hands it on.

import { affine, build, coefficient, without, type Affine } from "../ir/affine.ts";
import { index, int, type Axis, type Expr } from "../ir/expr.ts";
import type { Tensor } from "../ir/graph.ts";
import { readsOf, substitute } from "../ir/rewrite.ts";
import { flatOf } from "../ir/simplify.ts";

/** Where an element is found that somebody loads for all: the `mate`-th invocation loads it at `base + offsets[mate]`. */
export interface Place {
  readonly base: Expr;
  readonly offsets: readonly number[];
  readonly mate: number;
}

/** Elements of a tensor whose places differ by numbers alone. */
interface Shared {
  readonly from: Tensor;
  readonly base: Expr;
  readonly constants: Set<number>;
  places: ReadonlyMap<number, Place> | undefined;
}

export class Mates {
  readonly #size: number;
  readonly #abreast: ReadonlySet<Axis>;
  readonly #lane: Axis | undefined;
  readonly #shared = new Map<Tensor, Map<Expr, Shared>>();

  /** For a program that computes `values`; the invocations of a subgroup of `size` differ along `abreast`, the points of a vector along `lane`. */
  constructor(size: number, abreast: ReadonlySet<Axis>, lane: Axis | undefined, values: readonly Expr[]) {
    this.#size = size;
    this.#abreast = abreast;
    this.#lane = lane;
    for (const r of new Set(values.flatMap(readsOf))) {
      if (this.isApart(r) || r.type === "wide") continue;
      for (const { base, constant } of this.#parted(flatOf(r))) {
        let of = this.#shared.get(r.tensor);
        if (!of) this.#shared.set(r.tensor, of = new Map());
        const known = of.get(base);
        if (known) known.constants.add(constant);
        else of.set(base, { from: r.tensor, base, constants: new Set([constant]), places: undefined });
      }
    }
  }

  /** Whether the invocations of a subgroup may have different values of it. */
  isApart(e: Expr): boolean {
    for (const a of e.free) if (this.#abreast.has(a)) return true;
    return false;
  }

  /** Who loads the elements at a place, one or four; undefined where each loads them for itself. */
  placesOf(from: Tensor, flat: Expr): readonly Place[] | undefined {
    const found: Place[] = [];
    for (const part of this.#parted(flat)) {
      const place = this.#placeOf(from, part);
      if (!place) return undefined;
      found.push(place);
    }
    return found;
  }

  #placeOf(from: Tensor, { base, constant }: Parted): Place | undefined {
    const shared = this.#shared.get(from)?.get(base);
    // One alone would be loaded all the same.
    if (!shared || shared.constants.size < 2) return undefined;
    shared.places ??= this.#dealt(shared);
    return shared.places.get(constant);
  }

  /** A place, or the four places of a vector's points. */
  #parted(flat: Expr): readonly Parted[] {
    const lane = this.#lane;
    if (!lane || !flat.free.includes(lane)) return [parted(affine(flat))];
    const sum = affine(flat);
    const step = coefficient(sum, lane);
    const lanes = [0, 1, 2, 3];
    if (step === undefined) return lanes.map((i) => parted(affine(substitute(flat, new Map([[lane, int(i)]]), true))));
    const { base, constant } = parted(without(sum, index(lane)));
    return lanes.map((i) => ({ base, constant: constant + i * step }));
  }

  /** Neighbours in memory go together. Who has nothing to load loads the last once more. */
  #dealt({ base, constants }: Shared): ReadonlyMap<number, Place> {
    const all = [...constants].sort((a, b) => a - b);
    const places = new Map<number, Place>();
    for (let from = 0; from < all.length; from += this.#size) {
      const mine = all.slice(from, from + this.#size);
      const last = mine[mine.length - 1] ?? 0;
      const offsets = Array.from({ length: this.#size }, (_, mate) => mine[mate] ?? last);
      mine.forEach((constant, mate) => places.set(constant, { base, offsets, mate }));
    }
    return places;
  }
}

/** A place as a number and the rest. */
interface Parted {
  readonly base: Expr;
  readonly constant: number;
}

function parted(sum: Affine): Parted {
  return { base: build({ ...sum, constant: 0 }), constant: sum.constant };
}
