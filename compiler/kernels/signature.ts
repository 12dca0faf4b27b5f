// What is left of a launch without the identity of its tensors and axes: launches of one signature run the same program.

import type { Axis, Expr } from "../ir/expr.ts";
import { shapeOf, type Tensor } from "../ir/graph.ts";
import type { Group } from "./kernel.ts";

/** A text that equal launches share, and what it leaves out: equal launches have these at equal places. */
export interface Signature {
  readonly key: string;
  readonly axes: readonly Axis[];
  readonly tensors: readonly Tensor[];
}

/** A short name for a long text, of 53 bits. Two texts of one name are possible, but rare, and do no harm. */
export function digest(text: string): string {
  let [a, b] = [0x9e3779b1, 0x85ebca77];
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0xc2b2ae3d);
    b = Math.imul(b ^ c, 0x27d4eb2f);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  a = Math.imul(a ^ (b >>> 16), 0x85ebca77);
  b = Math.imul(b ^ (a >>> 13), 0xc2b2ae3d);
  return ((b & 0x1fffff) * 2 ** 32 + (a >>> 0)).toString(36);
}

/** Numbers things in the order in which they are met. */
class Numbers<T> {
  readonly all: T[] = [];
  readonly #of = new Map<T, number>();

  of(x: T): number {
    const known = this.#of.get(x);
    if (known !== undefined) return known;
    this.#of.set(x, this.all.length);
    return this.all.push(x) - 1;
  }
}

/** Names of axes count, since shaders show them; sums of indices are ordered by age, so that counts too. */
export function signatureOf(group: Group): Signature {
  const axes = new Numbers<Axis>();
  const tensors = new Numbers<Tensor>();
  const nodes = new Map<Expr, number>();
  const atoms: Expr[] = [];
  const out: (string | number)[] = [];
  const visit = (e: Expr): number => {
    const known = nodes.get(e);
    if (known !== undefined) return known;
    const parts = e.parts.map(visit);
    switch (e.kind) {
      case "number": out.push("n", Object.is(e.value, -0) ? "-0" : e.value, e.type); break;
      case "axis": out.push("x", axes.of(e.axis)); break;
      case "dial": out.push("d", e.dial.name); break;
      case "draw": out.push("w", e.site); break;
      case "read": out.push("r", tensors.of(e.tensor), e.outside); break;
      case "apply": out.push(e.fn); break;
      case "reduce": out.push(e.by, e.where.length, ...e.over.map((a) => axes.of(a))); break;
      default: e satisfies never;
    }
    for (let i = 0; i < parts.length; i++) out.push(parts[i] as number);
    out.push(";");
    if (e.type === "int" && e.kind !== "number") atoms.push(e);
    nodes.set(e, nodes.size);
    return nodes.size - 1;
  };
  out.push(...group.axes.map((a) => axes.of(a)), "of", ...group.covered.map((a) => axes.of(a)), ":");
  for (const { root, body, at } of group.results) {
    const place = tensors.of(root);
    const value = visit(body);
    out.push("into", place, value, root.type === "wide" ? root.axes.map((a) => `${axes.of(a)}`).join() : "", ...(at ? ["at", ...at.map(visit)] : []), ";");
  }
  const byAge = (all: readonly { readonly id: number }[]): number[] => all.map((_, i) => i).sort((i, k) => (all[i]?.id ?? 0) - (all[k]?.id ?? 0));
  const told = [
    out.join(" "), axes.all.map((a) => `${a.name}<${a.extent}`).join(), byAge(axes.all).join(), byAge(atoms).join(),
    tensors.all.map((t) => `${t.type}${t.half ? "/2" : ""}[${shapeOf(t).join()}]`).join(),
  ];
  return { key: told.join("\n"), axes: axes.all, tensors: tensors.all };
}
