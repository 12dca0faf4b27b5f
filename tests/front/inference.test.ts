// The settings of inference: from the run, else from the network's `infer`, and what is not understood.

import { describe, expect, it } from "vitest";
import { prepareInference } from "../../compiler/front/front.ts";
import { written } from "./library.ts";

const text = (run: string, infer: string): string => `
network Plain(image: [N, M, *S], classes: int) {
  out logits = image |> Conv(classes)
}

train one for Plain(classes = 3) {
  patch = [4, 6, 8]
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1)
  ${run}
}

infer for Plain {
  window = [4, 6, 8]
  ${infer}
}
`;

const built = (run: string, infer = "", set = {}) => prepareInference(written(text(run, infer)), "one", { set });

describe("settings of inference", () => {
  it("have defaults", () => {
    expect(built("")).toMatchObject({ findings: [], settings: { window: [4, 6, 8], overlap: 0.5, blend: "gaussian", mirror: [] } });
  });

  it("are those of the network's `infer`, which the run overrules, which `--set` overrules; none is left out", () => {
    const infer = "overlap = 0.25\n  blend = uniform\n  mirror = all";
    expect(built("", infer)).toMatchObject({ findings: [], settings: { overlap: 0.25, blend: "uniform", mirror: [0, 1, 2] } });
    expect(built("overlap = 0.75\n  blend = gaussian\n  mirror = [2, 0]\n  window = [8, 6, 8]", infer)).toMatchObject({ findings: [], settings: { window: [8, 6, 8], overlap: 0.75, blend: "gaussian", mirror: [0, 2] } });
    expect(built("mirror = all", infer, { mirror: "none", blend: "gaussian" })).toMatchObject({ findings: [], settings: { blend: "gaussian", mirror: [] } });
  });

  it("probabilities are an output of their own, in the place of all others", () => {
    const shapes = (classes: number) => prepareInference(written(text("", "")), "one", { classes: 3, batch: 2, shares: classes }).graph?.outputs.map(({ name, tensor }) => [name, ...tensor.axes.map(({ extent }) => extent)]);
    expect(shapes(3)).toEqual([["shares", 2, 3, 4, 6, 8]]);
    // One value less than classes: independent targets.
    expect(shapes(4)).toEqual([["shares", 2, 3, 4, 6, 8]]);
    expect(shapes(7)).toEqual([["logits", 2, 3, 4, 6, 8]]);
  });

  it.each(["mirror = some", "mirror = [3]", "mirror = [1, 1]", "mirror = 1", "mirror = [0.5]", "blend = mean", "overlap = 1"])("%s is not understood", (setting) => {
    for (const made of [built(setting), built("", setting)]) expect(made.findings.map(({ code }) => code)).toEqual(["N0804"]);
  });
});
