// Whole numbers have 32 bits on a device: what would need more is refused, since it would wrap and be silently wrong.

import type { Expr, Primitive } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { interval, type Interval } from "../ir/interval.ts";
import { readsOf, walk } from "../ir/rewrite.ts";
import { diagnostic, Fault, type Diagnostic } from "../report/diagnostic.ts";
import type { Definition } from "./kernel.ts";

/** The least number that is too large. */
const limit = 2 ** 31;

/**
 * Sums and products may wrap on the way, as long as what comes out fits: what is left of 32 bits is right then. These functions
 * tell a number that has wrapped from one that has not.
 */
const sees: ReadonlySet<Primitive> = new Set(["idiv", "imod", "min", "max", "abs", "real", "eq", "ne", "lt", "le"]);

/** Throws where a tensor has more elements than 32 bits count, or an index takes values beyond them. What data say is not looked at. */
export function demandWhole(definitions: readonly Definition[]): void {
  const seen = new Set<Expr>();
  for (const { root, body } of definitions) {
    for (const t of [root, ...readsOf(body).map((r) => r.tensor)]) if (sizeOf(t) >= limit) throw new Fault(tooMany(t));
    walk(body, (e) => {
      const operands = e.kind === "draw" ? [e.at] : e.kind === "apply" && sees.has(e.fn) ? e.args : e.kind === "read" ? e.at : [];
      for (const operand of operands) {
        if (operand.type !== "int") continue;
        const { low, high } = lifted(e, operand);
        if ((Number.isFinite(low) && low < -limit) || (Number.isFinite(high) && high >= limit)) throw new Fault(tooFar(root, low, high));
      }
    }, seen);
  }
}

/** The range of an operand; where a division must floor, a negative dividend is lifted above zero first. */
function lifted(e: Expr, operand: Expr): Interval {
  const { low, high } = interval(operand);
  const isDividend = e.kind === "apply" && (e.fn === "idiv" || e.fn === "imod") && operand === e.args[0];
  return isDividend && low < 0 && Number.isFinite(low) ? { low, high: high - low + interval(e.args[1] as Expr).high } : { low, high };
}

const placed = ({ origin }: Tensor): Pick<Diagnostic, "labels"> => ({ labels: origin.span ? [{ span: origin.span, text: origin.path }] : [] });

function tooMany(t: Tensor): Diagnostic {
  return diagnostic("N0901", `\`${t.name}\` is too large for any device`, {
    ...placed(t),
    facts: [`It is [${t.axes.map((a) => a.extent).join(", ")}], ${sizeOf(t).toLocaleString("en")} elements; a tensor has fewer than 2³¹.`],
    hint: "a smaller patch or batch would fit",
  });
}

function tooFar(t: Tensor, low: number, high: number): Diagnostic {
  return diagnostic("N0902", `an index in \`${t.name}\` does not fit 32 bits`, {
    ...placed(t),
    facts: [`It goes from ${low.toLocaleString("en")} to ${high.toLocaleString("en")}; whole numbers go from -2³¹ to 2³¹ - 1.`],
    hint: "divide first and multiply after, or write the index in several axes; a smaller patch may do as well",
  });
}
