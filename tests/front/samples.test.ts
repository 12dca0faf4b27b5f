// The settings that say what a sample is: what they mean, what they change, and what is not understood.

import { describe, expect, it } from "vitest";
import { prepareInference, prepareTraining, type PreparedGraph } from "../../compiler/front/front.ts";
import { shapeOf } from "../../compiler/ir/graph.ts";
import { written } from "./library.ts";

const text = (settings: string, classes = "classes = 1"): string => `
network Plain(image: [N, M, *S], classes: int) {
  out logits = image |> Conv(classes)
}

train one for Plain(${classes}) {
  patch = [4, 6, 8]
  batch = 2
  loss = weighted_bce(logits, label)
  optimizer = sgd(lr = 0.1)
  ${settings}
}
`;

const built = (settings: string, options = {}): PreparedGraph => prepareInference(written(text(settings)), undefined, options);

describe("sample settings", () => {
  it("have defaults, and say nothing where they are absent", () => {
    expect(built("").settings?.samples).toEqual({ target: undefined, guide: false, crop: undefined, drop: undefined });
    const all = prepareTraining(written(text('target = "liver"\n guide = click()\n crop = long_axis()\n drop = small()')), undefined, { channels: 1, classes: 6 });
    expect(all.findings).toEqual([]);
    expect(all.settings?.samples).toEqual({ target: "liver", guide: true, crop: { factor: 1.5, least: 32 }, drop: { extent: 2, voxels: 5 } });
    expect(built("target = 3\n crop = long_axis(least = 20, factor = 2)\n drop = small(voxels = 9)").settings?.samples).toMatchObject({ target: 3, crop: { factor: 2, least: 20 }, drop: { extent: 2, voxels: 9 } });
  });

  it("a guide gives the image one more channel, in training and after", () => {
    const { graph, settings } = built("guide = click()", { channels: 3 });
    expect(settings?.channels).toBe(4);
    expect(graph && shapeOf(graph.inputs[0] as never)).toEqual([2, 4, 4, 6, 8]);
    const { training } = prepareTraining(written(text("guide = click")), undefined, { channels: 3 });
    expect(training && shapeOf(training.graph.inputs[0] as never)).toEqual([2, 4, 4, 6, 8]);
  });

  it("a target is told from the background, however many classes the data has", () => {
    expect(built("target = 5", { classes: 6 })).toMatchObject({ findings: [], settings: { classes: 1 } });
    expect(built("", { classes: 6 }).findings).toMatchObject([{ code: "N0802", hint: expect.stringContaining("target") as string }]);
    const free = prepareInference(written(text("target = 5", "")), undefined, { classes: 6 });
    expect(free.settings?.classes).toBe(2);
  });

  it("can be given from outside", () => {
    expect(built("", { classes: 6, set: { target: "2" } }).settings?.samples.target).toBe(2);
    expect(built("target = 1", { classes: 6, set: { target: '"bone"' } }).settings?.samples.target).toBe("bone");
  });

  it.each([
    ["guide = touch()", "click"], ["guide = click(1)", "guide = click()"], ["crop = long_axis(1.5)", "factor = 1.5"], ["crop = long_axis(factor = 0)", "factor = 1.5"],
    ["crop = long_axis(faktor = 2)", "factor = 1.5"], ["crop = 3", "long_axis"], ["drop = small(extent = -1)", "extent = 2"], ["target = 0", "target"], ["target = 1.5", "target"], ["target = none", "target"],
  ])("%s is not understood", (setting, says) => {
    const { findings } = built(setting);
    expect(findings).toMatchObject([{ code: "N0804" }]);
    expect([findings[0]?.headline, findings[0]?.hint, ...(findings[0]?.facts ?? [])].join(" ")).toContain(says);
    expect(findings[0]?.labels[0]?.span.file.path).toBeDefined();
  });
});
