// Pictures: the file format, and what the picture of a slice shows.

import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Triple } from "../../runtime/data/volume.ts";
import { Canvas, textWidth } from "../../runtime/picture/canvas.ts";
import { hasInk, letters } from "../../runtime/picture/font.ts";
import { busiestSlice, classColour, slicePicture } from "../../runtime/picture/slice.ts";
import type { Scene } from "../../runtime/picture/slice.ts";
import { encodePng } from "../../runtime/png.ts";

interface Decoded {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
  readonly chunks: readonly string[];
}

/** A reader of its own, by the bit-wise definition of the checksum and the filters. */
function decodePng(bytes: Uint8Array): Decoded {
  expect([...bytes.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const chunks: string[] = [];
  let [width, height] = [0, 0];
  let packed = new Uint8Array();
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    chunks.push(name);
    let c = 0xffffffff;
    for (const byte of bytes.subarray(at + 4, at + 8 + length)) {
      c ^= byte;
      for (let bit = 0; bit < 8; bit++) c = (c >>> 1) ^ (c & 1 ? 0xedb88320 : 0);
    }
    expect(view.getUint32(at + 8 + length)).toBe(~c >>> 0);
    if (name === "IHDR") [width, height] = [view.getUint32(at + 8), view.getUint32(at + 12)];
    if (name === "IDAT") packed = bytes.slice(at + 8, at + 8 + length);
    at += 12 + length;
  }
  const raw = inflateSync(packed);
  const row = 3 * width;
  expect(raw.length).toBe((row + 1) * height);
  const rgb = new Uint8Array(row * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (row + 1)];
    for (let n = 0; n < row; n++) {
      const value = raw[y * (row + 1) + 1 + n] ?? 0;
      const base = filter === 1 ? (n < 3 ? 0 : rgb[y * row + n - 3]) : filter === 2 ? (y === 0 ? 0 : rgb[(y - 1) * row + n]) : 0;
      rgb[y * row + n] = value + (base ?? 0);
    }
  }
  return { width, height, rgb, chunks };
}

describe("png", () => {
  it("gives back every pixel, whatever filter a row took", () => {
    const [width, height] = [37, 11];
    const rgb = Uint8Array.from({ length: 3 * width * height }, (_, n) => (n < 333 ? 200 : n < 666 ? n & 255 : (n * 7919) >> 3));
    const png = decodePng(encodePng(rgb, width, height));
    expect([png.width, png.height]).toEqual([width, height]);
    expect(png.chunks).toEqual(["IHDR", "IDAT", "IEND"]);
    expect(png.rgb).toEqual(rgb);
  });
});

describe("letters", () => {
  it("all of printable ASCII that names use has ink of its own", () => {
    const shape = (letter: string): string => Array.from({ length: 45 }, (_, n) => (hasInk(letter, n % 5, Math.floor(n / 5)) ? "#" : ".")).join("");
    const all = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;-_/()[]%+=*~<>'\"!?#&^@|\\"];
    expect(new Set(all.map(shape)).size).toBe(all.length);
    expect(all.map(shape)).not.toContain(shape("肝"));
  });
  it("accents fall off", () => expect(letters("Müller ß é")).toEqual([..."Muller ss e"]));
  it("text is as wide as said", () => {
    const canvas = new Canvas(100, 20, [0, 0, 0]);
    canvas.text(0, 0, "HH", [255, 255, 255]);
    const { rgb } = decodePng(canvas.png());
    const columns = Array.from({ length: 100 }, (_, x) => Array.from({ length: 20 }, (_, y) => rgb[3 * (y * 100 + x)] ?? 0).some((v) => v > 0));
    expect(columns.lastIndexOf(true) + 1).toBe(textWidth("HH"));
  });
  it("a canvas drops what lies outside", () => {
    const canvas = new Canvas(4, 4, [1, 2, 3]);
    canvas.fill(-2, -2, 3, 3, [255, 0, 0]);
    const { rgb } = decodePng(canvas.png());
    expect([...rgb.subarray(0, 6)]).toEqual([255, 0, 0, 1, 2, 3]);
  });
});

describe("the picture of a slice", () => {
  const shape: Triple = [4, 20, 30];
  const voxel = (z: number, y: number, x: number): number => (z * 20 + y) * 30 + x;
  const label = new Uint8Array(2400);
  // Class 1 in front on the patient's left (low x, high y) of slice 2; class 2 behind on the right, predicted only.
  for (let y = 12; y < 18; y++) for (let x = 2; x < 10; x++) label[voxel(2, y, x)] = 1;
  const prediction = label.slice();
  for (let y = 2; y < 8; y++) for (let x = 20; x < 28; x++) prediction[voxel(2, y, x)] = 2;
  const scene: Scene = { title: "case", image: new Float32Array(2400).fill(100), shape, spacing: [5, 2, 2], prediction, label, classes: ["background", "one", "two"], window: [0, 200] };
  const near = (a: readonly number[], b: readonly number[]): boolean => a.every((v, n) => Math.abs(v - (b[n] ?? 0)) < 12);

  it("takes the busiest slice", () => expect(busiestSlice(label, shape)).toBe(2));
  it("is wide enough and shows each class in its place and colour", () => {
    const { width, height, rgb } = decodePng(slicePicture(scene));
    expect(width).toBeGreaterThanOrEqual(900);
    const found = (colour: readonly number[], left: number, right: number): number => {
      let count = 0;
      for (let y = 98; y < height - 120; y++) for (let x = left; x < right; x++) if (near([...rgb.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)], colour)) count++;
      return count;
    };
    const tinted = (value: number): readonly number[] => classColour(value).map((part) => Math.round(127.5 * 0.68 + part * 0.32));
    const half = Math.floor(width / 2);
    expect(found(tinted(1), 0, half)).toBeGreaterThan(1000);
    expect(found(tinted(2), 0, half)).toBe(0);
    expect(found(tinted(1), half, width)).toBeGreaterThan(1000);
    expect(found(tinted(2), half, width)).toBeGreaterThan(1000);
    // Low x is the patient's left, which a doctor sees on the right of the picture.
    expect(found(tinted(1), 0, Math.floor(half / 2))).toBe(0);
  });
  it("without a label shows the plain image beside the prediction", () => {
    const { width } = decodePng(slicePicture({ ...scene, label: undefined }));
    expect(width).toBeGreaterThanOrEqual(900);
  });
  it("copes with one voxel, a flat image and many classes", () => {
    const classes = ["background", ...Array.from({ length: 30 }, (_, n) => `a rather long class name ${n}`)];
    const bytes = slicePicture({ title: "x".repeat(200), image: new Float32Array(1), shape: [1, 1, 1], spacing: [1, 1, 1], prediction: Uint8Array.of(30), label: Uint8Array.of(0), classes });
    expect(decodePng(bytes).width).toBeGreaterThanOrEqual(900);
  });
});
