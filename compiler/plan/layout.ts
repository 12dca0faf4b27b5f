// Where kept values lie: weights, gradients and memories side by side in a few long flat buffers.

import type { Tensor } from "../ir/graph.ts";
import { sizeOf, source, type Origin } from "../ir/graph.ts";

/** A flat tensor and the tensors stored one after the other inside it, at offsets in elements. */
export interface Pack {
  readonly flat: Tensor;
  readonly parts: readonly { readonly tensor: Tensor; readonly offset: number }[];
}

/** Bindings begin at multiples of 256 bytes on every adapter. */
export const alignment = 64;

/** Offsets of tensors laid side by side, cut into stretches of at most `limit` elements. */
export function stretches(tensors: readonly Tensor[], limit: number): readonly { readonly tensors: readonly Tensor[]; readonly offsets: readonly number[]; readonly length: number }[] {
  const all: { tensors: Tensor[]; offsets: number[]; length: number }[] = [];
  for (const t of tensors) {
    const room = Math.ceil(sizeOf(t) / alignment) * alignment;
    let last = all[all.length - 1];
    if (!last || last.length + room > limit) {
      last = { tensors: [], offsets: [], length: 0 };
      all.push(last);
    }
    last.tensors.push(t);
    last.offsets.push(last.length);
    last.length += room;
  }
  return all;
}

const nowhere: Origin = { span: undefined, path: "" };

/** A pack under a name. */
export function pack(name: string, tensors: readonly Tensor[], offsets: readonly number[], length: number): Pack {
  return { flat: source(name, [length], nowhere), parts: tensors.map((tensor, i) => ({ tensor, offset: offsets[i] as number })) };
}
