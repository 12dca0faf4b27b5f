// What a run says to the trainer: schedules against their closed forms, parts of a batch, frozen paths, and memory.

import { describe, expect, it } from "vitest";
import { bytesIn, prepareInference, prepareTraining, type Prepared } from "../../compiler/front/front.ts";
import { shapeOf } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { written } from "./library.ts";

const text = (settings: string): string => `
network Two(image: [N, M, *S], classes: int) {
  seen[i in 0..=1] = image |> Conv(2, 3) as stem |> BatchNorm
  out logits = seen[0] + seen[1] |> Conv(classes) as head
}
train for Two(classes = 2) {
  patch = [4, 6]
  batch = 6
  loss = cross_entropy(logits, label)
  ${settings}
}`;

const prepared = (settings: string, set: Readonly<Record<string, string>> = {}): Prepared => prepareTraining(written(text(`optimizer = sgd(lr = 0.1)\n  ${settings}`)), undefined, { set });

function made(settings: string, set: Readonly<Record<string, string>> = {}): Required<Prepared> & { readonly training: NonNullable<Prepared["training"]>; readonly settings: NonNullable<Prepared["settings"]> } {
  const { training, settings: read, findings } = prepared(settings, set);
  if (!training || !read) throw new Error(findings.map((one) => `${one.code} ${one.headline}`).join("; "));
  return { training, settings: read, findings };
}

const refusal = (settings: string, set?: Readonly<Record<string, string>>): string =>
  prepared(settings, set).findings.map(({ code, headline, labels, facts, hint }) => [code, headline, ...labels.map((one) => one.text), ...facts, hint].join(" | ")).join("\n");

describe("schedules", () => {
  /** The rate at step `at` of a run of 20 epochs with 5 steps. */
  function rate(schedule: string, at: number): number {
    const { training } = prepareTraining(written(text(`optimizer = sgd(lr = ${schedule})`)), undefined, {});
    const tensor = training?.graph.outputs.find(({ name }) => name === "rate")?.tensor;
    if (!tensor) throw new Error(`no rate of ${schedule}`);
    return interpret(tensor, { values: new Map(), dials: { step: at, epoch: Math.floor(at / 5), epochs: 20, steps: 5 } })[0] ?? Number.NaN;
  }

  const poly = (at: number): number => 0.3 * (1 - Math.floor(at / 5) / 20) ** 0.9;
  const cosine = (at: number): number => {
    const epoch = Math.floor(at / 5);
    return epoch < 4 ? (0.3 * epoch) / 3 : 0.15 * (1 + Math.cos((Math.PI * (epoch - 4)) / 16));
  };
  const rising = (at: number): number => Math.min(1, (at + 1) / 15);

  it.each<readonly [string, (at: number) => number]>([
    ["constant(0.3)", () => 0.3],
    ["poly(0.3, power = 0.9)", poly],
    ["cosine(0.3, warmup = 4)", cosine],
    ["steps_down(0.3, by = 0.1, at = [2, 10])", (at) => 0.3 * (at < 10 ? 1 : at < 50 ? 0.1 : 0.01)],
    ["anneal(from = 30, to = 1, epochs = 10)", (at) => Math.max(1, 30 - (29 * (at + 1)) / 50)],
    ["warm_up(0.3, over = 3)", (at) => 0.3 * rising(at)],
    ["warm_up(poly(0.3, power = 0.9), over = 3)", (at) => poly(at) * rising(at)],
    ["warm_up(cosine(0.3, warmup = 4), over = 3)", (at) => cosine(at) * rising(at)],
  ])("%s", (schedule, closed) => {
    for (const at of [0, 1, 4, 9, 10, 14, 15, 19, 20, 49, 50, 51, 99]) expect(rate(schedule, at), `step ${at}`).toBeCloseTo(closed(at), 12);
  });
});

describe("accumulate", () => {
  it("divides the batch of a step in training alone", () => {
    const { training, settings } = made("accumulate = 3");
    expect(training.parts).toBe(3);
    expect(settings).toMatchObject({ batch: 6, accumulate: 3 });
    expect(training.graph.inputs.map((one) => shapeOf(one)[0])).toEqual([2, 2]);
    const { graph } = prepareInference(written(text("accumulate = 3\n  optimizer = sgd(lr = 0.1)")), undefined, { batch: 1 });
    expect(graph?.inputs.map((one) => shapeOf(one)[0])).toEqual([1]);
    expect(made("", { accumulate: "2" }).training.parts).toBe(2);
  });

  it("demands equal parts", () => {
    expect(refusal("accumulate = 4")).toMatch(/^N0804 \| a batch of 6 does not come in 4 equal parts .*`batch = 8`$/);
    expect(refusal("accumulate = 0")).toContain("`accumulate` is a whole number of at least 1");
  });
});

describe("freeze", () => {
  const learned = (settings: string): readonly string[] => made(settings).training.learned.map(({ path }) => path);

  it("takes paths, beginnings of paths, and `*` for anything", () => {
    const all = learned("");
    expect(all).toHaveLength(10);
    expect(learned('freeze = "head.weight"')).toEqual(all.filter((path) => path !== "head.weight"));
    expect(learned('freeze = ["seen[0]"]')).toEqual(all.filter((path) => !path.startsWith("seen[0].")));
    expect(learned('freeze = ["seen[*].stem"]')).toEqual(all.filter((path) => !path.includes(".stem.")));
    expect(learned('freeze = ["seen[0].*", "seen[1].stem", "head.offset"]')).toEqual(["seen[1].BatchNorm.gain", "seen[1].BatchNorm.bias", "head.weight"]);
  });

  it("keeps running values too", () => {
    const updated = (settings: string): readonly string[] => made(settings).training.graph.states.flatMap(({ path, next }) => (next ? [path] : []));
    expect(updated("")).toHaveLength(4);
    expect(updated('freeze = "seen[0]"')).toEqual(updated("").filter((path) => path.startsWith("seen[1]")));
  });

  it("says what is not there, and what comes near", () => {
    expect(refusal('freeze = ["head", "seen[0].stm"]')).toMatch(/N0804 \| `freeze`: no weight has the path `seen\[0\]\.stm` \| did you mean `seen\[0\]\.stem`\?/);
    // A point is a point, not anything.
    expect(refusal('freeze = "headxweight"')).toContain("no weight has the path");
    expect(refusal('freeze = "hea"')).toContain("did you mean `head`?");
    expect(refusal('freeze = "*"')).toContain("nothing is left to learn");
    expect(refusal("freeze = 3")).toContain("names weights by their paths");
    expect(learned("freeze = none")).toHaveLength(10);
  });
});

describe("memory", () => {
  it("is an amount with its unit", () => {
    expect(made('memory = "1.5 GiB"').settings.memory).toBe(1.5 * 2 ** 30);
    expect(made("memory = none").settings.memory).toBeUndefined();
    expect([..."1 KiB|2mb|3 B".split("|"), "4", "GiB", "-1 GiB", "0 GiB", "1 XiB"].map(bytesIn)).toEqual([1024, 2e6, 3, ...Array<undefined>(5).fill(undefined)]);
    for (const wrong of ["4", '"4"', '"four GiB"']) expect(refusal(`memory = ${wrong}`)).toContain("N0804 | `memory` is an amount of memory");
  });
});
