// The flag `--memory`, and what is computed again to stay within one.

import { bytesIn } from "../compiler/front/front.ts";
import type { Again } from "../compiler/pipeline.ts";
import { UsageError } from "./arguments.ts";

/** Bytes of the flag `--memory`, e.g. `4GiB`, `1.5 GiB` or `800MB`. */
export function bytesAsked(text: string): number {
  const bytes = bytesIn(text);
  if (bytes !== undefined) return bytes;
  throw new UsageError(`\`--memory\` takes an amount of memory, not \`${text}\``, "for example `--memory 4GiB`; the units are KiB, MiB, GiB");
}

/** How much a step computes again, and its price. */
export function againText({ values, nested, flops, otherwise }: Again): string {
  const times = values.reduce((n, v) => n + v.times, 0);
  const share = (100 * flops) / otherwise;
  const inside = { cheap: "", sums: "widened sums inside their readers", all: "all that is widened inside its readers" }[nested];
  const what = [times === 0 ? "" : `${times} values`, inside].filter(Boolean).join(" and ");
  return `${what}, for ${(flops / 1e9).toLocaleString("en", { maximumSignificantDigits: 3 })} Gflop a step, ${share < 10 ? share.toFixed(1) : share.toFixed(0)} % more`;
}
