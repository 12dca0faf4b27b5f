// Small cases for tests, of values that a function gives.

import type { Case } from "../../runtime/data/case.ts";

/** A case of one channel with 4 x 4 x 4 voxels, half of them foreground. */
export function madeCase(name: string, value: (at: number) => number): Case {
  const image = Float32Array.from({ length: 64 }, (_, at) => value(at));
  const affine = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]] as const;
  return {
    name, channels: 1, image, label: Uint8Array.from(image, (_, at) => at % 2), shape: [4, 4, 4], spacing: [1, 1, 1],
    affine, stored: { affine } as unknown as Case["stored"],
  } as Case;
}
