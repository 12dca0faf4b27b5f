// Amounts of memory as people write them, `4 GiB`, and the setting that says how much a run may take.

import { fault } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import type { Entries } from "./settings.ts";
import { show, type Env } from "./values.ts";

const units: Readonly<Record<string, number>> = {
  B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12,
};

/** Bytes of an amount such as `4GiB`, `1.5 GiB` or `800MB`; undefined for what is none. */
export function bytesIn(text: string): number | undefined {
  const [, digits, unit] = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$/.exec(text) ?? [];
  const scale = Object.entries(units).find(([name]) => name.toLowerCase() === unit?.toLowerCase())?.[1];
  const bytes = digits === undefined || scale === undefined ? 0 : Math.floor(Number(digits) * scale);
  return bytes > 0 ? bytes : undefined;
}

/** The setting `memory`, in bytes; undefined where it is absent or `none`. */
export function memorySetting(entries: Entries, env: Env): number | undefined {
  const entry = entries.settings.get("memory");
  if (!entry) return undefined;
  const v = evaluate(entry.term, env);
  if (v.kind === "none") return undefined;
  const bytes = v.kind === "text" ? bytesIn(v.value) : undefined;
  if (bytes !== undefined) return bytes;
  throw fault(env, "N0804", `\`memory\` is an amount of memory, this is ${show(v)}`, entry.term.span, "", { hint: '`memory = "4 GiB"`, or `none` for as much as the device has; the units are KiB, MiB, GiB' });
}
