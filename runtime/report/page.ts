// The report of a run: one page with its curves, its slices and what was planned, which needs nothing else.

import { bytesText } from "../faults.ts";
import { classColour } from "../picture/slice.ts";
import { isStep, isValidation, type Logged } from "../train/log.ts";
import type { PlanMemory } from "../train/memory.ts";
import { durationText } from "../train/progress.ts";
import { curvesOf } from "./curves.ts";
import type { SliceView } from "./slices.ts";
import { SCRIPT, STYLE } from "./style.ts";
import { escaped, figure } from "./svg.ts";

/** Scores of whole images, by class name; null where there was nothing to score. */
export interface CaseScores {
  readonly name: string;
  readonly dice: Readonly<Record<string, number | null>>;
}

/** What the page tells. */
export interface Report {
  readonly title: string;
  /** A sentence on where the run stands. */
  readonly state: string;
  readonly total: number;
  /** Steps of an epoch. */
  readonly steps: number;
  /** The background first. */
  readonly classes: readonly string[];
  readonly log: readonly Logged[];
  readonly memory: PlanMemory | undefined;
  /** Bytes that the device binds at most at once. */
  readonly maxBinding: number | undefined;
  readonly slices: readonly SliceView[];
  /** The step the slices were predicted at. */
  readonly slicesAt: number | undefined;
  /** Of the held-out cases, whole. */
  readonly validation: readonly CaseScores[];
  /** Settings and names, in the order they are shown. */
  readonly facts: readonly (readonly [string, string])[];
}

/** The page as HTML. */
export function reportPage(report: Report): string {
  const { title, state, classes, log, steps } = report;
  const curves = curvesOf(log, classes, steps);
  const charts = [
    ...(curves.loss === undefined ? [] : [figure(curves.loss, true)]),
    ...(curves.dice === undefined ? [] : [figure(curves.dice, true)]),
    ...[curves.rate, ...curves.dials, curves.seconds].flatMap((chart) => (chart === undefined ? [] : [figure(chart, false)])),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped(title)}</title>
<style>${STYLE}</style></head><body><main>
<header><div><h1>${escaped(title)}</h1><p>${escaped(state)}</p></div><button id="theme" type="button">light / dark</button></header>
${tiles(report)}
${charts.length === 0 ? "<p>No step is done yet.</p>" : `<section class="charts">${charts.join("\n")}</section>`}
${slices(report)}
${validation(report)}
${memory(report)}
<h2>Run</h2><div class="card"><table>${report.facts.map(([name, value]) => `<tr><th>${escaped(name)}</th><td>${escaped(value)}</td></tr>`).join("")}</table></div>
</main><script>${SCRIPT}</script></body></html>
`;
}

function tiles({ log, total, memory }: Report): string {
  const done = log.filter(isStep);
  const validations = log.filter(isValidation);
  const last = done.at(-1);
  const recent = done.slice(-50).map(({ seconds }) => seconds).sort((a, b) => a - b);
  const perStep = recent[Math.floor(recent.length / 2)];
  const spent = [...done, ...validations].reduce((sum, { seconds }) => sum + seconds, 0);
  const best = validations.reduce<{ readonly score: number; readonly step: number } | undefined>((top, { score, step }) => (score !== null && (top === undefined || score > top.score) ? { score, step } : top), undefined);
  const tail = done.slice(-50);
  const loss = tail.reduce((sum, one) => sum + one.loss, 0) / Math.max(1, tail.length);
  const all: readonly (readonly [string, string, string])[] = [
    ["step", `${(last?.step ?? 0).toLocaleString("en")}`, `of ${total.toLocaleString("en")}`],
    ...(last === undefined ? [] : [["loss", loss.toFixed(4), `mean of the last ${tail.length === 1 ? "step" : `${tail.length} steps`}`] as const]),
    ...(best === undefined ? [] : [["best pseudo-Dice", best.score.toFixed(3), `running mean, at step ${best.step.toLocaleString("en")}`] as const]),
    ...(perStep === undefined ? [] : [["step time", durationText(perStep), `${durationText(spent)} of training so far`] as const]),
    ...(memory === undefined ? [] : [["memory", bytesText(memory.bytes), "of the device, for training"] as const]),
  ];
  return `<dl class="tiles">${all.map(([name, value, more]) => `<div><dt>${name}</dt><dd>${value}<small>${more}</small></dd></div>`).join("")}</dl>`;
}

function slices({ slices: views, slicesAt, log }: Report): string {
  if (views.length === 0) return "";
  const dice = log.filter(isValidation).findLast(({ step }) => step === slicesAt)?.dice ?? {};
  const one = (view: SliceView): string => {
    const score = dice[view.name];
    const aspect = `${(view.width * view.spacing[0]).toFixed(2)} / ${(view.height * view.spacing[1]).toFixed(2)}`;
    const picture = (name: string, png: string): string => `<div><img alt="${name} of ${escaped(view.case)}" style="aspect-ratio:${aspect}" src="data:image/png;base64,${png}"><span>${name}</span></div>`;
    return `<figure><figcaption><h3>${swatch(view.value)}${escaped(view.name)}</h3><small>${escaped(view.case)}${typeof score === "number" ? `, pseudo-Dice ${score.toFixed(3)}` : ""}</small></figcaption>
<div class="views">${picture("image", view.image)}${picture("label", view.label)}${picture("prediction", view.prediction)}</div></figure>`;
  };
  return `<h2>Slices</h2><p>Of the patches that were validated${slicesAt === undefined ? "" : ` at step ${slicesAt.toLocaleString("en")}`}, for each class the slice that shows most of it. The patient's right is on the left.</p><section class="slices">${views.map(one).join("\n")}</section>`;
}

const swatch = (value: number): string => `<i class="swatch" style="background:rgb(${classColour(value).join(" ")})"></i>`;

function validation({ validation: cases, classes }: Report): string {
  if (cases.length === 0) return "";
  const names = classes.slice(1);
  const cell = (value: number | null | undefined): string => `<td class="number">${typeof value === "number" ? value.toFixed(3) : "n/a"}</td>`;
  const mean = (name: string): number | null => {
    const numbers = cases.flatMap(({ dice }) => dice[name] ?? []);
    return numbers.length === 0 ? null : numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  };
  return `<h2>Held-out cases</h2><p>Dice over whole images, predicted at the end of the run.</p><div class="card"><table><thead><tr><th>case</th>${names.map((name, n) => `<th class="number">${swatch(n + 1)}${escaped(name)}</th>`).join("")}</tr></thead>
${cases.map(({ name, dice }) => `<tr><td>${escaped(name)}</td>${names.map((one) => cell(dice[one])).join("")}</tr>`).join("\n")}
<tr><th>mean</th>${names.map((name) => cell(mean(name))).join("")}</tr></table></div>`;
}

function memory({ memory: of, maxBinding }: Report): string {
  if (of === undefined) return "";
  const parts: readonly (readonly [string, number, string])[] = [
    ["activations", of.activations, "#4f8ff0"], ["weights", of.weights, "#e0a63a"], ["optimiser", of.optimizer, "#c95b4a"],
    ["gradients and others", of.rest, "#7a5bd0"], ["running values", of.running, "#3aa7a0"], ["images, labels, results", of.ports, "#7c8792"],
  ];
  const shown = parts.filter(([, bytes]) => bytes > 0);
  return `<h2>Memory</h2><div class="card"><div class="bar">${shown.map(([name, bytes, colour]) => `<i title="${name}: ${bytesText(bytes)}" style="--part:${colour};width:${((100 * bytes) / of.bytes).toFixed(2)}%"></i>`).join("")}</div>
<table>${shown.map(([name, bytes, colour]) => `<tr><td><i class="swatch" style="background:${colour}"></i>${name}</td><td class="number">${bytesText(bytes)}</td></tr>`).join("")}
<tr><th>largest binding</th><td class="number">${bytesText(of.largestBinding.bytes)}${maxBinding === undefined ? "" : ` of at most ${bytesText(maxBinding)}`}</td></tr>
<tr><th>kernels</th><td class="number">${of.kernels}, ${of.launches} launches a step</td></tr></table></div>`;
}
