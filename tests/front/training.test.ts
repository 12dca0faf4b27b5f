// Runs: optimisers, clipping and schedules against the reference's numbers; settings and what they overrule.

import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { prepareInference, prepareTraining, type Prepared } from "../../compiler/front/front.ts";
import { source, type Tensor, type TrainingGraph } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { compileDefinitions } from "../../compiler/pipeline.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
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

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

describe.skipIf(!there)("against the reference", () => {
  interface Optim { readonly lr: number; readonly betas?: readonly number[]; readonly momentum?: number; readonly nesterov?: boolean; readonly weight_decay: number; readonly eps?: number }
  const json = there ? (JSON.parse(readFileSync(`${golden}/training.json`, "utf8")) as {
    optim: { defs: Record<string, Optim> };
    clip_grad_norm: { max_norm: number; total_norm: number; scale: number };
    poly_lr: { max_epochs: number; base: number; values: Record<string, number> }[];
    warmup_cosine: { cases: { warmup: number; max_epochs: number; base: number; values: Record<string, number> }[] };
    step_decay: { base: number; milestones: number[]; values: Record<string, number> };
    deep_supervision_weights: Record<string, readonly number[]>;
    temperature: Record<"sedy_nnunet" | "sedy_unetr", { T0: number; anneal_epochs: number; iters_per_epoch: number; values: { epoch: number; iteration: number; T: number }[] }>;
  }) : undefined;
  const data = there ? stored(`${golden}/training.safetensors`) : new Map<never, never>();

  const optimisers = Object.entries(json?.optim.defs ?? {});
  test("there are optimisers", () => expect(optimisers.length).toBeGreaterThan(4));

  test.each(optimisers)("%s, interpreted and on the device", async (name, o) => {
    const call = name.startsWith("sgd")
      ? `sgd(lr = ${o.lr}, momentum = ${o.momentum}, nesterov = ${o.nesterov}, weight_decay = ${o.weight_decay})`
      : `${name.startsWith("adamw") ? "adamw" : "adam"}(lr = ${o.lr}, b1 = ${o.betas?.[0]}, b2 = ${o.betas?.[1]}, eps = ${o.eps}, weight_decay = ${o.weight_decay})`;
    const { update } = training(`optimizer = ${call}`);
    for (const param of ["w", "b"]) {
      const begin = data.get(`optim/start/${param}`)?.values ?? new Float64Array();
      const gradient = (step: number): Float64Array => data.get(`optim/grad${step}/${param}`)?.values ?? new Float64Array();
      const off = (got: ArrayLike<number>, step: number): number =>
        Math.max(...(data.get(`optim/${name}/step${step}/${param}`)?.values ?? Float64Array.of(NaN)).map((v, i) => Math.abs(v - (got[i] ?? NaN))));
      const [w, g] = [source("w", [begin.length], { span: undefined, path: "w" }), source("g", [begin.length], { span: undefined, path: "g" })];
      const { next, memories } = update(w, g);

      let weights = begin;
      let kept: Float64Array[] = memories.map(() => new Float64Array(weights.length));
      for (let step = 0; step < 4; step++) {
        const values = new Map([[w, weights], [g, gradient(step)], ...memories.map((m, i) => [m.now, kept[i] ?? new Float64Array()] as const)]);
        weights = interpret(next, { values, dials: { step } });
        kept = memories.map((m) => interpret(m.next, { values, dials: { step } }));
        expect(off(weights, step)).toBeLessThan(1e-6);
      }

      const outputs = [{ name: "w", tensor: next }, ...memories.map((m) => ({ name: m.name, tensor: m.next }))];
      const { plan } = compileDefinitions(name, [w, g, ...memories.map((m) => m.now)], outputs, device.profile);
      const session = await Session.create(device, plan);
      try {
        session.poison();
        const input = (tensor: Tensor): string => plan.inputs.find((port) => port.name === tensor.name)?.name ?? "";
        session.write(input(w), Float32Array.from(begin));
        for (const m of memories) session.write(input(m.now), new Float32Array(begin.length));
        for (let step = 0; step < 4; step++) {
          session.write(input(g), Float32Array.from(gradient(step)));
          if (plan.uniforms.some((u) => u.name === "step")) session.setUniform("step", step);
          await session.run();
          const made = await session.readMany(outputs.map((output) => output.name));
          const value = (output: string): Float32Array => made.get(output) ?? new Float32Array();
          expect(off(value("w"), step), `${param} on the device after step ${step}`).toBeLessThan(1e-6);
          session.write(input(w), value("w"));
          for (const m of memories) session.write(input(m.now), value(m.name));
        }
      } finally {
        session.destroy();
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
    expect(Math.sqrt(total)).toBeCloseTo(json?.clip_grad_norm.total_norm ?? NaN, 5);
    const whole = source("total", [], { span: undefined, path: "total" });
    for (const { tensor, values } of stretches) {
      const got = interpret(clip.scaled(tensor, whole), { values: new Map([[tensor, values], [whole, Float64Array.of(total)]]) });
      const scale = json?.clip_grad_norm.scale ?? NaN;
      expect(Math.max(...got.map((v, i) => Math.abs(v - scale * (values[i] ?? NaN))))).toBeLessThan(1e-5);
      const want = data.get(`clip/${tensor.name}`)?.values ?? Float64Array.of(NaN);
      expect(Math.max(...got.map((v, i) => Math.abs(v - (want[i] ?? NaN))))).toBeLessThan(1e-5);
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

  test("deep supervision", () => {
    const all = Object.entries(json?.deep_supervision_weights ?? {});
    expect(all.length).toBeGreaterThan(7);
    for (const [name, weights] of all) {
      const used = name.endsWith("_heads_all") ? weights.length : weights.length - 1;
      expect(name).toMatch(/^\d_heads_(all|last_zero)$/);
      weights.forEach((want, i) => expect(rate(`head_weight(${i}, ${used})`, {}), `${name}, head ${i}`).toBeCloseTo(want, 14));
    }
  });

  test.each(["sedy_nnunet", "sedy_unetr"] as const)("temperature of %s", (net) => {
    const c = json?.temperature[net];
    expect(c?.values.length ?? 0).toBeGreaterThan(4);
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

test("precision is single unless the text or `--set` says half", () => {
  const said = (settings: string, set = {}) => {
    const { training: made, settings: found, findings } = prepared(`optimizer = sgd(lr = 0.1)\n  ${settings}`, { set });
    return [found?.precision, made?.scaling !== undefined, ...findings.map((f) => f.code)];
  };
  expect([said(""), said("precision = single"), said("precision = half")]).toEqual([["single", false], ["single", false], ["half", true]]);
  expect([said("", { precision: "half" }), said("precision = half", { precision: "single" })]).toEqual([["half", true], ["single", false]]);
  expect([said("precision = double"), said("precision = 16")].map(([, , code]) => code)).toEqual(["N0804", "N0804"]);
});

test("`like` inherits", () => {
  const made = prepareTraining(program("nets/mednext.net"), "k5", { classes: 14, patch: [16, 16, 16], batch: 1 });
  expect(made.settings).toMatchObject({ name: "k5", clip: 12, optimizer: "adamw", batch: 1, patch: [16, 16, 16] });
  expect(made.findings.map((f) => f.code)).toEqual([]);
  expect(made.settings?.start).toEqual({ how: "upkern", from: "runs/mednext/k3" });
  expect(made.training?.graph.weights.find((w) => w.path.endsWith("depthwise.weight"))?.tensor.axes.map((a) => a.extent)).toEqual([32, 1, 5, 5, 5]);
});

describe("dials with a demand", () => {
  const demanding = (schedule: string): string => plain(`optimizer = sgd(lr = 0.1)\n  epochs = 40\n  ${schedule}`).replace("dial temperature: float = 1", "dial temperature: float = 1 where temperature > 0, temperature <= 100");
  const codes = (text: string, options = {}) => prepareTraining(written(text), undefined, options).findings.map((f) => `${f.code} ${f.headline} ${f.labels[0]?.text}`);

  test("hold along the schedule, as long as the run is", () => {
    expect(codes(demanding(""))).toEqual([]);
    const falls = demanding("").replace("to = 1, epochs = 30", "to = 0, epochs = 30");
    expect(codes(falls)).toEqual(["N0807 `temperature` cannot be 0 it is, at step 7499 in epoch 29"]);
    expect(codes(falls, { total: 7499 })).toEqual([]);
    expect(codes(falls, { total: 7500 })).toHaveLength(1);
    expect(codes(demanding("").replace("from = 30", "from = 300"))[0]).toMatch(/^N0807 `temperature` cannot be 299\.\d+ it is, at step 0 in epoch 0$/);
  });

  test("hold for what is set, and for the default", () => {
    const still = demanding("").replace(/dial temperature = anneal.*/, "");
    const at = (value: string) => prepareInference(written(still), undefined, { set: { temperature: value } }).findings.map((f) => `${f.code} ${f.headline}`);
    expect(at("2")).toEqual([]);
    expect(at("0")).toEqual(["N0807 `temperature` cannot be 0"]);
    expect(at("-1.5")).toEqual(["N0807 `temperature` cannot be -1.5"]);
    expect(at("101")).toEqual(["N0807 `temperature` cannot be 101"]);
    expect(prepareInference(written(still.replace("float = 1 where", "float = 0 where")), undefined).findings.map((f) => f.code)).toEqual(["N0807"]);
  });

  test("the published temperature may not be 0", () => {
    const net = program("nets/sedy_nnunet.net");
    const options = { patch: [16, 32, 32], batch: 2, channels: 1, classes: 3 };
    expect(prepareInference(net, undefined, { ...options, set: { temperature: "0" } }).findings.map((f) => f.code)).toContain("N0807");
    expect(prepareInference(net, undefined, { ...options, set: { temperature: "2" } }).findings.filter((f) => f.code.startsWith("N"))).toEqual([]);
  });
});

test("what a run does not say of inference, its network's `infer` says", () => {
  const made = (text: string, options = {}) => prepareTraining(written(`${plain("optimizer = sgd(lr = 0.1)")}\ninfer for Plain {\n  window = [8, 8]\n  ${text}\n}\n`), undefined, options);
  expect(made("overlap = 0.7\n  blend = uniform").settings).toMatchObject({ window: [8, 8], overlap: 0.7, blend: "uniform" });
  expect(made("").settings).toMatchObject({ window: [8, 8], overlap: 0.5, blend: "gaussian" });
  expect(made("overlap = 0.25", { patch: [6, 6] }).settings).toMatchObject({ patch: [6, 6], window: [6, 6], overlap: 0.25 });
  expect(made("overlap = 1").findings.map((f) => f.code)).toEqual(["N0804"]);
});
