// Probabilities on disk as numpy reads them: a .npz file with one array, made slice by slice.

import { once } from "node:events";
import { closeSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { endianness } from "node:os";
import { basename, dirname, join } from "node:path";
import { crc32, createDeflateRaw } from "node:zlib";
import { invariant } from "../../compiler/report/diagnostic.ts";
import type { StoredGrid, Triple } from "../data/volume.ts";
import { voxels } from "../data/volume.ts";
import { storeVoxels, turnedShape } from "../data/voxels.ts";
import { makeFolder, unwritten } from "../files.ts";

/** The one array of the file. */
const NAME = "probabilities.npy";

/**
 * The probabilities of one case on their way to `path`: `probabilities` [K, k, j, i] of float32, with the axes of the stored grid in
 * the order in which SimpleITK shows them. `put` takes the slices [K, H, W] of the turned volume in order, `finish` writes the file,
 * `discard` leaves nothing behind. Slices wait on the disk, since the file has the classes one after the other.
 */
export class Probabilities {
  readonly #path: string;
  readonly #temporary: string;
  readonly #grid: StoredGrid;
  readonly #shape: Triple;
  readonly #classes: number;
  readonly #plane: Float32Array;
  readonly #raw: number;

  constructor(path: string, grid: StoredGrid, classes: number) {
    this.#path = path;
    this.#temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
    this.#grid = grid;
    this.#shape = turnedShape(grid);
    this.#classes = classes;
    this.#plane = new Float32Array(this.#shape[1] * this.#shape[2]);
    this.#raw = this.#trying(() => {
      makeFolder(dirname(path));
      const raw = `${this.#temporary}.raw`;
      const file = openSync(raw, "w+");
      // Without a name it is gone when the process is, however that ends.
      rmSync(raw, { force: true });
      return file;
    });
  }

  /** Takes slice `z`. */
  put(slice: Float64Array, z: number): void {
    const size = this.#plane.length;
    for (let k = 0; k < this.#classes; k++) {
      this.#plane.set(slice.subarray(k * size, (k + 1) * size));
      this.#trying(() => writeAll(this.#raw, bytesOf(this.#plane), 4 * (k * voxels(this.#shape) + z * size)));
    }
  }

  /** Writes the file; the probabilities of one class are held at a time. */
  async finish(): Promise<void> {
    const whole = voxels(this.#shape);
    const values = new Float32Array(whole);
    const stored = new Float32Array(whole);
    const raw = this.#raw;
    const [grid, classes] = [this.#grid, this.#classes];
    function* parts(): Generator<Uint8Array> {
      yield npyHeader([classes, grid.size[2], grid.size[1], grid.size[0]]);
      for (let k = 0; k < classes; k++) {
        readAll(raw, bytesOf(values), 4 * k * whole);
        yield bytesOf(storeVoxels(values, grid, stored));
      }
    }
    let file: number | undefined;
    const leave = (): void => rmSync(this.#temporary, { force: true });
    process.once("exit", leave);
    try {
      file = openSync(this.#temporary, "w");
      await writeZip(file, NAME, parts());
      fsyncSync(file);
      closeSync(file);
      file = undefined;
      renameSync(this.#temporary, this.#path);
    } catch (error) {
      if (file !== undefined) closeSync(file);
      leave();
      throw unwritten(this.#path, error);
    } finally {
      process.off("exit", leave);
      closeSync(raw);
    }
  }

  /** Ends without a file. */
  discard(): void {
    closeSync(this.#raw);
  }

  #trying<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw unwritten(this.#path, error);
    }
  }
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** A call moves less than 2 GiB. */
const MOST = 2 ** 30;

function writeAll(file: number, bytes: Uint8Array, at: number | null): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, Math.min(MOST, bytes.length - done), at === null ? null : at + done);
}

function readAll(file: number, into: Uint8Array, at: number): void {
  for (let done = 0; done < into.length; ) {
    const read = readSync(file, into, done, Math.min(MOST, into.length - done), at + done);
    invariant(read > 0, () => "slices are missing");
    done += read;
  }
}

/** The beginning of numpy's format 1.0 for a C-ordered array of float32. */
function npyHeader(shape: readonly number[]): Uint8Array {
  const text = `{'descr': '${endianness() === "LE" ? "<" : ">"}f4', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const padded = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11)}\n`;
  const bytes = Buffer.alloc(10 + padded.length);
  bytes.write("\u0093NUMPY\u0001\u0000", "latin1");
  bytes.writeUInt16LE(padded.length, 8);
  bytes.write(padded, 10, "latin1");
  return bytes;
}

/** A zip archive with one compressed entry, in the 64-bit form, as sizes are known last and may be beyond 4 GiB. */
async function writeZip(file: number, name: string, parts: Iterable<Uint8Array>): Promise<void> {
  const head = (sum: number, full: number, packed: number): Buffer => {
    const bytes = Buffer.alloc(30 + name.length + 20);
    bytes.writeUInt32LE(0x04034b50, 0);
    bytes.set(entry(sum), 4);
    bytes.writeUInt16LE(name.length, 26);
    bytes.writeUInt16LE(20, 28);
    bytes.write(name, 30, "latin1");
    bytes.set(sizes(16, full, packed), 30 + name.length);
    return bytes;
  };
  writeAll(file, head(0, 0, 0), null);
  const deflate = createDeflateRaw({ level: 1 });
  let [sum, full, packed] = [0, 0, 0];
  let broken: unknown;
  deflate.on("data", (chunk: Buffer) => {
    packed += chunk.length;
    try {
      if (broken === undefined) writeAll(file, chunk, null);
    } catch (error) {
      broken = error;
    }
  });
  for (const part of parts) {
    for (let at = 0; at < part.length; at += MOST) {
      const chunk = part.subarray(at, at + MOST);
      sum = crc32(chunk, sum);
      full += chunk.length;
      // The bytes are used again for the next part.
      await new Promise<void>((resolve, reject) => deflate.write(chunk, (error) => (error ? reject(error) : resolve())));
      if (broken !== undefined) throw broken;
    }
  }
  const ended = once(deflate, "end");
  deflate.end();
  await ended;
  if (broken !== undefined) throw broken;
  writeAll(file, head(sum, full, packed), 0);
  const directory = Buffer.alloc(46 + name.length + 28);
  directory.writeUInt32LE(0x02014b50, 0);
  directory.writeUInt16LE(45, 4);
  directory.set(entry(sum), 6);
  directory.writeUInt16LE(name.length, 28);
  directory.writeUInt16LE(28, 30);
  directory.writeUInt32LE(0xffffffff, 42);
  directory.write(name, 46, "latin1");
  directory.set(sizes(24, full, packed), 46 + name.length);
  const start = 30 + name.length + 20 + packed;
  writeAll(file, Buffer.concat([directory, ending(start, directory.length)]), start);
}

/** What both headers of an entry share: version 4.5, deflate, the first day of the format's calendar, and sizes that stand elsewhere. */
function entry(sum: number): Buffer {
  const bytes = Buffer.alloc(22);
  bytes.writeUInt16LE(45, 0);
  bytes.writeUInt16LE(8, 4);
  bytes.writeUInt16LE(0x21, 8);
  bytes.writeUInt32LE(sum, 10);
  bytes.writeUInt32LE(0xffffffff, 14);
  bytes.writeUInt32LE(0xffffffff, 18);
  return bytes;
}

/** The sizes in 64 bits; in the directory (24 bytes) followed by where the entry begins, which is 0. */
function sizes(length: number, full: number, packed: number): Buffer {
  const bytes = Buffer.alloc(4 + length);
  bytes.writeUInt16LE(1, 0);
  bytes.writeUInt16LE(length, 2);
  bytes.writeBigUInt64LE(BigInt(full), 4);
  bytes.writeBigUInt64LE(BigInt(packed), 12);
  return bytes;
}

/** The three records that end an archive with a directory of one entry. */
function ending(start: number, length: number): Buffer {
  const bytes = Buffer.alloc(56 + 20 + 22);
  bytes.writeUInt32LE(0x06064b50, 0);
  bytes.writeBigUInt64LE(44n, 4);
  bytes.writeUInt16LE(45, 12);
  bytes.writeUInt16LE(45, 14);
  bytes.writeBigUInt64LE(1n, 24);
  bytes.writeBigUInt64LE(1n, 32);
  bytes.writeBigUInt64LE(BigInt(length), 40);
  bytes.writeBigUInt64LE(BigInt(start), 48);
  bytes.writeUInt32LE(0x07064b50, 56);
  bytes.writeBigUInt64LE(BigInt(start + length), 64);
  bytes.writeUInt32LE(1, 72);
  bytes.writeUInt32LE(0x06054b50, 76);
  bytes.writeUInt16LE(1, 84);
  bytes.writeUInt16LE(1, 86);
  bytes.writeUInt32LE(length, 88);
  bytes.writeUInt32LE(0xffffffff, 92);
  return bytes;
}
