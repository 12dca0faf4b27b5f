// `progress.png`: the curves of a run in one picture.

import { Canvas, textWidth, type Colour } from "../picture/canvas.ts";
import { classColour } from "../picture/slice.ts";
import { layOut, type Chart, type Hue } from "./chart.ts";
import type { Curves } from "./curves.ts";

const WHITE: Colour = [255, 255, 255];
const INK: Colour = [22, 25, 29];
const SOFT: Colour = [100, 108, 118];
const RULE: Colour = [226, 229, 234];
const ROLES = { accent: [31, 111, 235], ink: INK, soft: SOFT, faint: [176, 206, 250] } as const;

const WIDTH = 1400;
const HEIGHT = 420;
const HEAD = 44;
const ROOM = { left: 120, right: 60, top: 10, bottom: 40 };

/** A PNG file: loss, pseudo-Dice, learning rate, dials and step time, one above the other. */
export function progressPicture(title: string, curves: Curves): Uint8Array {
  const charts = [curves.loss, curves.dice, curves.rate, ...curves.dials, curves.seconds].filter((chart) => chart !== undefined);
  const sizes = charts.map((chart, n) => ({ chart, height: n < 2 ? HEIGHT : Math.round(HEIGHT * 0.6), legend: chart.series.length < 2 ? 0 : legendRows(chart).length * 28 }));
  const canvas = new Canvas(WIDTH, 70 + sizes.reduce((sum, { height, legend }) => sum + HEAD + height + legend, 0), WHITE);
  canvas.text(30, 20, title, INK, 3);
  let top = 64;
  for (const { chart, height, legend } of sizes) {
    draw(canvas, chart, top, height);
    top += HEAD + height + legend;
  }
  return canvas.png();
}

function colourOf(hue: Hue): Colour {
  if (typeof hue !== "number") return ROLES[hue];
  const [r, g, b] = classColour(hue);
  // Made for dark pictures; on white they must be darker.
  return [r * 0.78, g * 0.78, b * 0.78];
}

function draw(canvas: Canvas, chart: Chart, top: number, height: number): void {
  canvas.text(30, top + 14, chart.title, INK);
  const from = top + HEAD;
  const { box, across, up, lines } = layOut(chart, WIDTH, height, false, ROOM);
  for (const { at, text } of up) {
    canvas.fill(box.left, from + Math.round(at), box.right - box.left, 1, RULE);
    canvas.text(box.left - 14 - textWidth(text), from + Math.round(at) - 7, text, SOFT);
  }
  canvas.fill(box.left, from + box.bottom, box.right - box.left, 1, SOFT);
  for (const { at, text } of across) canvas.text(Math.round(at - textWidth(text) / 2), from + box.bottom + 12, text, SOFT);
  for (const { colour, parts } of lines) {
    for (const part of parts) {
      if (part.length === 1) stroke(canvas, [part[0] ?? [0, 0], part[0] ?? [0, 0]], from, 3, colourOf(colour));
      else stroke(canvas, part, from, colour === "faint" ? 0.8 : colour === "accent" || colour === "ink" ? 1.7 : 1.2, colourOf(colour));
    }
  }
  if (chart.series.length < 2) return;
  legendRows(chart).forEach((row, n) => {
    let x = box.left;
    for (const { name, colour } of row) {
      canvas.fill(x, from + height + n * 28, 14, 14, colourOf(colour));
      canvas.text(x + 22, from + height + n * 28, name, INK);
      x += 22 + textWidth(name) + 30;
    }
  });
}

/** Names side by side, as many as fit. */
function legendRows({ series }: Chart): readonly (readonly { readonly name: string; readonly colour: Hue }[])[] {
  const rows: { name: string; colour: Hue }[][] = [[]];
  let x = ROOM.left;
  for (const { name, colour } of series) {
    const width = 22 + textWidth(name) + 30;
    if (x + width > WIDTH && rows.at(-1)?.length !== 0) {
      rows.push([]);
      x = ROOM.left;
    }
    rows.at(-1)?.push({ name, colour });
    x += width;
  }
  return rows;
}

/** A line with soft edges: pixels are covered by how near they are to it, and only once by all of it. */
function stroke(canvas: Canvas, points: readonly (readonly [number, number])[], top: number, radius: number, colour: Colour): void {
  const cover = new Map<number, number>();
  for (let n = 1; n < points.length; n++) {
    const [ax, ay] = points[n - 1] ?? [0, 0];
    const [bx, by] = points[n] ?? [0, 0];
    const [dx, dy] = [bx - ax, by - ay];
    const length = dx * dx + dy * dy;
    for (let y = Math.floor(Math.min(ay, by) - radius - 1); y <= Math.max(ay, by) + radius + 1; y++) {
      for (let x = Math.floor(Math.min(ax, bx) - radius - 1); x <= Math.max(ax, bx) + radius + 1; x++) {
        const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length));
        const share = Math.min(1, radius + 0.5 - Math.hypot(x - ax - along * dx, y - ay - along * dy));
        const key = (y + 8) * WIDTH + x;
        if (share > (cover.get(key) ?? 0)) cover.set(key, share);
      }
    }
  }
  for (const [key, share] of cover) canvas.set(key % WIDTH, top + Math.floor(key / WIDTH) - 8, colour, share);
}
