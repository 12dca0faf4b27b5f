// Which definitions have no memory of their own and are computed within a launch: for messages about it.

import { readsOf } from "../compiler/ir/rewrite.ts";
import type { Tensor } from "../compiler/ir/graph.ts";
import type { Launch } from "../compiler/kernels/ranges.ts";
import { provenance } from "../compiler/plan/assemble.ts";
import type { Within } from "../runtime/train/culprit.ts";

/** Definitions of the launch with a number, the first to be computed first; of others none are known. */
export function writtenIn(launches: readonly Pick<Launch, "kernels">[]): (launch: number) => readonly Within[] {
  const stored = new Set(launches.flatMap((l) => l.kernels).flatMap((k) => k.results.map(({ root }) => root)));
  return (launch) => {
    const results = (launches[launch]?.kernels ?? []).flatMap((k) => k.results);
    const inner = new Set<Tensor>();
    const visit = (tensor: Tensor): void => {
      for (const { tensor: read } of tensor.body === undefined ? [] : readsOf(tensor.body)) {
        if (stored.has(read) || read.body === undefined || inner.has(read)) continue;
        visit(read);
        inner.add(read);
      }
    };
    for (const { root } of results) visit(root);
    // Passes leave several tensors of one equation.
    const seen = new Map([...inner].map(({ name, origin }) => ({ name, origin: provenance(origin) })).map((one) => [JSON.stringify(one), one]));
    return [...seen.values()];
  };
}
