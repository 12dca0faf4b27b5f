// What a device can do wrong, as findings that name the `.net` line.

import { readFileSync } from "node:fs";
import { diagnostic, Fault, type Diagnostic, type Label } from "../compiler/report/diagnostic.ts";
import type { Provenance } from "../compiler/plan/plan.ts";
import type { Attempt } from "./adapters/find.ts";

/** A size for people: `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit + 1 < units.length) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit] ?? ""}`;
}

/** Where in the `.net` text a finding belongs: under the line where the file can be read, else in words. */
function located(origin: Provenance | undefined, ...facts: readonly string[]): Partial<Diagnostic> {
  if (origin === undefined) return { facts };
  const span = spanOf(origin);
  if (span !== undefined) return { labels: [{ span, text: origin.path }], facts };
  return { facts: [`It comes from ${origin.path === "" ? "" : `\`${origin.path}\`, `}${placeText(origin)}.`, ...facts] };
}

function spanOf({ file, line, column }: Provenance): Label["span"] | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
  const lines = text.split("\n");
  const shown = lines[line - 1];
  if (shown === undefined || column > shown.length) return undefined;
  const start = lines.slice(0, line - 1).reduce((n, before) => n + before.length + 1, 0) + column - 1;
  const width = /^\w+/.exec(shown.slice(column - 1))?.[0].length ?? 1;
  return { file: { path: file, text }, start, end: start + width };
}

/** `nets/mednext.net:23:5`, as editors take it. */
export function placeText(origin: Provenance): string {
  return `${origin.file}:${origin.line}:${origin.column}`;
}

/** One buffer is more than the device holds or binds in one piece. */
export function tooLarge(name: string, bytes: number, most: number, device: string, origin: Provenance | undefined): Diagnostic {
  return diagnostic("N0901", `\`${name}\` needs a buffer of ${bytesText(bytes)}, this device binds at most ${bytesText(most)}`, {
    ...located(origin, `The device is ${device}.`),
    hint: "a smaller batch or patch, or fewer channels there, would fit",
  });
}

/** All places were tried and none has an adapter. */
export function noAdapter(asked: string, attempts: readonly Attempt[]): Diagnostic {
  const facts = attempts.map(({ kind, what }) => `${kind}: ${what}`);
  if (asked === "none") {
    return diagnostic("N0903", "this needs a device, and `none` was asked for", {
      hint: "leave out `--adapter none` (or unset NETC_ADAPTER)",
    });
  }
  return diagnostic("N0903", asked === "auto" ? "there is no device to compute on" : `there is no \`${asked}\` adapter here`, {
    facts,
    hint: asked === "auto"
      ? "`npm install --include=optional` brings a software device for linux-x64; elsewhere install a Vulkan driver (Debian, Ubuntu: mesa-vulkan-drivers 24 or later)"
      : "`--adapter auto` takes whatever works; `netc devices` lists what there is",
  });
}

/** A word that names no adapter. */
export function unknownAdapter(word: string, from: string, choices: readonly string[]): Diagnostic {
  return diagnostic("N0904", `${from} is \`${word}\`, which names no adapter`, { hint: `choose one of ${choices.join(", ")}` });
}

/** The driver refused a shader of ours. `at` is the line of WGSL and its text. */
export function shaderRefused(name: string, message: string, at: string | undefined, origin: Provenance | undefined): Diagnostic {
  return diagnostic("N0905", `the device refuses the kernel \`${name}\``, {
    ...located(origin, message.trim(), ...(at === undefined ? [] : [at])),
    hint: "this is a fault of netc, not of the network; please report it with the output of `netc devices`",
  });
}

/** More was asked for than is free, where that is known; `what` is the whole sentence without it. */
export function outOfMemory(what: string, free: number | undefined, device: string, origin: Provenance | undefined): Diagnostic {
  return diagnostic("N0906", free === undefined ? what : `${what}, ${bytesText(Math.max(0, free))} are free`, {
    ...located(origin, `The device is ${device}.`),
    hint: "a smaller batch or patch needs less; closing other programs may help",
  });
}

/** The device went away: unplugged, reset after a hang, or crashed. */
export function deviceLost(reason: string, doing: string, origin: Provenance | undefined): Diagnostic {
  return diagnostic("N0907", `the device was lost ${doing}`, {
    ...located(origin, ...(reason.trim() === "" ? [] : [reason.trim()])),
    hint: "start again from the last checkpoint; if it happens at the same place, a smaller patch makes shorter kernels",
  });
}

/** The device reported an error that no other finding covers. */
export function deviceError(message: string, doing: string, origin: Provenance | undefined): Diagnostic {
  return diagnostic("N0908", `the device reported an error ${doing}`, {
    ...located(origin, message.trim().split("\n    at ")[0] ?? ""),
    hint: "results after this cannot be trusted, so the run stops; please report it with the output of `netc devices`",
  });
}

/** The values of all, or the findings of those that failed. */
export function settled<T>(all: readonly PromiseSettledResult<T>[]): readonly T[] {
  const values: T[] = [];
  const faults: Fault[] = [];
  for (const one of all) {
    if (one.status === "fulfilled") values.push(one.value);
    else if (one.reason instanceof Fault) faults.push(one.reason);
    else throw one.reason;
  }
  const [first, ...others] = faults;
  if (first === undefined) return values;
  const told = new Set(first.findings.map(({ headline }) => headline));
  throw new Fault(...first.findings, ...others.flatMap(({ findings }) => findings.filter(({ headline }) => !told.has(headline))));
}
