// Keeps the largest connected part of a class and gives the rest to the background.

import { components, largest } from "../data/components.ts";
import type { Triple } from "../data/volume.ts";

/** Labels [D, H, W] with one 6-connected part, the largest, of each of the `classes`; in place. */
export function keepLargest(labels: Uint8Array, shape: Triple, classes: readonly number[]): void {
  for (const value of classes) {
    const parts = components(labels.map((label) => (label === value ? 1 : 0)), shape);
    const kept = largest(parts);
    for (const part of parts) if (part !== kept) for (const at of part.at) labels[at] = 0;
  }
}
