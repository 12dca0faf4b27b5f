// "Did you mean" says the right name or nothing.

import { describe, expect, it } from "vitest";
import { nearest } from "../../compiler/report/spelling.ts";

describe("nearest", () => {
  it.each([
    ["Instancenorm", ["GroupNorm", "InstanceNorm"], "InstanceNorm"],
    ["kernal", ["width", "kernel", "stride"], "kernel"],
    ["SEDYConv", ["Conv", "SEDyConv"], "SEDyConv"],
    ["wdith", ["depth", "width"], "width"],
    ["conv", ["convs", "Conv"], "Conv"],
    ["stirde", ["stride"], "stride"],
    ["x", ["y"], undefined],
    ["kernel", ["optimizer", "loss"], undefined],
    ["same", ["same"], undefined],
    ["anything", [], undefined],
  ] as const)("%s among %j is %s", (name, candidates, expected) => {
    expect(nearest(name, candidates)).toBe(expected);
  });

  it("prefers fewer edits", () => {
    expect(nearest("patched", ["patcher", "patches2", "batcher"])).toBe("patcher");
  });
});
