// Boxes of a volume at another resolution: centres of voxels at halves, borders clamped.

import { invariant } from "../../compiler/report/diagnostic.ts";
import type { Box } from "./long-axis.ts";
import { voxels } from "./volume.ts";
import type { Triple } from "./volume.ts";

/** For every point of an axis at its new extent: the two old points it lies between, and the share of the second. */
interface Taps {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float64Array;
}

/** Old place of new point n: (n + 0.5) * from / to - 0.5, kept within the old points. */
function linear(from: number, to: number): Taps {
  const places = Float64Array.from({ length: to }, (_, n) => Math.min(Math.max(((n + 0.5) * from) / to - 0.5, 0), from - 1));
  return {
    low: Int32Array.from(places, Math.floor),
    high: Int32Array.from(places, (p) => Math.min(Math.floor(p) + 1, from - 1)),
    share: places.map((p) => p - Math.floor(p)),
  };
}

/** The old point whose cell holds the new point's centre. */
function nearest(from: number, to: number): Taps {
  const low = Int32Array.from({ length: to }, (_, n) => Math.min(Math.floor(((n + 0.5) * from) / to), from - 1));
  return { low, high: low, share: new Float64Array(to) };
}

type Kind = "linear" | "nearest";

/**
 * The voxels of `box` in `from` [D, H, W], as `size` of them, into `into` at `at`: trilinear, or the nearest one.
 * The box is cut out first, with zeros beyond the volume, then resized; nothing outside the box is mixed in.
 */
export function resizeBox(from: Float32Array | Uint8Array, shape: Triple, box: Box, size: Triple, kind: Kind, into: Float32Array | Uint8Array, at = 0): void {
  invariant(from.length === voxels(shape) && into.length >= at + voxels(size), () => `a box of ${shape.join(" x ")} into ${size.join(" x ")}`);
  const make = kind === "linear" ? linear : nearest;
  const taps = ([0, 1, 2] as const).map((axis) => make(box.size[axis], size[axis]));
  blend(taps, size, (z, y, x) => {
    const [a, b, c] = [z + box.start[0], y + box.start[1], x + box.start[2]];
    const inside = a >= 0 && b >= 0 && c >= 0 && a < shape[0] && b < shape[1] && c < shape[2];
    return inside ? (from[(a * shape[1] + b) * shape[2] + c] ?? 0) : 0;
  }, (n, value) => { into[at + n] = value; });
}

function blend([tz, ty, tx]: readonly Taps[], size: Triple, read: (z: number, y: number, x: number) => number, put: (n: number, value: number) => void): void {
  if (tz === undefined || ty === undefined || tx === undefined) return;
  let n = 0;
  for (let z = 0; z < size[0]; z++) {
    const [z0, z1, pz] = [tz.low[z] ?? 0, tz.high[z] ?? 0, tz.share[z] ?? 0];
    for (let y = 0; y < size[1]; y++) {
      const [y0, y1, py] = [ty.low[y] ?? 0, ty.high[y] ?? 0, ty.share[y] ?? 0];
      for (let x = 0; x < size[2]; x++) {
        const [x0, x1, px] = [tx.low[x] ?? 0, tx.high[x] ?? 0, tx.share[x] ?? 0];
        const line = (a: number, b: number): number => (1 - px) * read(a, b, x0) + (px === 0 ? 0 : px * read(a, b, x1));
        const plane = (a: number): number => (1 - py) * line(a, y0) + (py === 0 ? 0 : py * line(a, y1));
        put(n++, (1 - pz) * plane(z0) + (pz === 0 ? 0 : pz * plane(z1)));
      }
    }
  }
}
