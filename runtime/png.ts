// Writes true-colour PNG files.

import { deflateSync } from "node:zlib";
import { invariant } from "../compiler/report/diagnostic.ts";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = (CRC_TABLE[(c ^ byte) & 255] ?? 0) ^ (c >>> 8);
  return ~c >>> 0;
}

/** A PNG file of `rgb`, three bytes a pixel, row by row. */
export function encodePng(rgb: Uint8Array, width: number, height: number): Uint8Array {
  invariant(rgb.length === 3 * width * height, () => `${rgb.length} bytes for ${width} x ${height} pixels`);
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  // 8 bits, true colour, the one compression and filter method there is, not interlaced.
  head.set([8, 2, 0, 0, 0], 8);
  const parts = [SIGNATURE, chunk("IHDR", head), chunk("IDAT", deflateSync(filtered(rgb, width, height), { level: 9 })), chunk("IEND", new Uint8Array())];
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function chunk(name: string, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  out.set(new TextEncoder().encode(name), 4);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc(out.subarray(4, 8 + data.length)));
  return out;
}

/** Each row as it is, as differences to the left, or to the row above: whichever has the smaller numbers. */
function filtered(rgb: Uint8Array, width: number, height: number): Uint8Array {
  const row = 3 * width;
  const out = new Uint8Array((row + 1) * height);
  const tries = [new Uint8Array(row), new Uint8Array(row), new Uint8Array(row)] as const;
  const costs = [0, 0, 0] as [number, number, number];
  const note = (filter: 0 | 1 | 2, n: number, value: number): void => {
    tries[filter][n] = value;
    const byte = value & 255;
    costs[filter] += byte < 128 ? byte : 256 - byte;
  };
  for (let y = 0; y < height; y++) {
    costs.fill(0);
    for (let n = 0; n < row; n++) {
      const here = rgb[y * row + n] ?? 0;
      note(0, n, here);
      note(1, n, here - (n < 3 ? 0 : rgb[y * row + n - 3] ?? 0));
      note(2, n, here - (y === 0 ? 0 : rgb[(y - 1) * row + n] ?? 0));
    }
    const best = costs[1] < costs[0] ? (costs[2] < costs[1] ? 2 : 1) : costs[2] < costs[0] ? 2 : 0;
    out[y * (row + 1)] = best;
    out.set(tries[best], y * (row + 1) + 1);
  }
  return out;
}
