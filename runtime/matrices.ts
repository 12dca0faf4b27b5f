// What an adapter's matrix units multiply, as far as kernels can use it: what it lists, and what then proves to be true.

import type { MatrixUnit } from "../compiler/plan/plan.ts";
import { probed } from "./probe.ts";

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

/** Subgroups of the workgroup that is tried. */
const teams = 2;
/** `(line * a + place * b) % c - d` is a factor's element: small whole numbers, so that all sums are exact. */
const [left, right] = [{ a: 3, b: 5, c: 7, d: 3 }, { a: 2, b: 3, c: 5, d: 2 }];
type Factor = typeof left;
const element = (line: number, place: number, { a, b, c, d }: Factor): number => ((line * a + place * b) % c) - d;
const words = (line: string, place: string, { a, b, c, d }: Factor): string => `(${line} * ${a} + ${place} * ${b}) % ${c} - ${d}`;

/** Those of some units that multiply as kernels want it: factors from lines in workgroup memory, both ways round, one subgroup beside the other. */
export async function provenUnits(gpu: GPUDevice, units: readonly MatrixUnit[], subgroup: number): Promise<readonly MatrixUnit[]> {
  const proven: MatrixUnit[] = [];
  for (const unit of units) {
    const { m, n, k } = unit;
    const found = await probed(gpu, probe(unit, subgroup), 1, teams * m * n * 4);
    const sum = (row: number, column: number): number => Array.from({ length: k }, (_, t) => 2 * element(row, t, left) * element(t, column, right)).reduce((a, b) => a + b);
    if (found && new Float32Array(found).every((v, i) => v === sum(Math.floor(i / n) % m, i % n))) proven.push(unit);
  }
  return proven;
}

/** Adds a product to itself, with the left factor by rows and by columns; every subgroup does the same. */
function probe({ component, m, n, k }: MatrixUnit, subgroup: number): string {
  const size = teams * subgroup;
  const each = (count: number, body: string): string => `for (var e = i; e < ${count}; e += ${size}) { ${body} }`;
  const [byRows, byColumns, lines] = [k + 8, m + 8, n + 8];
  return `${component === "f16" ? "enable f16;\n" : ""}enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
@group(0) @binding(0) var<storage, read_write> found: array<f32>;
var<workgroup> rows: array<${component}, ${m * byRows}>;
var<workgroup> columns: array<${component}, ${k * byColumns}>;
var<workgroup> right: array<${component}, ${k * lines}>;
var<workgroup> sums: array<f32, ${teams * m * n}>;
@compute @workgroup_size(${size})
fn main(@builtin(local_invocation_index) number: u32) {
  let i = i32(number);
  ${each(m * k, `let v = ${component}(${words(`(e / ${k})`, `(e % ${k})`, left)}); rows[e / ${k} * ${byRows} + e % ${k}] = v; columns[e % ${k} * ${byColumns} + e / ${k}] = v;`)}
  ${each(k * n, `right[e / ${n} * ${lines} + e % ${n}] = ${component}(${words(`(e / ${n})`, `(e % ${n})`, right)});`)}
  workgroupBarrier();
  let b = subgroupMatrixLoad<subgroup_matrix_right<${component}, ${n}, ${k}>, row_major>(&right, 0u, ${lines}u);
  var sum: subgroup_matrix_result<f32, ${n}, ${m}>;
  sum = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<subgroup_matrix_left<${component}, ${k}, ${m}>, row_major>(&rows, 0u, ${byRows}u), b, sum);
  sum = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<subgroup_matrix_left<${component}, ${k}, ${m}>, col_major>(&columns, 0u, ${byColumns}u), b, sum);
  subgroupMatrixStore<row_major>(&sums, u32(i / ${subgroup} * ${m * n}), sum, ${n}u);
  workgroupBarrier();
  ${each(teams * m * n, "found[e] = sums[e];")}
}`;
}
