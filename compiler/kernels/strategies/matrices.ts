// Blocks of a sum of products whose subgroups hand matrices to the adapter's matrix units. Sums are single precision whatever is multiplied.

import { index, int, makeAxis, type Expr } from "../../ir/expr.ts";
import type { Block, Kernel, MatrixUnit, Multiplier } from "../kernel.ts";
import type { Local, Matrix, Staged, Team, Value } from "../loops.ts";
import { four } from "../vector.ts";
import { Contracting, localValue, less, quotient, range, remainder, sum, times, type Layout, type Lines } from "./contracting.ts";
import { points, type Contraction } from "./contraction.ts";

/** Bytes of a four. */
const bytesOf = { f32: 16, f16: 8 };
/** Bytes of a line of terms, and the multiple of which begins each line and matrix: Vulkan wants it so. */
const [line, aligned] = [64, 16];

const subgroupsOf = (b: Block): number => (b.rows / b.height) * (b.columns / b.width);
/** Invocations that compute a block. */
export const teamBy = (b: Block, { subgroup }: Multiplier): number => subgroupsOf(b) * subgroup;

export function layoutBy({ over, along }: Contraction, { rows, columns }: Block, { component, k }: MatrixUnit): Layout {
  const most = Math.max(k, Math.floor((four * line) / bytesOf[component] / k) * k);
  const depth = Math.min(most, Math.ceil(points(over) / k) * k);
  // Longer than need be: so neighbouring lines lie in different banks.
  const lines = (count: number, elements: number): Lines => ({ count, stride: elements / four + aligned / bytesOf[component] });
  return { depth, left: along ? lines(rows, depth) : lines(depth, rows), right: lines(depth, columns), single: component };
}

/** Bytes of workgroup memory that a team takes. */
export function sharedBytes(found: Contraction, block: Block, { unit }: Multiplier): number {
  const { left, right } = layoutBy(found, block, unit);
  return bytesOf[unit.component] * (found.left.length * left.count * left.stride + found.right.length * right.count * right.stride)
    + bytesOf.f32 * found.sums.length * spilled(block, unit);
}

/** Fours of one sum that are handed from the units to the invocations at once: a matrix from each subgroup. */
const spilled = (block: Block, { m, n }: MatrixUnit): number => (subgroupsOf(block) * m * n) / four;

/** A block's `height` x `width` points are one subgroup's, in matrices. */
export class Matrices extends Contracting {
  readonly #by: Multiplier;
  readonly #spilled: readonly Staged[];
  /** For each sum the matrices of a subgroup: its rows, and of each its columns. */
  #kept: readonly (readonly (readonly Matrix[])[])[] = [];

  constructor(kernel: Kernel, found: Contraction, block: Block, by: Multiplier) {
    super(kernel, found, block, layoutBy(found, block, by.unit), teamBy(block, by));
    this.#by = by;
    this.#spilled = found.sums.map((_, n) => ({ name: `spilled${n}`, fours: spilled(block, by.unit), single: "f32" }));
  }

  protected override more(): Partial<Team> {
    return { staged: [...this.left, ...this.right, ...this.#spilled], subgroup: this.#by.subgroup };
  }

  #matrix(part: Matrix["part"]): Matrix {
    return { name: this.lowering.local("matrix", "real").name, part, unit: this.#by.unit };
  }

  protected begin(): void {
    const { m, n } = this.#by.unit;
    this.#kept = this.found.sums.map(() => range(this.block.height / m).map(() => range(this.block.width / n).map(() => {
      const matrix = this.#matrix("sum");
      this.lowering.put({ kind: "matrix", matrix });
      return matrix;
    })));
  }

  /** The first row and the first column of the block that are the `of`-th subgroup's. */
  #corner(of: Expr): readonly [Expr, Expr] {
    const { columns, height, width } = this.block;
    return [times(quotient(of, columns / width), height), times(remainder(of, columns / width), width)];
  }

  /** Which of its team an invocation's subgroup is. */
  #own(): Expr {
    return quotient(index(this.number), this.#by.subgroup);
  }

  protected multiply(): void {
    const [{ lowering, found, layout, block }, { m, n, k }, [row, column]] = [this, this.#by.unit, this.#corner(this.#own())];
    const turn = makeAxis("turn", layout.depth / k);
    const fetch = (from: Staged, part: "left" | "right", at: Expr, { stride }: Lines, turned: boolean): Matrix => {
      const matrix = this.#matrix(part);
      lowering.put({ kind: "fetch", matrix, from, at: lowering.value(at), stride: stride * four, turned });
      return matrix;
    };
    /** The element at a line and a place in it. */
    const element = ({ stride }: Lines, along: Expr, place: Expr): Expr => sum(times(along, stride * four), place);
    lowering.each(turn.extent === 1 ? [] : [turn], [], () => {
      const term = times(index(turn), k);
      const right = this.right.map((s) => range(block.width / n).map((j) => fetch(s, "right", element(layout.right, term, sum(column, int(j * n))), layout.right, false)));
      for (const i of range(block.height / m)) {
        const down = sum(row, int(i * m));
        const left = this.left.map((s) => fetch(s, "left", found.along ? element(layout.left, down, term) : element(layout.left, term, down), layout.left, !found.along));
        found.sums.forEach((s, at) => this.#kept[at]?.[i]?.forEach((into, j) => {
          lowering.put({ kind: "multiply", into, left: left[s.left] as Matrix, right: right[s.right]?.[j] as Matrix });
        }));
      }
    });
  }

  /** Matrix by matrix: units alone know which invocation holds which element, so all go through workgroup memory. */
  protected finish(): void {
    const [{ lowering, block, number }, { m, n }] = [this, this.#by.unit];
    const each = (m * n) / four;
    const places = range(block.height / m).flatMap((i) => range(block.width / n).map((j) => [i, j] as const));
    places.forEach(([i, j], turn) => {
      if (turn > 0) lowering.put({ kind: "barrier" });
      this.#spilled.forEach((into, s) => {
        lowering.put({ kind: "spill", matrix: this.#kept[s]?.[i]?.[j] as Matrix, into, at: lowering.value(times(this.#own(), m * n)), stride: n });
      });
      lowering.put({ kind: "barrier" });
      for (const first of range(Math.ceil((subgroupsOf(block) * each) / number.extent))) {
        const slot = sum(index(number), int(first * number.extent));
        lowering.each([], [less(slot, subgroupsOf(block) * each)], () => {
          const [[row, column], inside] = [this.#corner(quotient(slot, each)), remainder(slot, each)];
          const sums = this.#spilled.map((from): Value => {
            const local: Local = lowering.local("sum", "real", true);
            lowering.put({ kind: "let", local, value: { kind: "staged", from, at: lowering.value(slot), type: "real" } });
            return localValue(local);
          });
          this.four(sum(sum(row, int(i * m)), quotient(inside, n / four)), sum(sum(column, int(j * n)), times(remainder(inside, n / four), four)), sums);
        });
      }
    });
  }
}
