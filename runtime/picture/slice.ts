// The picture of a result: one axial slice with the true labels on the left and the predicted ones on the right.

import type { Triple } from "../data/volume.ts";
import { countOverlap, scoresOf } from "../train/metrics.ts";
import { Canvas, textWidth } from "./canvas.ts";
import type { Colour } from "./canvas.ts";

/** What is to be seen. All arrays are [D, H, W] of the same shape, in RAS order. */
export interface Scene {
  readonly title: string;
  readonly image: Float32Array;
  readonly shape: Triple;
  readonly spacing: Triple;
  readonly prediction: Uint8Array;
  /** Without it the plain image is shown in its place. */
  readonly label: Uint8Array | undefined;
  readonly classes: readonly string[];
  /** Intensities shown as black and white; by default nearly all of the slice. For CT `CT_WINDOW` is usual. */
  readonly window?: readonly [number, number];
}

/** The soft-tissue window of abdominal CT: centre 40, width 400 Hounsfield units. */
export const CT_WINDOW: readonly [number, number] = [-160, 240];

const BACKGROUND: Colour = [17, 20, 24];
const INK: Colour = [232, 235, 238];
const FAINT: Colour = [150, 157, 165];
const PALETTE: readonly Colour[] = [
  [245, 200, 90], [232, 93, 74], [110, 190, 90], [86, 160, 235], [186, 120, 250], [40, 196, 190],
  [255, 140, 198], [196, 214, 92], [176, 132, 100], [255, 160, 80], [130, 150, 255], [150, 220, 170],
];

/** The colour of a class, the same in every picture. */
export function classColour(value: number): Colour {
  return PALETTE[(value - 1) % PALETTE.length] ?? INK;
}

/** The axial slice with the most foreground of the label, or of the prediction where there is no label. */
export function busiestSlice(labels: Uint8Array, shape: Triple): number {
  const plane = shape[1] * shape[2];
  let best = Math.floor(shape[0] / 2);
  let most = 0;
  for (let z = 0; z < shape[0]; z++) {
    let count = 0;
    for (let n = z * plane; n < (z + 1) * plane; n++) if ((labels[n] ?? 0) > 0) count++;
    if (count > most) [best, most] = [z, count];
  }
  return best;
}

interface Panel {
  readonly width: number;
  readonly height: number;
  /** Slice coordinates (column, row) of a pixel centre. */
  readonly source: (x: number, y: number) => readonly [number, number];
}

const MARGIN = 24;
const TITLE = 44;
const CAPTION = 30;
const LINE = 34;

/** A PNG file of the scene, at least 900 pixels wide. */
export function slicePicture(scene: Scene): Uint8Array {
  const { shape, classes, prediction, label } = scene;
  const z = busiestSlice(label ?? prediction, shape);
  const plane = shape[1] * shape[2];
  const slice = <T extends Float32Array | Uint8Array>(array: T): T => array.subarray(z * plane, (z + 1) * plane) as T;
  const panel = layOut(shape, scene.spacing);
  const width = 3 * MARGIN + 2 * panel.width;
  const legend = legendEntries(scene);
  const columns = Math.max(1, Math.floor((width - 2 * MARGIN) / (Math.max(0, ...legend.map(({ text }) => textWidth(text))) + 60)));
  const heading = label === undefined ? 0 : LINE;
  const rows = Math.ceil(legend.length / columns);
  const top = MARGIN + TITLE + CAPTION;
  const canvas = new Canvas(width, top + panel.height + MARGIN + heading + rows * LINE + MARGIN / 2, BACKGROUND);

  canvas.text(MARGIN, MARGIN, clip(scene.title, 3, width - 2 * MARGIN - 200), INK, 3);
  const where = `slice ${z + 1} of ${shape[0]}`;
  canvas.text(width - MARGIN - textWidth(where), MARGIN + 6, where, FAINT);
  const grey = greyOf(slice(scene.image), scene.window);
  const sides = [{ name: label === undefined ? "image" : "label", map: label }, { name: "prediction", map: prediction }];
  sides.forEach(({ name, map }, n) => {
    const left = MARGIN + n * (panel.width + MARGIN);
    canvas.text(left, MARGIN + TITLE, name, FAINT);
    drawImage(canvas, left, top, panel, grey, shape);
    if (map !== undefined) drawLabels(canvas, left, top, panel, slice(map), shape, classes.length);
    const middle = top + Math.floor(panel.height / 2) - 8;
    canvas.text(left + 8, middle, "R", FAINT);
    canvas.text(left + panel.width - 18, middle, "L", FAINT);
  });
  const column = Math.floor((width - 2 * MARGIN) / columns);
  if (heading > 0) canvas.text(MARGIN, top + panel.height + MARGIN, "Dice over the whole volume", FAINT);
  legend.forEach(({ text, colour }, n) => {
    const x = MARGIN + (n % columns) * column;
    const y = top + panel.height + MARGIN + heading + Math.floor(n / columns) * LINE;
    canvas.fill(x, y - 2, 18, 18, colour);
    canvas.text(x + 28, y, text, INK);
  });
  return canvas.png();
}

function clip(text: string, scale: number, room: number): string {
  let kept = text;
  while (kept.length > 1 && textWidth(kept, scale) > room) kept = `${kept.slice(0, -3)}..`;
  return kept;
}

function layOut(shape: Triple, spacing: Triple): Panel {
  const [, rows, columns] = shape;
  const [, high, wide] = spacing;
  const perMillimetre = Math.max(440 / (columns * wide), Math.min(640 / (columns * wide), 720 / (rows * high)));
  const width = Math.round(columns * wide * perMillimetre);
  const height = Math.min(2000, Math.max(1, Math.round(rows * high * perMillimetre)));
  // As doctors look at it: from the feet, the patient's right on the left, the front at the top.
  const source: Panel["source"] = (x, y) => [columns - 0.5 - ((x + 0.5) / width) * columns, rows - 0.5 - ((y + 0.5) / height) * rows];
  return { width, height, source };
}

function legendEntries({ prediction, label, classes }: Scene): readonly { readonly text: string; readonly colour: Colour }[] {
  const counts = label === undefined ? [] : countOverlap(prediction, label, classes.length);
  return classes.slice(1).map((name, n) => {
    const count = counts[n + 1];
    const dice = count === undefined ? undefined : scoresOf(count).dice;
    return { text: dice === undefined ? name : `${name} ${dice === null ? "n/a" : dice.toFixed(3)}`, colour: classColour(n + 1) };
  });
}

function greyOf(slice: Float32Array, window: readonly [number, number] | undefined): Float32Array {
  const sorted = slice.slice().sort();
  const [low, high] = window ?? [sorted[Math.floor(sorted.length * 0.01)] ?? 0, sorted[Math.floor(sorted.length * 0.995)] ?? 1];
  return slice.map((value) => Math.min(1, Math.max(0, (value - low) / Math.max(high - low, 1e-6))) * 255);
}

/** The four voxels around a place and their shares, in arrays that are reused for every pixel. */
class Corners {
  readonly at = new Int32Array(4);
  readonly share = new Float64Array(4);

  move([x, y]: readonly [number, number], [, rows, columns]: Triple): void {
    const [left, up] = [Math.floor(x), Math.floor(y)];
    for (let n = 0; n < 4; n++) {
      const [column, row] = [left + (n & 1), up + (n >> 1)];
      this.at[n] = Math.min(rows - 1, Math.max(0, row)) * columns + Math.min(columns - 1, Math.max(0, column));
      this.share[n] = (1 - Math.abs(x - column)) * (1 - Math.abs(y - row));
    }
  }
}

function drawImage(canvas: Canvas, left: number, top: number, panel: Panel, grey: Float32Array, shape: Triple): void {
  const near = new Corners();
  for (let y = 0; y < panel.height; y++) {
    for (let x = 0; x < panel.width; x++) {
      near.move(panel.source(x, y), shape);
      let value = 0;
      for (let n = 0; n < 4; n++) value += (near.share[n] ?? 0) * (grey[near.at[n] ?? 0] ?? 0);
      canvas.set(left + x, top + y, [value, value, value]);
    }
  }
}

const TINT = 0.32;
const AROUND = [[-1, 0], [1, 0], [0, -1], [0, 1], [-2, 0], [2, 0], [0, -2], [0, 2]] as const;

/** A light tint inside each class and a firm line along its border, both smoothed to the picture's resolution. */
function drawLabels(canvas: Canvas, left: number, top: number, panel: Panel, labels: Uint8Array, shape: Triple, classes: number): void {
  const smooth = new Uint8Array(panel.width * panel.height);
  const votes = new Float64Array(classes);
  const near = new Corners();
  for (let y = 0; y < panel.height; y++) {
    for (let x = 0; x < panel.width; x++) {
      near.move(panel.source(x, y), shape);
      votes.fill(0);
      let winner = 0;
      for (let n = 0; n < 4; n++) {
        const value = labels[near.at[n] ?? 0] ?? 0;
        votes[value] = (votes[value] ?? 0) + (near.share[n] ?? 0);
        if ((votes[value] ?? 0) > (votes[winner] ?? 0)) winner = value;
      }
      smooth[y * panel.width + x] = winner;
    }
  }
  const at = (x: number, y: number): number => smooth[y * panel.width + x] ?? 0;
  for (let y = 0; y < panel.height; y++) {
    for (let x = 0; x < panel.width; x++) {
      const value = at(x, y);
      if (value === 0) continue;
      const inside = AROUND.every(([dx, dy]) => {
        const [nx, ny] = [x + dx, y + dy];
        return nx < 0 || ny < 0 || nx >= panel.width || ny >= panel.height || at(nx, ny) === value;
      });
      canvas.set(left + x, top + y, classColour(value), inside ? TINT : 0.95);
    }
  }
}
