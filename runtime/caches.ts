// Where what can be made again is kept between runs.

import { homedir } from "node:os";
import { join } from "node:path";

/** The folder `netc` in the user's folder of caches. */
export function userCache(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const caches = env["XDG_CACHE_HOME"];
  return join(caches === undefined || caches === "" ? join(homedir(), ".cache") : caches, "netc");
}
