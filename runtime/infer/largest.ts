// Keeps the largest connected part of a class and gives the rest to the background.

import { components, largest } from "../data/components.ts";
import type { Triple } from "../data/volume.ts";
import type { Values } from "../train/metrics.ts";

/** Labels [D, H, W] with one 26-connected part, the largest, of each of the `classes`, one after the other; in place. */
export function keepLargest(labels: Uint8Array, shape: Triple, classes: readonly Values[]): void {
  for (const values of classes) {
    const parts = components(labels.map((label) => (values.includes(label) ? 1 : 0)), shape, 26);
    const kept = largest(parts);
    for (const part of parts) if (part !== kept) for (const at of part.at) labels[at] = 0;
  }
}
