#!/usr/bin/env node
// The entry of the command `netc`.

import { setFlagsFromString } from "node:v8";
import { exit } from "./command.ts";
import { dispatch } from "./dispatch.ts";
import { terminalOn } from "./terminal.ts";

/** A reader such as `head` may close the pipe early; there is nothing left to do then. */
function endQuietly(error: Error): void {
  if ("code" in error && error.code === "EPIPE") process.exit(exit.done);
  throw error;
}

// The compiler is much code that runs for a moment: optimising it thoroughly takes longer than what that saves.
for (const flag of ["--max-inlined-bytecode-size-cumulative=100", "--always-sparkplug", "--interrupt-budget=200000"]) setFlagsFromString(flag);
process.stdout.on("error", endQuietly);
process.stderr.on("error", endQuietly);
process.exitCode = await dispatch(process.argv.slice(2), terminalOn(process.stdout, process.stderr, process.env));
