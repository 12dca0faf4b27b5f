// The texts of launches: twins that are bound alike share one, and it is written only once.

import type { Tensor } from "../ir/graph.ts";
import { vectorsOf, type Loops } from "../kernels/loops.ts";
import { emit, type Binding, type Emitted, type Manner } from "./emit.ts";

/** All tensors of a launch; those of twins correspond place by place. */
const tensorsOf = ({ writes, reads }: Loops): readonly Tensor[] => [...writes, ...reads];

/** The first of some twins. */
interface Known {
  readonly loops: Loops;
  readonly tensors: readonly Tensor[];
  readonly vectors: ReadonlySet<Tensor>;
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
    const { tensors, vectors } = this.#of(loops);
    return new Set(tensorsOf(loops).filter((_, place) => vectors.has(tensors[place] as Tensor)));
  }

  text(loops: Loops, bindings: readonly Binding[], size: number): Emitted {
    const first = this.#of(loops);
    const own = tensorsOf(loops);
    const places = bindings.map((b) => b.tensors.map((t) => own.indexOf(t)));
    const key = bindings.map(({ access, part, parts, vector }, i) => `${places[i]?.join()} ${access} ${part} ${parts} ${vector}`).join(";");
    let made = first.texts.get(key);
    if (!made) {
      const bound = bindings.map((b, i) => ({ ...b, tensors: (places[i] ?? []).map((place) => first.tensors[place] as Tensor) }));
      first.texts.set(key, made = emit(first.loops, bound, this.#uniforms, size, this.#how));
    }
    return made;
  }

  #of(loops: Loops): Known {
    const first = loops.like ?? loops;
    let known = this.#known.get(first);
    if (!known) this.#known.set(first, known = { loops: first, tensors: tensorsOf(first), vectors: vectorsOf(first), texts: new Map() });
    return known;
  }
}
