// Catches what Dawn and drivers print to stderr from native code, which Node's streams never see.

import { closeSync, fstatSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { privateFolder } from "./embedded.ts";

const stderr = 2;

/**
 * Runs `body` with the process's stderr led into a file, and gives back what was printed.
 * The body must be done when it returns: everybody's stderr is gone meanwhile. Where this cannot be
 * done safely (not Linux, a worker, stderr a socket or closed), the body just runs; so it does where stderr is
 * a regular file, which may be stdout's too: opened again it would have a place of its own to write at, and the two
 * would overwrite each other.
 */
export function catching<T>(body: () => T): { readonly value: T; readonly said: string } {
  if (process.platform !== "linux" || !isMainThread) return { value: body(), said: "" };
  const path = join(privateFolder(), `stderr.${process.pid}`);
  let kept: number;
  try {
    if (fstatSync(stderr).isFile()) return { value: body(), said: "" };
    kept = openSync(`/proc/self/fd/${stderr}`, "a");
  } catch {
    return { value: body(), said: "" };
  }
  replace(path);
  try {
    const value = body();
    return { value, said: readFileSync(path, "utf8") };
  } finally {
    replace(`/proc/self/fd/${kept}`);
    closeSync(kept);
    rmSync(path, { force: true });
  }
}

/** The kernel gives a new file the lowest free number, which is the one just closed: Node has no `dup2`. */
function replace(path: string): void {
  closeSync(stderr);
  const got = openSync(path, "a");
  if (got !== stderr) throw new Error(`internal: stderr became file ${got}`);
}
