// Flags are checked and typed before a command sees them.

import { describe, expect, it } from "vitest";
import { type Flags, readArguments, UsageError } from "../../cli/arguments.ts";

const flags = {
  steps: { kind: "integer", least: 1, text: "how many" },
  patch: { kind: "integers", least: 1, text: "how large" },
  rate: { kind: "number", text: "how fast" },
  set: { kind: "pairs", text: "values" },
  format: { kind: "choice", of: ["text", "json"], text: "form" },
  out: { kind: "text", holds: "FOLDER", short: "o", text: "where" },
  quiet: { kind: "switch", text: "say less" },
} as const satisfies Flags;

const read = (...argv: string[]) => readArguments(argv, flags, { name: "FILE", least: 0, most: 2 });

function complaint(...argv: string[]): string {
  try {
    read(...argv);
  } catch (thrown) {
    if (thrown instanceof UsageError) return thrown.message + (thrown.hint === undefined ? "" : `; ${thrown.hint}`);
    throw thrown;
  }
  return "none";
}

describe("arguments", () => {
  it("come typed, in any order", () => {
    const { values, operands } = read("a", "--steps", "1_000", "--patch=128,96,64", "--rate", "-1e-3", "--set", "k=3", "--set", "depth=[2; 9]=x", "-o", "runs", "--quiet", "b");
    expect(operands).toEqual(["a", "b"]);
    expect(values).toEqual({ steps: 1000, patch: [128, 96, 64], rate: -1e-3, set: { k: "3", depth: "[2; 9]=x" }, format: undefined, out: "runs", quiet: true });
  });

  it("may all be missing", () => {
    expect(read().values).toEqual({ steps: undefined, patch: undefined, rate: undefined, set: {}, format: undefined, out: undefined, quiet: false });
  });

  it("after `--` are operands", () => {
    expect(read("--", "--steps").operands).toEqual(["--steps"]);
  });

  it.each([
    [["--step", "3"], "there is no flag `--step`; did you mean `--steps`?"],
    [["--steps", "0"], "`--steps` is at least 1, not 0"],
    [["--steps", "three"], "`--steps` takes whole numbers, not `three`"],
    [["--steps", "1.5"], "`--steps` takes whole numbers, not `1.5`"],
    [["--steps"], "`--steps` needs a value: `--steps N`"],
    [["--steps", "1", "--steps", "2"], "`--steps` is given 2 times"],
    [["--patch", "128,,64"], "`--patch` takes whole numbers, not ``"],
    [["--rate", "fast"], "`--rate` takes a number, not `fast`"],
    [["--set", "k"], "`--set` takes `name=value`, not `k`"],
    [["--format", "jsn"], "`--format` is one of text, json, not `jsn`; did you mean `json`?"],
    [["--quiet=yes"], "`--quiet` takes no value"],
    [["a", "b", "c"], "`c` is one FILE too many"],
  ])("%j: %s", (argv, message) => {
    expect(complaint(...argv)).toBe(message);
  });
});
