// A memory plan that does not fit: what would.

import { diagnostic, Fault } from "../compiler/report/diagnostic.ts";
import type { Plan } from "../compiler/plan/plan.ts";
import type { Device } from "../runtime/device.ts";

/** A size of a run that may be tried. */
export interface Size {
  readonly patch: readonly number[];
  /** Parts in which a step works through its batch. */
  readonly accumulate: number;
}

/** Too large a value, too little memory, or a budget that nothing fits. */
const tooMuch: ReadonlySet<string> = new Set(["N0901", "N0906", "N0909"]);

/**
 * Adds to a finding on memory the fewest parts of the batch and the largest patch that would fit, as `plan` makes them; a few tries.
 * Other findings stay as they are. `plan` throws for a size that the network does not take or that does not fit.
 */
export function advised(thrown: unknown, { batch, ...size }: Size & { readonly batch: number }, device: Device, plan: (size: Size) => Plan, tell: (text: string) => void): unknown {
  const finding = thrown instanceof Fault ? thrown.findings.find(({ code }) => tooMuch.has(code)) : undefined;
  // A card that ran out of memory does not tell how much would have been enough.
  if (finding === undefined || (finding.code === "N0906" && device.room === undefined)) return thrown;
  const fits = (one: Size): boolean => {
    tell(`that does not fit; trying patches of ${one.patch.join(" x ")}, ${batch / one.accumulate} at once`);
    try {
      const made = plan(one);
      const { limits } = device.gpu;
      return made.bytes <= (device.room ?? Infinity) && made.buffers.every(({ bytes }) => bytes <= limits.maxBufferSize);
    } catch (error) {
      if (error instanceof Fault) return false;
      throw error;
    }
  };
  const facts: string[] = [];
  const finer = Array.from({ length: batch }, (_, n) => n + 1).filter((parts) => parts > size.accumulate && batch % parts === 0);
  const accumulate = first(finer, (parts) => fits({ ...size, accumulate: parts }));
  if (accumulate !== undefined) facts.push(`The same batch in ${accumulate} parts, one after the other, fits: \`--set accumulate=${accumulate}\`.`);
  const patch = first(smaller(size.patch), (one) => fits({ ...size, patch: one }));
  if (patch !== undefined) facts.push(`Of smaller patches, ${patch.join(" x ")} fits: \`--patch ${patch.join(",")}\`.`);
  if (facts.length === 0) facts.push("Neither one patch at a time nor the smaller patches that were tried would fit.");
  return new Fault(diagnostic(finding.code, finding.headline, { labels: finding.labels, facts: [...finding.facts, ...facts], hint: finding.hint }));
}

/** Patches with shorter axes, the largest first; multiples of 16, since networks halve their grids a few times. */
function smaller(patch: readonly number[]): readonly (readonly number[])[] {
  const made = [7 / 8, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4].map((share) => patch.map((extent) => (extent <= 16 ? extent : Math.max(16, Math.floor((extent * share) / 16) * 16))));
  return made.filter((one, n) => one.join() !== patch.join() && one.join() !== made[n - 1]?.join());
}

/** The first that fits, where all after one that fits do too. */
function first<T>(all: readonly T[], fits: (one: T) => boolean): T | undefined {
  let [from, to] = [0, all.length];
  let found: T | undefined;
  while (from < to) {
    const middle = (from + to) >> 1;
    const one = all[middle];
    if (one !== undefined && fits(one)) [found, to] = [one, middle];
    else from = middle + 1;
  }
  return found;
}
