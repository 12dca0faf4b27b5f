// Where an image is not zero: the box that is kept of it, and the mask whose intensities count.

import { cropInto } from "./crop.ts";
import type { Box } from "./long-axis.ts";
import { voxels, type Triple } from "./volume.ts";

/** The box around all voxels of an image [C, D, H, W] that are not 0 in every channel; all of an image that is 0 throughout. */
export function nonzeroBox(image: Float32Array, shape: Triple): Box {
  const size = voxels(shape);
  const first: [number, number, number] = [...shape];
  const last: [number, number, number] = [-1, -1, -1];
  for (let channel = 0; channel < image.length; channel += size) {
    let at = channel;
    for (let z = 0; z < shape[0]; z++) {
      for (let y = 0; y < shape[1]; y++, at += shape[2]) {
        let left = 0;
        while (left < shape[2] && image[at + left] === 0) left++;
        if (left === shape[2]) continue;
        let right = shape[2] - 1;
        while (image[at + right] === 0) right--;
        first[0] = Math.min(first[0], z);
        first[1] = Math.min(first[1], y);
        first[2] = Math.min(first[2], left);
        last[0] = Math.max(last[0], z);
        last[1] = Math.max(last[1], y);
        last[2] = Math.max(last[2], right);
      }
    }
  }
  if (last[0] < 0) return wholeBox(shape);
  return { start: first, size: [last[0] - first[0] + 1, last[1] - first[1] + 1, last[2] - first[2] + 1] };
}

/** All of an image. */
export function wholeBox(shape: Triple): Box {
  return { start: [0, 0, 0], size: shape };
}

/** Whether a box is the whole of a shape. */
export function isWhole({ size }: Box, shape: Triple): boolean {
  return size.every((extent, axis) => extent === shape[axis]);
}

/** The channels [C, D, H, W] of an image within a box. */
export function cutImage(image: Float32Array, shape: Triple, box: Box): Float32Array {
  if (isWhole(box, shape)) return image;
  const [whole, size] = [voxels(shape), voxels(box.size)];
  const out = new Float32Array((image.length / whole) * size);
  for (let channel = 0; channel * whole < image.length; channel++) cropInto(image.subarray(channel * whole, (channel + 1) * whole), shape, box.start, box.size, out, channel * size);
  return out;
}

/** A label [D, H, W] within a box. */
export function cutLabel(label: Uint8Array, shape: Triple, box: Box): Uint8Array {
  if (isWhole(box, shape)) return label;
  const out = new Uint8Array(voxels(box.size));
  const [, height, width] = box.size;
  for (let z = 0, at = 0; z < box.size[0]; z++) {
    for (let y = 0; y < height; y++, at += width) {
      const from = ((z + box.start[0]) * shape[1] + y + box.start[1]) * shape[2] + box.start[2];
      out.set(label.subarray(from, from + width), at);
    }
  }
  return out;
}

/** 1 where any channel of an image [C, D, H, W] is not 0, and in the holes that such voxels enclose (seen through faces). */
export function nonzeroMask(image: Float32Array, shape: Triple): Uint8Array {
  const size = voxels(shape);
  const mask = new Uint8Array(size);
  for (let n = 0; n < image.length; n++) if (image[n] !== 0) mask[n % size] = 1;
  if (mask.every((value) => value === 1)) return mask;
  // 2: outside, found by walking in from the faces of the volume.
  const queue = new Int32Array(size);
  let [head, tail] = [0, 0];
  const reach = (at: number): void => {
    if (mask[at] !== 0) return;
    mask[at] = 2;
    queue[tail++] = at;
  };
  const [depth, height, width] = shape;
  const plane = height * width;
  for (let at = 0; at < size; at++) {
    const [z, y, x] = [Math.floor(at / plane), Math.floor((at % plane) / width), at % width];
    if (z === 0 || z === depth - 1 || y === 0 || y === height - 1 || x === 0 || x === width - 1) reach(at);
  }
  while (head < tail) {
    const at = queue[head++] ?? 0;
    const [z, y, x] = [Math.floor(at / plane), Math.floor((at % plane) / width), at % width];
    if (z > 0) reach(at - plane);
    if (z < depth - 1) reach(at + plane);
    if (y > 0) reach(at - width);
    if (y < height - 1) reach(at + width);
    if (x > 0) reach(at - 1);
    if (x < width - 1) reach(at + 1);
  }
  for (let at = 0; at < size; at++) mask[at] = mask[at] === 2 ? 0 : 1;
  return mask;
}
