// The software Vulkan driver that an npm package brings along: found, unpacked once, kept per user.

import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { userCache } from "../caches.ts";
import { readTar } from "./archive.ts";

/** The driver's manifest, for the loader, and a loader for systems without one. */
export interface Embedded {
  readonly manifest: string;
  readonly loader: string;
}

const carrier = "@sparticuz/chromium";
const wanted = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"] as const;

/** The driver, unpacked, or why there is none. */
export function embeddedDriver(): Embedded | string {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `the embedded driver is for linux-x64, this is ${process.platform}-${process.arch}`;
  }
  const carried = findCarrier();
  if (carried === undefined) return `the optional package ${carrier} is not installed`;
  const reasons: string[] = [];
  for (const root of cacheRoots()) {
    try {
      const folder = unpack(carried, root());
      return { manifest: join(folder, wanted[2]), loader: join(folder, wanted[1]) };
    } catch (cause) {
      reasons.push(cause instanceof Error ? cause.message : String(cause));
    }
  }
  return `it could not be unpacked: ${reasons.join("; ")}`;
}

interface Carrier {
  readonly archive: string;
  readonly version: string;
}

/** The package's export map hides its files, so its folder is found from its entry point. */
function findCarrier(): Carrier | undefined {
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve(carrier));
  } catch {
    return undefined;
  }
  for (; dirname(folder) !== folder; folder = dirname(folder)) {
    const archive = join(folder, "bin", "swiftshader.tar.br");
    if (!existsSync(archive)) continue;
    const about: unknown = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const version = typeof about === "object" && about !== null && "version" in about ? String(about.version) : "0";
    return { archive, version };
  }
  return undefined;
}

/** Where unpacked files may be kept, best first. */
function cacheRoots(): readonly (() => string)[] {
  return [userCache, privateFolder];
}

/** A folder of this user's own in the shared temporary folder; another user's of that name would be a trap. */
export function privateFolder(): string {
  const user = process.getuid?.() ?? 0;
  const folder = join(tmpdir(), `netc-${user}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const about = statSync(folder);
  if (process.getuid !== undefined && about.uid !== user) return mkdtempSync(join(tmpdir(), "netc-"));
  chmodSync(folder, 0o700);
  return folder;
}

const complete = (folder: string): boolean => wanted.every((name) => existsSync(join(folder, name)));

/** Written beside its final place and renamed, so that processes racing here see all of it or nothing. */
function unpack(carried: Carrier, root: string): string {
  const folder = join(root, `swiftshader-${carried.version}`);
  if (complete(folder)) return folder;
  const files = readTar(brotliDecompressSync(readFileSync(carried.archive)));
  const draft = `${folder}.${process.pid}.${randomBytes(4).toString("hex")}`;
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  try {
    for (const name of wanted) {
      const bytes = files.get(name);
      if (bytes === undefined) throw new Error(`${carried.archive} holds no ${name}`);
      writeFileSync(join(draft, name), bytes, { mode: 0o755 });
    }
    if (existsSync(folder) && !complete(folder)) rmSync(folder, { recursive: true, force: true });
    renameSync(draft, folder);
  } catch (cause) {
    rmSync(draft, { recursive: true, force: true });
    if (!complete(folder)) throw cause;
  }
  return folder;
}
