// Blocks of a sum of products whose invocations keep their sums in registers, fours side by side.

import { index, int, makeAxis, type Expr } from "../../ir/expr.ts";
import type { Block, Kernel } from "../kernel.ts";
import type { Local, Staged, Value } from "../loops.ts";
import { four } from "../vector.ts";
import { Contracting, localValue, quotient, range, remainder, sum, times, type Layout } from "./contracting.ts";
import { points, type Contraction } from "./contraction.ts";

/** Terms of a sum that are staged at once, at most. */
const deep = 16;

/** Invocations that compute a block. */
export const teamOf = (b: Block): number => (b.rows / b.height) * (b.columns / b.width);

export function layoutOf({ over, along }: Contraction, { rows, columns }: Block): Layout {
  const depth = Math.min(deep, Math.ceil(points(over) / four) * four);
  return {
    depth,
    // Lines along the sum are one four longer than they need be: so neighbouring ones lie in different banks.
    left: along ? { count: rows, stride: depth / four + 1 } : { count: depth, stride: rows / four },
    right: { count: depth, stride: columns / four },
  };
}

/** A block's `height` x `width` points are one invocation's. */
export class Registers extends Contracting {
  /** For each sum the fours of an invocation: its rows, and of each its columns. */
  #kept: readonly (readonly (readonly Local[])[])[] = [];

  constructor(kernel: Kernel, found: Contraction, block: Block) {
    super(kernel, found, block, layoutOf(found, block), teamOf(block));
  }

  protected begin(): void {
    const [{ lowering, found }, { height, width }] = [this, this.block];
    const zero: Value = { kind: "number", value: 0, type: "real" };
    this.#kept = found.sums.map(() => range(height).map(() => range(width / four).map(() => {
      const local = lowering.local("sum", "real", true);
      lowering.put({ kind: "var", local, value: zero });
      return local;
    })));
  }

  /** Where an invocation stands in its block: which of the column of invocations, and which of the row. */
  #stands(): readonly [Expr, Expr] {
    const across = this.block.columns / this.block.width;
    return [quotient(index(this.number), across), remainder(index(this.number), across)];
  }

  /** The row in the block that is an invocation's `i`-th. */
  #row(i: number): Expr {
    const { rows, height } = this.block;
    const [down] = this.#stands();
    const steps = rows / height;
    return this.found.along ? sum(down, int(i * steps)) : sum(times(sum(down, int(Math.floor(i / four) * steps)), four), int(i % four));
  }

  /** The four columns in the block that are an invocation's `j`-th, as their number among fours. */
  #fourColumns(j: number): Expr {
    const { columns, width } = this.block;
    return sum(this.#stands()[1], int((j * columns) / width));
  }

  protected multiply(): void {
    const [{ lowering, layout }, { along, sums }, { height, width }] = [this, this.found, this.block];
    const turn = makeAxis("turn", layout.depth / four);
    const load = (from: Staged, at: Expr): Value => {
      const local = lowering.local("of", "real", true);
      lowering.put({ kind: "let", local, value: { kind: "staged", from, at: lowering.value(at), type: "real" } });
      return localValue(local);
    };
    const part = (of: Value, lane: number): Value => ({ kind: "part", of, lane, type: "real" });
    lowering.each(turn.extent === 1 ? [] : [turn], [], () => {
      const long = along ? this.left.map((s) => range(height).map((i) => load(s, sum(times(this.#row(i), layout.left.stride), index(turn))))) : [];
      for (const z of range(four)) {
        const k = sum(times(index(turn), four), int(z));
        const left = along ? long.map((of) => of.map((v) => part(v, z))) : this.left.map((s) => {
          const fours = range(height / four).map((g) => load(s, sum(times(k, layout.left.stride), quotient(this.#row(g * four), four))));
          return range(height).map((i) => part(fours[Math.floor(i / four)] as Value, i % four));
        });
        const right = this.right.map((s) => range(width / four).map((j) => load(s, sum(times(k, layout.right.stride), this.#fourColumns(j)))));
        sums.forEach((s, n) => this.#kept[n]?.forEach((locals, i) => locals.forEach((local, j) => {
          const product: Value = { kind: "apply", fn: "mul", args: [left[s.left]?.[i] as Value, right[s.right]?.[j] as Value], type: "real" };
          lowering.put({ kind: "set", local, value: { kind: "apply", fn: "add", args: [localValue(local), product], type: "real" } });
        })));
      }
    });
  }

  protected finish(): void {
    for (const i of range(this.block.height)) {
      for (const j of range(this.block.width / four)) {
        this.four(this.#row(i), times(this.#fourColumns(j), four), this.#kept.map((of) => localValue(of[i]?.[j] as Local)));
      }
    }
  }
}
