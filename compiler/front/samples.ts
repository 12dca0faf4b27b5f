// The settings of a run that say what a sample is: which label is sought, what guides the network, what is cut out.

import { fault } from "./env.ts";
import { settingOf, type Entries, type Word } from "./settings.ts";
import type { Env } from "./values.ts";

/** What is made of images and labels before a network sees them. */
export interface SampleSettings {
  /** The one class to find, by name or value; undefined to find all. */
  readonly target: string | number | undefined;
  /** Whether the image has one more channel, the distance map of a click. */
  readonly guide: boolean;
  /** Cubes around the foreground, `factor` times as long as its long axis and at least `least` mm. */
  readonly crop: { readonly factor: number; readonly least: number } | undefined;
  /** Parts of the foreground below `extent` voxels along an axis, or below `voxels` in all, are left out of the labels. */
  readonly drop: { readonly extent: number; readonly voxels: number } | undefined;
}

/** Reads `target`, `guide`, `crop` and `drop`. */
export function sampleSettings(entries: Entries, env: Env): SampleSettings {
  const crop = wordOf("crop", entries, env);
  const drop = wordOf("drop", entries, env);
  return {
    target: targetOf(entries, env),
    guide: wordOf("guide", entries, env) !== undefined,
    crop: crop && { factor: crop["factor"] ?? 1.5, least: crop["least"] ?? 32 },
    drop: drop && { extent: drop["extent"] ?? 2, voxels: drop["voxels"] ?? 5 },
  };
}

/** What each word is told, each a number above 0. */
const told: Readonly<Record<string, readonly string[]>> = { click: [], long_axis: ["factor", "least"], small: ["extent", "voxels"] };

function wordOf(name: string, entries: Entries, env: Env): Readonly<Record<string, number>> | undefined {
  const entry = entries.settings.get(name);
  if (!entry) return undefined;
  const v = settingOf(name, entry.term, env);
  const word: Word | undefined = typeof v === "object" && "name" in v ? v : undefined;
  const knows = told[word?.name ?? ""] ?? [];
  const numbers = Object.entries(word?.named ?? {}).filter((e): e is [string, number] => knows.includes(e[0]) && typeof e[1] === "number" && e[1] > 0);
  if (word && word.args.length === 0 && numbers.length === Object.keys(word.named).length) return Object.fromEntries(numbers);
  const example: Readonly<Record<string, string>> = { guide: "click()", crop: "long_axis(factor = 1.5, least = 32)", drop: "small(extent = 2, voxels = 5)" };
  throw fault(env, "N0804", `\`${name}\` is not understood`, entry.term.span, "", { hint: `\`${name} = ${example[name] ?? ""}\`, its numbers named and above 0` });
}

function targetOf(entries: Entries, env: Env): string | number | undefined {
  const entry = entries.settings.get("target");
  if (!entry) return undefined;
  const v = settingOf("target", entry.term, env);
  if ((typeof v === "string" && v !== "" && v !== "none") || (typeof v === "number" && Number.isInteger(v) && v > 0)) return v;
  throw fault(env, "N0804", "`target` is the name of a class or its value", entry.term.span, "", { hint: '`target = "liver"`, or `target = 3`' });
}
