// Runs: optimisers, clipping and schedules against the reference's numbers; settings and what they overrule.

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { prepareInference, prepareTraining, type Prepared } from "../../compiler/front/front.ts";
import { source, type TrainingGraph } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { program, written } from "./library.ts";
import { stored } from "./stored.ts";

const golden = process.env["GOLDEN_DIR"] ?? "../shared/golden";
const there = existsSync(`${golden}/training.json`);
if (!there) console.warn(`skipped: no reference data in ${golden}`);

const plain = (settings: string): string => `
dial temperature: float = 1

network Plain(image: [N, M, *S], classes: int) {
  out logits[0] = image |> Conv(classes) |> soften
  out logits[i in 1..=1] = image |> Conv(classes, stride = 2) when training
}

fn soften(z) = z / temperature

train one for Plain(classes = 3) {
  patch = [4, 6]
  loss = dice(logits[0], label) + 0.5 * dice(logits[1], label)
  dial temperature = anneal(from = 30, to = 1, epochs = 30)
  ${settings}
}
`;

function prepared(settings: string, options = {}): Prepared {
  return prepareTraining(written(plain(settings)), undefined, options);
}

function training(settings: string): TrainingGraph {
  const made = prepared(settings);
  expect(made.findings).toEqual([]);
  if (!made.training) throw new Error("no training graph");
  return made.training;
}

/** The learning rate under some dials. */
function rate(schedule: string, dials: Record<string, number>): number {
  const { graph } = training(`optimizer = sgd(lr = ${schedule})`);
  const tensor = graph.outputs.find((o) => o.name === "rate")?.tensor;
  if (!tensor) throw new Error("no rate");
  return interpret(tensor, { values: new Map(), dials })[0] ?? NaN;
}

describe.skipIf(!there)("against the reference", () => {
  interface Optim { readonly lr: number; readonly momentum?: number; readonly nesterov?: boolean; readonly weight_decay: number; readonly eps?: number }
  const json = there ? (JSON.parse(readFileSync(`${golden}/training.json`, "utf8")) as {
    optim: { defs: Record<string, Optim> };
    clip_grad_norm: { max_norm: number; scale: number };
    poly_lr: { max_epochs: number; base: number; values: Record<string, number> }[];
    warmup_cosine: { cases: { warmup: number; max_epochs: number; base: number; values: Record<string, number> }[] };
    step_decay: { base: number; milestones: number[]; values: Record<string, number> };
    temperature: Record<"sedy_nnunet", { T0: number; anneal_epochs: number; iters_per_epoch: number; values: { epoch: number; iteration: number; T: number }[] }>;
  }) : undefined;
  const data = there ? stored(`${golden}/training.safetensors`) : new Map<never, never>();

  test.each(Object.entries(json?.optim.defs ?? {}))("%s", (name, o) => {
    const call = name.startsWith("sgd")
      ? `sgd(lr = ${o.lr}, momentum = ${o.momentum}, nesterov = ${o.nesterov}, weight_decay = ${o.weight_decay})`
      : `${name.startsWith("adamw") ? "adamw" : "adam"}(lr = ${o.lr}, eps = ${o.eps}, weight_decay = ${o.weight_decay})`;
    const { update } = training(`optimizer = ${call}`);
    for (const param of ["w", "b"]) {
      let weights = data.get(`optim/start/${param}`)?.values ?? new Float64Array();
      const [w, g] = [source("w", [weights.length], { span: undefined, path: "w" }), source("g", [weights.length], { span: undefined, path: "g" })];
      const { next, memories } = update(w, g);
      let kept: Float64Array[] = memories.map(() => new Float64Array(weights.length));
      for (let step = 0; step < 4; step++) {
        const values = new Map([[w, weights], [g, data.get(`optim/grad${step}/${param}`)?.values ?? new Float64Array()], ...memories.map((m, i) => [m.now, kept[i] ?? new Float64Array()] as const)]);
        const made = interpret(next, { values, dials: { step } });
        kept = memories.map((m) => interpret(m.next, { values, dials: { step } }));
        weights = made;
        const want = data.get(`optim/${name}/step${step}/${param}`)?.values ?? new Float64Array();
        expect(Math.max(...made.map((v, i) => Math.abs(v - (want[i] ?? NaN))))).toBeLessThan(1e-6);
      }
    }
  });

  test("clipping", () => {
    const { clip } = training(`optimizer = sgd(lr = 1)\n  clip = ${json?.clip_grad_norm.max_norm}`);
    if (!clip) throw new Error("no clipping");
    const stretches = ["w", "b"].map((p) => {
      const values = (data.get(`optim/grad0/${p}`)?.values ?? new Float64Array()).map((v) => 5 * v);
      return { tensor: source(p, [values.length], { span: undefined, path: p }), values };
    });
    const total = stretches.reduce((sum, { tensor, values }) => sum + (interpret(clip.square(tensor), { values: new Map([[tensor, values]]) })[0] ?? NaN), 0);
    const whole = source("total", [], { span: undefined, path: "total" });
    for (const { tensor, values } of stretches) {
      const got = interpret(clip.scaled(tensor, whole), { values: new Map([[tensor, values], [whole, Float64Array.of(total)]]) });
      const scale = json?.clip_grad_norm.scale ?? NaN;
      expect(Math.max(...got.map((v, i) => Math.abs(v - scale * (values[i] ?? NaN))))).toBeLessThan(1e-5);
    }
  });

  test("poly", () => {
    for (const c of json?.poly_lr ?? []) {
      for (const [epoch, want] of Object.entries(c.values)) {
        expect(rate(`poly(${c.base}, power = 0.9)`, { epoch: Number(epoch), epochs: c.max_epochs })).toBeCloseTo(want, 12);
      }
    }
  });

  test("cosine with warm-up", () => {
    for (const c of json?.warmup_cosine.cases ?? []) {
      for (const [epoch, want] of Object.entries(c.values)) {
        expect(rate(`cosine(${c.base}, warmup = ${c.warmup})`, { epoch: Number(epoch), epochs: c.max_epochs })).toBeCloseTo(want, 12);
      }
    }
  });

  test("steps down", () => {
    const c = json?.step_decay;
    for (const [epoch, want] of Object.entries(c?.values ?? {})) {
      expect(rate(`steps_down(${c?.base}, by = 0.1, at = ${JSON.stringify(c?.milestones)})`, { epoch: Number(epoch) })).toBeCloseTo(want, 14);
    }
  });

  test("temperature", () => {
    const c = json?.temperature.sedy_nnunet;
    for (const { epoch, iteration, T } of c?.values ?? []) {
      // The reference counts the batch of a step from 1, the dial `step` counts steps done.
      const step = epoch * (c?.iters_per_epoch ?? 0) + iteration - 1;
      expect(rate(`anneal(from = ${c?.T0}, to = 1, epochs = ${c?.anneal_epochs})`, { step, steps: c?.iters_per_epoch ?? 0 })).toBeCloseTo(T, 9);
    }
  });
});

test("a turned dial is its schedule in training and its default at inference", () => {
  const made = training("optimizer = sgd(lr = 0.1)");
  expect(made.graph.dials.map((d) => d.name).sort()).toEqual(["epochs", "step", "steps"]);
  const inference = prepareInference(written(plain("optimizer = sgd(lr = 0.1)")), undefined);
  expect(inference.graph?.dials).toContainEqual({ name: "temperature", value: 1 });
  expect(inference.graph?.outputs.map((o) => o.name)).toEqual(["logits[0]"]);
});

test("settings, and what overrules them", () => {
  const { settings } = prepared("optimizer = sgd(lr = 0.1)\n  batch = 3\n  epochs = 7\n  clip = 2.5");
  expect(settings).toMatchObject({ name: "one", network: "Plain", batch: 3, epochs: 7, steps: 250, clip: 2.5, patch: [4, 6], classes: 3, channels: 1, optimizer: "sgd" });
  const other = prepared("optimizer = sgd(lr = 0.1)\n  batch = 3", { batch: 1, channels: 2, steps: 5, patch: [8, 8], set: { epochs: "2 * 3" } });
  expect(other.settings).toMatchObject({ batch: 1, channels: 2, steps: 5, epochs: 6, patch: [8, 8] });
  expect(other.training?.graph.inputs.map((t) => `${t.name} ${t.axes.map((a) => a.extent).join("x")}`)).toEqual(["image 1x2x8x8", "label 1x1x8x8"]);
});

test("`like` inherits", () => {
  const made = prepareTraining(program("nets/mednext.net"), "k5", { classes: 14, patch: [16, 16, 16], batch: 1 });
  expect(made.settings).toMatchObject({ name: "k5", clip: 12, optimizer: "adamw", batch: 1, patch: [16, 16, 16] });
  expect(made.findings.map((f) => f.code)).toEqual(["W0801", "W0801"]);
  expect(made.training?.graph.weights.find((w) => w.path.endsWith("depthwise.weight"))?.tensor.axes.map((a) => a.extent)).toEqual([32, 1, 5, 5, 5]);
});
