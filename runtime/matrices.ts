// What an adapter's matrix units multiply, as far as kernels can use it.

import type { MatrixUnit } from "../compiler/plan/plan.ts";

/** Dawn's feature for them, which is not WebGPU's yet. */
export const matrixFeature = "chromium-experimental-subgroup-matrix" as GPUFeatureName;

/** One of the shapes that an adapter lists; the types of WebGPU do not know them yet. */
interface Listed {
  readonly componentType: unknown;
  readonly resultComponentType: unknown;
  readonly M: unknown;
  readonly N: unknown;
  readonly K: unknown;
}

/** The units for singles and halves whose sums are singles, with `m` x `k` by `k` x `n` elements; none where there is no such feature. */
export function unitsOf({ info, features }: Pick<GPUAdapter, "info" | "features">): readonly MatrixUnit[] {
  const listed: unknown = "subgroupMatrixConfigs" in info ? info.subgroupMatrixConfigs : undefined;
  if (!features.has(matrixFeature) || !Array.isArray(listed)) return [];
  return listed.flatMap(({ componentType: component, resultComponentType, M: m, N: n, K: k }: Listed): readonly MatrixUnit[] => {
    if (resultComponentType !== "f32" || typeof m !== "number" || typeof n !== "number" || typeof k !== "number") return [];
    return component === "f32" || (component === "f16" && features.has("shader-f16")) ? [{ component, m, n, k }] : [];
  });
}
