// Files on disk: whole reads and writes that either happen fully or not at all, with findings instead of error codes.

import { constants } from "node:buffer";
import { closeSync, existsSync, fchmodSync, fstatSync, fsyncSync, mkdirSync, openSync, readFileSync, readSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { diagnostic, Fault } from "../compiler/report/diagnostic.ts";

/** The system moves less than 2 GiB at a time. */
const PIECE = 2 ** 30;
/** The most bytes that lie in one array. */
export const MOST_BYTES = constants.MAX_LENGTH;

/** Reads a whole file, in pieces where it is larger than one of them; a `Fault` with N1006 when that cannot be done. */
export function readBytes(path: string, piece = PIECE): Uint8Array {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const { size } = fstatSync(file);
    // What is no plain file, such as a pipe, has no size.
    if (size <= piece) return readFileSync(file);
    if (size > MOST_BYTES) throw new Error(`It has ${(size / 2 ** 30).toFixed(1)} GiB; ${MOST_BYTES / 2 ** 30} GiB can be read at once.`);
    const bytes = new Uint8Array(size);
    for (let done = 0; done < size; ) {
      const count = readSync(file, bytes, done, Math.min(piece, size - done), done);
      if (count === 0) throw new Error(`It ended after ${done} of ${size} bytes.`);
      done += count;
    }
    return bytes;
  } catch (error) {
    throw new Fault(diagnostic("N1006", `cannot read ${path}`, { facts: [reason(error)], hint: readHint(error) }));
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/**
 * Writes a file so that a reader sees either the old content or the new one, whatever happens in between:
 * a temporary file in the same folder, flushed to the disk, then renamed. Missing folders are made; a file that is
 * replaced passes its permissions on.
 */
export function writeAtomic(path: string, content: Uint8Array | string): void {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}.tmp`);
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  let file: number | undefined;
  try {
    makeFolder(folder);
    file = openSync(temporary, "w");
    if (existsSync(path)) fchmodSync(file, statSync(path).mode & 0o7777);
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, Math.min(PIECE, bytes.length - done));
    fsyncSync(file);
    closeSync(file);
    file = undefined;
    renameSync(temporary, path);
    flushFolder(folder);
  } catch (error) {
    if (file !== undefined) closeSync(file);
    discard(temporary);
    throw unwritten(path, error);
  }
}

/** What is said when a file cannot be written. */
export function unwritten(path: string, error: unknown): Fault {
  return new Fault(diagnostic("N1007", `cannot write ${path}`, { facts: [reason(error)], hint: writeHint(error, dirname(path)) }));
}

/** Makes a folder and those above it that are missing, one by one: Node's own way never ends where the system refuses with ENOENT, as below `/proc`. */
export function makeFolder(folder: string): void {
  if (folder === "" || existsSync(folder)) return;
  const above = dirname(folder);
  if (above !== folder) makeFolder(above);
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have been faster.
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

function discard(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The first failure is the one to tell; where nothing could be written nothing is left.
  }
}

// Without this a power cut may lose the new name although the bytes are safe. Some systems cannot open folders.
function flushFolder(folder: string): void {
  let file: number | undefined;
  try {
    file = openSync(folder, "r");
    fsyncSync(file);
  } catch {
    // The file itself is complete either way.
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function reason(error: unknown): string {
  const code = codeOf(error);
  const known: Record<string, string> = {
    ENOENT: "There is no such file or folder.",
    EACCES: "This user may not do that there (permission denied).",
    EPERM: "This user may not do that there (not permitted).",
    EROFS: "The file system is read-only.",
    ENOSPC: "The disk is full.",
    EDQUOT: "The disk quota is used up.",
    EISDIR: "It is a folder, not a file.",
    ENOTDIR: "A part of the path is a file, not a folder.",
    ENAMETOOLONG: "The name is too long for this file system.",
  };
  return known[code] ?? (error instanceof Error ? error.message : String(error));
}

function readHint(error: unknown): string | undefined {
  return codeOf(error) === "ENOENT" ? "check the spelling, and that the path is relative to the folder you are in" : undefined;
}

function writeHint(error: unknown, folder: string): string | undefined {
  switch (codeOf(error)) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return `choose a folder you may write to, or change the rights of ${folder}`;
    case "ENOSPC":
    case "EDQUOT":
      return "free some space and start again; nothing half-written was left behind";
    case "ENOTDIR":
    case "EEXIST":
      return `${folder} must be a folder`;
    default:
      return undefined;
  }
}
