// Measurements as text for people.

import type { Ceiling } from "../../runtime/ceiling.ts";
import { bytesText } from "../../runtime/faults.ts";
import { table } from "../terminal.ts";
import type { KernelRow, Report } from "./measure.ts";

/** What one step took, part by part, then its slowest launches: `top` of them. */
export function reportText(report: Report, ceiling: Ceiling, top: number): string {
  const { name, network, inputs, step, phases, kernels } = report;
  const head = `${name}${network === name ? "" : ` (${network})`}: ${inputs.map((i) => `${i.name} [${i.shape.join(", ")}]`).join(", ")}`;
  const rows: (readonly string[])[] = [
    ["step", `${ms(step.median)}  (${ms(step.min)} to ${ms(step.max)}, ${step.count} ${step.count === 1 ? "run" : "runs"}; the first ${ms(report.first)})`],
  ];
  if (kernels && phases) {
    const sum = phases.forward + phases.backward + phases.update;
    const parts = phases.backward + phases.update > 0
      ? `forward ${ms(phases.forward)} ${share(phases.forward, sum)}, backward ${ms(phases.backward)} ${share(phases.backward, sum)}, update ${ms(phases.update)} ${share(phases.update, sum)}`
      : "all forward";
    rows.push(["in kernels", `${ms(sum)}: ${parts}`], ["at the ceiling", ceilingText(kernels, sum)]);
  } else rows.push(["in kernels", "not known: the device has no clock, or the measurement was stopped"]);
  rows.push(
    ["processor", `${ms(report.processor)} a step`],
    ["launches", `${report.dispatches}, of ${report.pipelines} kernels`],
    ["memory", `${bytesText(report.bytes)} in buffers; the process takes ${bytesText(report.resident.now)}, ${bytesText(report.resident.most)} at most`],
    ["compiling", `plan ${ms(report.planned)}, kernels ${ms(report.cold)} cold, ${ms(report.warm)} warm`],
    ["parameters", report.parameters.toLocaleString("en")],
    ...(report.losses.length > 0 ? [["losses", report.losses.slice(0, 3).map((l) => l.toPrecision(6)).join(", ")]] : []),
  );
  const shown = kernels ? kernelTable(kernels, ceiling, top) : "";
  return [head, table(rows.map(([a = "", b = ""]) => [`  ${a}`, b])), ...(shown === "" ? [] : ["", shown])].join("\n");
}

function ceilingText(kernels: readonly KernelRow[], sum: number): string {
  const least = kernels.reduce((n, k) => n + k.ofCeiling * k.time, 0);
  const [bytes, flops] = [total(kernels, "bytes"), total(kernels, "flops")];
  return `${ms(least)}, ${percent(least / sum)} of that: ${decimal(bytes)}B moved, ${decimal(flops)}flop`;
}

const total = (kernels: readonly KernelRow[], of: "bytes" | "flops"): number => kernels.reduce((n, k) => n + k[of], 0);

/** What the device can do at most. */
export function ceilingLine({ bytes, flops }: Ceiling): string {
  return `ceiling: moves ${decimal(bytes)}B/s, multiplies and adds ${decimal(flops)}flop/s (measured)`;
}

function kernelTable(kernels: readonly KernelRow[], ceiling: Ceiling, top: number): string {
  const sum = kernels.reduce((n, k) => n + k.time, 0);
  const sorted = [...kernels].sort((a, b) => b.time - a.time);
  const rows = sorted.slice(0, top).map((k) => [
    k.time.toFixed(2), percent(k.time / sum), k.phase, `${decimal(k.bytes)}B`, `${decimal(k.flops)}flop`, `${decimal((1000 * k.bytes) / k.time)}B/s`,
    `${decimal((1000 * k.flops) / k.time)}flop/s`, `${percent(k.ofCeiling)} ${k.bytes / ceiling.bytes > k.flops / ceiling.flops ? "bytes" : "flops"}`, k.name, k.origin.path,
  ]);
  const rest = sorted.length - rows.length;
  const note = rest > 0 ? `\n  … and ${rest} launches more, ${ms(sorted.slice(top).reduce((n, k) => n + k.time, 0))}; \`--all\` lists them` : "";
  return `${table([["ms", "share", "phase", "moved", "work", "rate", "", "of ceiling", "kernel", "of"], ...rows].map((r) => ["", ...r]), [1, 2, 4, 5, 6, 7, 8])}${note}`;
}

/** One line per subject; `of linear` is a voxel's share of the step, in shares of that where the subject is first timed. */
export function summaryText(reports: readonly Report[]): string {
  return table([
    ["", "patch", "step", "fastest", "of linear", "forward", "backward", "update", "launches", "kernels", "buffers", "process", "at most", "cold", "warm"],
    ...reports.map((r) => {
      const first = reports.find(({ name }) => name === r.name) ?? r;
      return [
        r.name, patchOf(r).join(" x "), ms(r.step.median), ms(r.step.min), first === r ? "" : (perVoxel(r) / perVoxel(first)).toFixed(2),
        ...(["forward", "backward", "update"] as const).map((p) => (r.phases ? ms(r.phases[p]) : "")),
        String(r.dispatches), String(r.pipelines), bytesText(r.bytes), bytesText(r.resident.now), bytesText(r.resident.most), ms(r.cold), ms(r.warm),
      ];
    }),
  ], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
}

const patchOf = ({ inputs }: Report): readonly number[] => inputs[0]?.shape.slice(2) ?? [];

const perVoxel = (report: Report): number => report.step.median / patchOf(report).reduce((n, extent) => n * extent, report.inputs[0]?.shape[0] ?? 1);

/** `1.23 s`, `45.6 ms`: three digits. */
export function ms(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return "n/a";
  if (milliseconds >= 99_950) return `${(milliseconds / 1000).toFixed(0)} s`;
  if (milliseconds >= 999.5) return `${(milliseconds / 1000).toPrecision(3)} s`;
  return `${milliseconds >= 99.95 ? milliseconds.toFixed(0) : milliseconds.toPrecision(3)} ms`;
}

const percent = (part: number): string => (Number.isFinite(part) ? `${(100 * part).toFixed(part < 0.0995 ? 1 : 0)} %` : "");
const share = (part: number, whole: number): string => `(${percent(part / whole)})`;

/** With a decimal prefix: `1.50 G`. */
function decimal(value: number): string {
  if (!Number.isFinite(value)) return "";
  const prefixes = ["", "k", "M", "G", "T", "P"];
  const step = Math.min(prefixes.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(value, 1)) / 3)));
  const scaled = value / 1000 ** step;
  return `${scaled >= 99.95 ? scaled.toFixed(0) : step === 0 ? String(Math.round(scaled)) : scaled.toPrecision(3)} ${prefixes[step] ?? ""}`;
}
