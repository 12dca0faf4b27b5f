// The texts of launches: twins that are bound alike share one, and it is written only once.

import type { Tensor } from "../ir/graph.ts";
import { vectorsOf, type Loops } from "../kernels/loops.ts";
import { emit, type Binding, type Emitted, type Manner } from "./emit.ts";

/** All tensors of a launch; those of twins correspond place by place. */
const tensorsOf = ({ writes, reads }: Loops): readonly Tensor[] => [...writes, ...reads];

interface Known {
  /** Places of the tensors that are loaded or stored four at a time. */
  readonly vectors: ReadonlySet<number>;
  readonly texts: Map<string, Emitted>;
}

export class Texts {
  readonly #known = new Map<Loops, Known>();
  readonly #uniforms: readonly { readonly name: string; readonly type: "f32" | "u32" }[];
  readonly #how: Manner;

  /** As for `emit`. */
  constructor(uniforms: readonly { readonly name: string; readonly type: "f32" | "u32" }[], how: Manner) {
    this.#uniforms = uniforms;
    this.#how = how;
  }

  /** The tensors of which four elements are loaded or stored in one go. */
  vectors(loops: Loops): ReadonlySet<Tensor> {
    const { vectors } = this.#of(loops);
    return new Set(tensorsOf(loops).filter((_, place) => vectors.has(place)));
  }

  text(loops: Loops, bindings: readonly Binding[], size: number): Emitted {
    const { texts } = this.#of(loops);
    const places = new Map(tensorsOf(loops).map((t, place) => [t, place]));
    const key = bindings.map((b) => `${b.tensors.map((t) => places.get(t)).join()} ${b.access} ${b.part} ${b.parts} ${b.vector}`).join(";");
    let made = texts.get(key);
    if (!made) texts.set(key, made = emit(loops, bindings, this.#uniforms, size, this.#how));
    return made;
  }

  #of(loops: Loops): Known {
    const first = loops.like ?? loops;
    let known = this.#known.get(first);
    if (!known) {
      const vectors = vectorsOf(first);
      const places = tensorsOf(first).flatMap((t, place) => (vectors.has(t) ? [place] : []));
      this.#known.set(first, known = { vectors: new Set(places), texts: new Map() });
    }
    return known;
  }
}
