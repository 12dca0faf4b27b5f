// What the process takes of the host's memory; on a software device its buffers are there too.

import { writeFileSync } from "node:fs";

/** Bytes that the process takes now, and took at most. */
export interface Resident {
  readonly now: number;
  readonly most: number;
}

/** Begins to look for the most anew. Only Linux can; elsewhere it is the most since the process began. */
export function forgetMost(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Said by the comment above.
  }
}

/** The resident set of the process. */
export function resident(): Resident {
  return { now: process.memoryUsage.rss(), most: 1024 * process.resourceUsage().maxRSS };
}
