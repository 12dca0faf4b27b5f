// Slices of validation patches for the report: for each class the one that shows most of it, as image, label and prediction.

import type { Draw, Indexed } from "../data/patches.ts";
import type { Triple } from "../data/volume.ts";
import type { Colour } from "../picture/canvas.ts";
import { classColour } from "../picture/slice.ts";
import { encodePng } from "../png.ts";
import type { Seen } from "../train/validate.ts";

/** Three pictures of a slice, as base64 of PNG files, and what they show. */
export interface SliceView {
  /** The value of the class, and its name. */
  readonly value: number;
  readonly name: string;
  readonly case: string;
  /** Pictures are this many pixels wide and high; a pixel is this many millimetres. */
  readonly width: number;
  readonly height: number;
  readonly spacing: readonly [number, number];
  readonly image: string;
  readonly label: string;
  readonly prediction: string;
}

/** A slice [H, W] that is kept. */
interface Kept {
  readonly count: number;
  readonly from: number;
  readonly image: Float32Array;
  readonly label: Uint8Array;
  readonly found: Uint8Array;
}

/** Looks at batches as they are validated and keeps the best slice of each class. */
export class SliceKeeper {
  readonly #patch: Triple;
  readonly #cases: readonly Indexed[];
  readonly #classes: readonly string[];
  readonly #kept = new Map<number, Kept>();

  /** Class names begin with the background. */
  constructor(patch: Triple, cases: readonly Indexed[], classes: readonly string[]) {
    this.#patch = patch;
    this.#cases = cases;
    this.#classes = classes;
  }

  /** Keeps copies of what is better than before; the first channel is shown. */
  see({ draws, images, labels, found }: Seen): void {
    const [depth, height, width] = this.#patch;
    const plane = height * width;
    const counts = new Uint32Array(this.#classes.length);
    draws.forEach(({ from }: Draw, sample) => {
      for (let z = 0; z < depth; z++) {
        const at = (sample * depth + z) * plane;
        counts.fill(0);
        for (let n = at; n < at + plane; n++) counts[labels[n] ?? 0] = (counts[labels[n] ?? 0] ?? 0) + 1;
        for (let value = 1; value < counts.length; value++) {
          const count = counts[value] ?? 0;
          // The patches of a validation are those of the one before: a slice replaces itself.
          if (count === 0 || count < (this.#kept.get(value)?.count ?? 0)) continue;
          const first = (sample * (images.length / draws.length)) + z * plane;
          this.#kept.set(value, { count, from, image: images.slice(first, first + plane), label: Uint8Array.from(labels.subarray(at, at + plane)), found: found.slice(at, at + plane) });
        }
      }
    });
  }

  /** The slices by class, without classes that no label has. */
  views(): readonly SliceView[] {
    const [, height, width] = this.#patch;
    return [...this.#kept].sort(([a], [b]) => a - b).map(([value, { from, image, label, found }]) => {
      const source = this.#cases[from]?.source;
      const grey = greyOf(image);
      const picture = (labels: Uint8Array | undefined): string => Buffer.from(draw(grey, labels, value, width, height)).toString("base64");
      return {
        value, name: this.#classes[value] ?? String(value), case: source?.name ?? "", width, height,
        spacing: [source?.spacing[2] ?? 1, source?.spacing[1] ?? 1],
        image: picture(undefined), label: picture(label), prediction: picture(found),
      };
    });
  }
}

/** Nearly all of a slice between black and white. */
function greyOf(slice: Float32Array): Uint8Array {
  const sorted = slice.slice().sort();
  const [low, high] = [sorted[Math.floor(sorted.length * 0.01)] ?? 0, sorted[Math.floor(sorted.length * 0.995)] ?? 1];
  return Uint8Array.from(slice, (value) => Math.min(255, Math.max(0, ((value - low) / Math.max(high - low, 1e-6)) * 255)));
}

/** Tint of the class a slice was chosen for, and of the others. */
const [strong, light] = [0.62, 0.25];

/** A PNG of a slice as doctors look at it: the patient's right on the left, the front at the top. */
function draw(grey: Uint8Array, labels: Uint8Array | undefined, value: number, width: number, height: number): Uint8Array {
  const rgb = new Uint8Array(3 * width * height);
  for (let n = 0; n < grey.length; n++) {
    const out = 3 * (grey.length - 1 - n);
    const g = grey[n] ?? 0;
    const label = labels?.[n] ?? 0;
    const cover = label === 0 ? 0 : label === value ? strong : light;
    const colour: Colour = label === 0 ? [g, g, g] : classColour(label);
    for (const part of [0, 1, 2] as const) rgb[out + part] = Math.round(g * (1 - cover) + colour[part] * cover);
  }
  return encodePng(rgb, width, height);
}
