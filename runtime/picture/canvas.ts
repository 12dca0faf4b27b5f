// A picture in memory: pixels, rectangles and text.

import { encodePng } from "../png.ts";
import { hasInk, letters, LETTER } from "./font.ts";

/** Red, green and blue, 0 to 255. */
export type Colour = readonly [number, number, number];

export class Canvas {
  readonly width: number;
  readonly height: number;
  readonly #rgb: Uint8Array;

  constructor(width: number, height: number, background: Colour) {
    this.width = width;
    this.height = height;
    this.#rgb = new Uint8Array(3 * width * height);
    this.fill(0, 0, width, height, background);
  }

  /** Sets one pixel; what lies outside is dropped. `cover` 1 hides what was there, 0 leaves it. */
  set(x: number, y: number, colour: Colour, cover = 1): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    const at = 3 * (y * this.width + x);
    for (const part of [0, 1, 2] as const) this.#rgb[at + part] = Math.round((this.#rgb[at + part] ?? 0) * (1 - cover) + colour[part] * cover);
  }

  fill(x: number, y: number, width: number, height: number, colour: Colour, cover = 1): void {
    for (let row = y; row < y + height; row++) for (let column = x; column < x + width; column++) this.set(column, row, colour, cover);
  }

  /** Writes text with its upper left corner at a place. */
  text(x: number, y: number, text: string, colour: Colour, scale = 2): void {
    letters(text).forEach((letter, n) => {
      for (let row = 0; row < LETTER.height; row++) {
        for (let column = 0; column < LETTER.width; column++) {
          if (hasInk(letter, column, row)) this.fill(x + (n * (LETTER.width + 1) + column) * scale, y + row * scale, scale, scale, colour);
        }
      }
    });
  }

  png(): Uint8Array {
    return encodePng(this.#rgb, this.width, this.height);
  }
}

/** How wide a text will be. */
export function textWidth(text: string, scale = 2): number {
  return Math.max(0, letters(text).length * (LETTER.width + 1) - 1) * scale;
}
