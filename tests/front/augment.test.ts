// `augment` in a run: what stands before the network in training and nowhere else, how much is loaded, and what is not understood.

import { describe, expect, it } from "vitest";
import { instantiate, prepareInference, prepareTraining, type Prepared, type RunOptions } from "../../compiler/front/front.ts";
import { sizeOf, shapeOf, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { ordered } from "../../compiler/ir/order.ts";
import { differentiated } from "../../compiler/passes/draft.ts";
import { noise } from "../compiler/noise.ts";
import { program, written } from "./library.ts";

const text = (settings: string, patch = "[8, 10, 12]"): string => `
strengths = [noise(0.5, chance = 1)]
few = [*strengths, mirror([2], chance = 1)]

/// An augmentation of one's own: the same box of every patch is blanked out, label 9.
op blank(image: [N, C, *S], label: [N, L, *S], edge: int = 2) -> (y: [N, C, *S], moved: [N, L, *S]) {
  kept[*s in 0..<S] = select(max([*(s)]) < edge, 0, 1)
  y[n, c, *s] = kept[*s] * image[n, c, *s]
  moved[n, l, *s] = select(kept[*s] == 1, label[n, l, *s], 9)
}
op thrice(image: [N, C, *S], label: [N, L, *S], more: [N, C, *S]) -> (y: [N, C, *S], moved: [N, L, *S]) { y = image
 moved = label }
op shorter(image: [N, C, *S], label: [N, L, *S]) -> (y: [N, C, *T], moved: [N, L, *T]) where T = S / 2 {
  y[n, c, *t] = image[n, c, *(2 * t)]
  moved[n, l, *t] = label[n, l, *(2 * t)]
}
network Plain(image: [N, M, *S], classes: int) {
  out logits = image |> Conv(classes)
}
train one for Plain(classes = 3) {
  patch = ${patch}
  loss = mean_squared_error(logits, image) + mean_squared_error(label, 2 * label)
  optimizer = sgd(lr = 0.1)
  ${settings}
}
`;
const prepared = (settings: string, options: RunOptions = {}): Prepared => prepareTraining(written(text(settings)), undefined, { channels: 3, ...options });
const inputs = ({ training }: Prepared): readonly string[] => training?.graph.inputs.map((t) => `${t.name} ${shapeOf(t).join("x")}`) ?? [];
const mirror = (settings: string, options: RunOptions = {}): readonly number[] | undefined => prepareInference(written(text(settings)), undefined, options).settings?.mirror;

describe("what a run loads", () => {
  it("is the patch where nothing moves further, and more where patches turn", () => {
    for (const settings of ["", "augment = none", "augment = []", "augment = [nnunet_tones, mirror()]"]) expect(inputs(prepared(settings))).toEqual(["image 2x3x8x10x12", "label 2x1x8x10x12"]);
    // 30 degrees need max(10 cos + 8 sin, 8 sin + ...) voxels, in whole voxels on both sides.
    const turn = (along: number, ...across: number[]): number => Math.max(along, ...across.map((n) => along * Math.cos(Math.PI / 6) + n / 2));
    const grown = (n: number, needed: number): number => n + 2 * Math.ceil((needed - n) / 2);
    const turned = [grown(8, turn(8, 10, 12)), grown(10, turn(10, 8, 12)), grown(12, turn(12, 8, 10))];
    expect(inputs(prepared("augment = [rotate(30)]"))[0]).toBe(`image 2x3x${turned.join("x")}`);
    const zoomed = [grown(8, turn(8, 10, 12) / 0.85), grown(10, turn(10, 8, 12) / 0.85), grown(12, turn(12, 8, 10) / 0.85)];
    expect(inputs(prepared("augment = nnunet_augment"))).toEqual([`image 2x3x${zoomed.join("x")}`, `label 2x1x${zoomed.join("x")}`]);
    // The last one first: what comes out of one goes into the next.
    expect(inputs(prepared("augment = [rotate(load = [20, 20, 20]), rotate(load = [16, 16, 16])]"))[0]).toBe("image 2x3x20x20x20");
    // Slices three times as thick as pixels are wide turn on their own.
    expect(inputs(prepareTraining(written(text("augment = nnunet_augment", "[4, 16, 16]")), undefined, { channels: 3 }))[0]).toBe("image 2x3x4x20x20");
    expect(inputs(prepareTraining(written(text("augment = nnunet_augment", "[16, 16]")), undefined, { channels: 3 }))[0]).toBe("image 2x3x20x20");
  });
});

/** Values of a training graph, its inputs drawn. */
function values(made: Prepared, given: Readonly<Record<string, Float64Array>> = {}, when: object = {}): (t: Tensor) => Float64Array {
  const known = new Map<Tensor, Float64Array>();
  const { graph } = made.training ?? {};
  for (const [i, t] of [...(graph?.inputs ?? []), ...(graph?.weights.map((w) => w.tensor) ?? [])].entries()) known.set(t, given[t.name] ?? noise(sizeOf(t), 3 + i));
  return (t) => interpret(t, { values: known, ...when });
}

describe("what the network sees in training", () => {
  it("is augmented, by the same draws in the same step; in inference it is not", () => {
    const made = prepared("augment = few");
    const plain = prepared("augment = few", { set: { augment: "none" } });
    const [loss] = made.training?.graph.outputs ?? [];
    const head = made.training?.heads[0]?.tensor as Tensor;
    const at = (step: number, seed = 0): Float64Array => values(made, {}, { step, seed })(head);
    expect(loss?.tensor.axes).toEqual([]);
    expect(at(4)).toEqual(at(4));
    expect(at(5)).not.toEqual(at(4));
    expect(at(4, 1)).not.toEqual(at(4));
    const before = values(plain)(plain.training?.heads[0]?.tensor as Tensor);
    expect(at(4)).not.toEqual(before);
    // Without its noise: the last axis is turned around.
    const still = prepared("strong = 0.0\n  sharp = [noise(strong, chance = 1)]\n  augment = [*sharp, mirror([2], chance = 1)]");
    const turned = values(still)(still.training?.heads[0]?.tensor as Tensor);
    expect([...turned]).toEqual([...before].map((_, i) => before[i - (i % 12) + 11 - (i % 12)]));
    const { graph } = prepareInference(written(text("augment = few")), undefined, { channels: 3 });
    expect(ordered(graph?.outputs.map((o) => o.tensor) ?? []).some((t) => t.origin.span?.file.path === "std:augment.net")).toBe(false);
  });

  it("may be of one's own making, and no gradient flows back through it", () => {
    const made = prepared("augment = [blank(edge = 3), nnunet_augment]");
    expect(made.findings).toEqual([]);
    const { training } = made;
    const draft = training && differentiated(training, 2 ** 20);
    const far = ordered(draft?.roots() ?? []).filter((t) => t.name.startsWith("d_") && (t.origin.span?.file.path === "std:augment.net" || t.origin.span?.file.text.slice(t.origin.span.start).startsWith("y[n, c, *s] = kept")));
    expect(far.map((t) => t.name)).toEqual([]);
    const blanked = prepared("augment = blank", { patch: [4, 4, 4] });
    const of = values(blanked, { label: new Float64Array(128), image: new Float64Array(384).fill(1) });
    const label = blanked.training && ordered([blanked.training.loss]).find((t) => t.name === "moved");
    expect(label && [...of(label)].filter((v) => v === 9).length).toBe(16);
  });

  it("a click's map keeps its values, and moves with the image", () => {
    const made = prepared("guide = click()\n  augment = [brightness(2, 2, chance = 1), mirror(chance = 1)]", { channels: 1, set: { patch: "[2, 2, 2]", loss: "mean_squared_error(image, image)", batch: "1" } });
    expect(made.findings).toEqual([]);
    const image = Float64Array.from({ length: 16 }, (_, i) => i);
    const [seen] = made.training ? ordered([made.training.loss, ...made.training.heads.map((h) => h.tensor)]).filter((t) => t.name === "y" && shapeOf(t).join() === "1,2,2,2,2").slice(-1) : [];
    expect(seen && [...values(made, { image })(seen)]).toEqual([14, 12, 10, 8, 6, 4, 2, 0, 15, 14, 13, 12, 11, 10, 9, 8]);
  });
});

it("the example of the documentation blanks out one box in half of the samples", () => {
  const made = `import { cutout } from "docs/examples/cutout.net"\nnetwork Case(image: [N, C, *S]) {\n  out y = image |> cutout\n}\n`;
  const { graph, findings } = instantiate(written(made), "Case", { inputs: [[40, 1, 8, 10, 12]], training: true });
  expect(findings).toEqual([]);
  const [image] = graph?.inputs ?? [];
  const [out] = graph?.outputs ?? [];
  const values = image && out ? interpret(out.tensor, { values: new Map([[image, new Float64Array(sizeOf(image)).fill(1)]]) }) : new Float64Array();
  const blank = Array.from({ length: 40 }, (_, n) => values.slice(n * 960, (n + 1) * 960).reduce((sum, v) => sum + 1 - v, 0));
  expect(new Set(blank)).toEqual(new Set([0, 2 * 3 * 3]));
  expect(Math.abs(blank.filter((n) => n > 0).length - 20)).toBeLessThan(8);
  expect(prepareTraining(program("docs/examples/cutout.net"), undefined, { classes: 6 }).findings).toEqual([]);
});

describe("how a run predicts", () => {
  it("mirrors where it was trained to, unless it says otherwise", () => {
    expect(mirror("")).toEqual([]);
    expect(mirror("augment = nnunet_tones")).toEqual([]);
    expect(mirror("augment = nnunet_augment")).toEqual([0, 1, 2]);
    expect(mirror("augment = [mirror([2]), few, mirror(mirrored = [1])]")).toEqual([1, 2]);
    expect(mirror("augment = nnunet_augment\n  mirror = [0]")).toEqual([0]);
    expect(mirror("augment = nnunet_augment\n  mirror = none")).toEqual([]);
    expect(mirror("augment = nnunet_augment", { set: { augment: "none" } })).toEqual([]);
    expect(mirror("", { set: { augment: "[mirror([1])]" } })).toEqual([1]);
  });
});

it.each([
  ["augment = 3", "a list of calls of ops"], ["augment = [relu]", "a list of calls of ops"], ["augment = [thrice()]", "no op from an image"], ["augment = [Conv(3)]", "a list of calls of ops"],
  ["augment = [shorter()]", "2, 3, 4, 5, 6"], ["augment = [noise(strength = 3)]", "strength"], ["augment = [rotate([30, 30])]", "degrees"],
  ["augment = nnunet_tones()", "without `()`"], ["augment = [spatial(axes = [3])]", "axes"], ["augment = [mirror([0, 3])]", "mirrored"],
])("%s is told to be wrong", (settings, says) => {
  const { findings } = prepared(settings);
  expect(findings.length).toBe(1);
  expect([findings[0]?.headline, findings[0]?.hint, ...(findings[0]?.facts ?? []), ...(findings[0]?.labels.map((l) => l.text) ?? [])].join(" ")).toContain(says);
});
