// Amounts of memory as people write them, and what is computed again to stay within one.

import type { Again } from "../compiler/passes/recompute.ts";
import { UsageError } from "./arguments.ts";

const units: Readonly<Record<string, number>> = {
  B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12,
};

/** Bytes of the flag `--memory`, e.g. `4GiB`, `1.5 GiB` or `800MB`. */
export function bytesAsked(text: string): number {
  const [, digits, unit] = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$/.exec(text) ?? [];
  const scale = Object.entries(units).find(([name]) => name.toLowerCase() === unit?.toLowerCase())?.[1];
  if (digits === undefined || scale === undefined || Number(digits) === 0) {
    throw new UsageError(`\`--memory\` takes an amount of memory, not \`${text}\``, "for example `--memory 4GiB`; the units are KiB, MiB, GiB");
  }
  return Math.floor(Number(digits) * scale);
}

/** How much a step computes again, and its price. */
export function againText({ values, flops, otherwise }: Again): string {
  const times = values.reduce((n, v) => n + v.times, 0);
  const share = (100 * flops) / otherwise;
  return `${times} values, for ${(flops / 1e9).toLocaleString("en", { maximumSignificantDigits: 3 })} Gflop a step, ${share < 10 ? share.toFixed(1) : share.toFixed(0)} % more`;
}
