// Charts as SVG within HTML: readable without a script, with one that tells values under the pointer.

import { classColour } from "../picture/slice.ts";
import { layOut, type Chart, type Hue, type Layout } from "./chart.ts";

/** Text made safe within HTML and attributes. */
export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** JSON made safe within a `script` element. */
export const scriptJson = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c");

/** The attributes that give a line, a dot or a word its colour. */
export function hueAttributes(colour: Hue): string {
  return typeof colour === "number" ? `class="class" style="--hue:rgb(${classColour(colour).join(" ")})"` : `class="${colour}"`;
}

/** A chart as a figure; a switch for a logarithmic axis where one makes sense. */
export function figure(chart: Chart, wide: boolean): string {
  const [width, height] = wide ? [1060, 320] : [520, 240];
  const linear = picture(chart, layOut(chart, width, height, false), width, height, "linear");
  const values = chart.series.flatMap((one) => one.values.filter((value) => value !== null));
  // A loss below zero has no logarithm; a rate of zero is left out for a moment.
  const log = chart.logarithmic === true && values.some((value) => value > 0) && values.every((value) => value >= 0) ? picture(chart, layOut(chart, width, height, true), width, height, "log") : "";
  const toggle = log === "" ? "" : '<label class="toggle"><input type="checkbox"> logarithmic</label>';
  const legend = chart.series.length < 2 ? "" : `<ul class="legend">${chart.series.map(({ name, colour }) => `<li ${hueAttributes(colour)}>${escaped(name)}</li>`).join("")}</ul>`;
  const rounded = chart.series.map(({ name, colour, values }) => ({ name, hue: hueAttributes(colour), values: values.map((value) => (value === null ? null : Number(value.toPrecision(5)))) }));
  return `<figure class="chart${wide ? " wide" : ""}"><figcaption><h3>${escaped(chart.title)}</h3>${toggle}</figcaption>
<div class="frame">${linear}${log}<output class="tip" hidden></output></div>${legend}
<script type="application/json">${scriptJson({ at: chart.at.map((step) => Math.round(step)), steps: chart.steps, series: rounded })}</script></figure>`;
}

function picture(chart: Chart, layout: Layout, width: number, height: number, kind: "linear" | "log"): string {
  const { box, across, up, lines, low, high } = layout;
  const grid = up.map(({ at, text }) => `<line class="grid" x1="${box.left}" x2="${box.right}" y1="${place(at)}" y2="${place(at)}"/><text class="tick" text-anchor="end" x="${box.left - 8}" y="${place(at + 4)}">${text}</text>`);
  const steps = across.map(({ at, text }) => `<text class="tick" text-anchor="middle" x="${place(at)}" y="${box.bottom + 19}">${text}</text>`);
  const drawn = lines.map(({ name, colour, parts }) => `<g ${hueAttributes(colour)} data-name="${escaped(name)}">${parts.map(line).join("")}</g>`);
  const name = `${chart.title} over steps${kind === "log" ? ", logarithmic" : ""}`;
  return `<svg class="${kind}" viewBox="0 0 ${width} ${height}" role="img" tabindex="0" aria-label="${escaped(name)}" data-box="${box.left} ${box.top} ${box.right} ${box.bottom}" data-low="${low}" data-high="${high}" data-first="${Math.min(0, chart.at[0] ?? 0)}" data-last="${Math.max(1, chart.at.at(-1) ?? 1)}">
${grid.join("")}<line class="axis" x1="${box.left}" x2="${box.right}" y1="${box.bottom}" y2="${box.bottom}"/>${steps.join("")}
<g class="lines">${drawn.join("\n")}</g><g class="pointer"></g></svg>`;
}

const place = (value: number): number => Number(value.toFixed(1));

function line(points: readonly (readonly [number, number])[]): string {
  const [first] = points;
  if (points.length === 1 && first !== undefined) return `<circle r="3" cx="${place(first[0])}" cy="${place(first[1])}"/>`;
  const path = `<polyline points="${points.map(([x, y]) => `${place(x)},${place(y)}`).join(" ")}"/>`;
  // Few points are each worth seeing.
  return points.length > 30 ? path : path + points.map(([x, y]) => `<circle r="2.5" cx="${place(x)}" cy="${place(y)}"/>`).join("");
}
