// Compares a whole network on the device with a stored run of its published code.

import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { officialNames, parseNames, prepareInference, prepareTraining, type Program } from "../compiler/front/front.ts";
import { compile, compileGradients } from "../compiler/pipeline.ts";
import type { Plan } from "../compiler/plan/plan.ts";
import type { Device } from "../runtime/device.ts";
import { Session } from "../runtime/session.ts";
import { program } from "./front/library.ts";
import { stored, type Stored } from "./front/stored.ts";

/** Where stored runs lie. */
export const folder = process.env["GOLDEN_DIR"] ?? "../shared/golden";

export type Config = Readonly<Record<string, unknown>>;

/** The parts of a sidecar that a comparison needs. */
export interface Sidecar {
  readonly config: Config;
  readonly input_shape: readonly number[];
  readonly output_shapes: readonly (readonly number[])[];
  readonly loss: { readonly kind: string; readonly head_weights: readonly number[]; readonly batch_dice: boolean; readonly total: number };
  readonly fp32_error_of_reference: {
    readonly outputs: readonly number[];
    readonly grad_input: number;
    readonly worst_param_grads: readonly { readonly name: string; readonly rel_l2: number }[];
  };
  readonly params_with_zero_gradient?: readonly string[];
  readonly largest_param_grad_norm: number;
}

/** A stored run and how its network is said in the language. */
export interface Parity {
  readonly golden: string;
  readonly file: string;
  readonly network: string;
  /** The network with the arguments of a configuration, e.g. `MedNeXt(width = 4)`. */
  readonly of: (config: Config) => string;
  /** The table of weight names. */
  readonly names: string;
  /** The loss of one head, as `.net` text; `logits[i]` or `logits` is the head. nnU-Net's when left out. */
  readonly loss?: (head: string, sidecar: Sidecar) => string;
  /** What the run's outputs are called, head 0 first: `logits[0]`, ... when left out. */
  readonly head?: (i: number) => string;
  /** Dials by name, from the configuration. */
  readonly dials?: (config: Config) => Readonly<Record<string, number>>;
  /** Official weights that the network leaves out on purpose. */
  readonly absent?: (name: string) => boolean;
}

export const text = (v: unknown): string => JSON.stringify(v);
/** Whether the stored run is there; says so when it is not. */
export function isThere(golden: string): boolean {
  const there = existsSync(`${folder}/${golden}.json`);
  if (!there) console.warn(`skipped: no ${golden} in ${folder}`);
  return there;
}

const norm = (v: Iterable<number>): number => {
  let sum = 0;
  for (const x of v) sum += x * x;
  return Math.sqrt(sum);
};
function distance(got: Float32Array, wanted: Float64Array): number {
  if (got.length !== wanted.length) return Infinity;
  let sum = 0;
  for (let i = 0; i < wanted.length; i++) sum += ((got[i] as number) - (wanted[i] as number)) ** 2;
  return Math.sqrt(sum);
}

/** Every head, the loss, every gradient, running values after the step, and the heads of the evaluating network. */
export async function compareNetwork(device: Device, parity: Parity): Promise<void> {
  const { golden } = parity;
  const sidecar = JSON.parse(readFileSync(`${folder}/${golden}.json`, "utf8")) as Sidecar;
  const tensors = stored(`${folder}/${golden}.safetensors`);
  const value = (name: string): Stored => {
    const found = tensors.get(name);
    if (!found) throw new Error(`${golden} has no ${name}`);
    return found;
  };
  const head = parity.head ?? ((i: number) => `logits[${i}]`);
  const loss = parity.loss ?? ((h: string, s: Sidecar) => `dice_ce(${h}, label, batch = ${s.loss.batch_dice})`);
  const terms = sidecar.loss.head_weights.flatMap((w, i) => (w === 0 ? [] : [`${w} * ${loss(head(i), sidecar)}`]));
  const source = `import { ${parity.network} } from "./${parity.file}"
train golden for ${parity.of(sidecar.config)} {
  patch = ${text(sidecar.input_shape.slice(2))}
  batch = ${sidecar.input_shape[0]}
  loss = ${terms.join(" + ")}
  optimizer = sgd(lr = 0.01)
}`;
  const parsed = program("golden.net", { "golden.net": source });
  const options = { channels: sidecar.input_shape[1] as number, classes: sidecar.output_shapes[0]?.[1] as number };
  const { training, findings } = prepareTraining(parsed, "golden", options);
  expect(findings.filter((f) => f.code.startsWith("N"))).toEqual([]);
  if (!training) throw new Error("no graph");
  const { plan } = compileGradients(training, device.profile);
  const official = officialNames(parseNames(readFileSync(parity.names, "utf8"), parity.names), [...plan.weights, ...plan.states].map((w) => w.name));
  const officialOf = (name: string): string => {
    const found = official.get(name);
    if (found === undefined) throw new Error(`${parity.names} has no rule for ${name}`);
    return found;
  };
  const unread = new Set([...tensors.keys()].filter((k) => k.startsWith("param/")).map((k) => k.slice(6)));
  for (const name of [...unread]) if (parity.absent?.(name)) unread.delete(name);
  const fill = (session: Session, of: Plan): void => {
    for (const w of of.weights) {
      const { shape, values } = value(`param/${officialOf(w.name)}`);
      expect(shape.reduce((a, b) => a * b, 1), w.name).toBe(w.slice.bytes / 4);
      session.setWeights(w.name, Float32Array.from(values));
      unread.delete(officialOf(w.name));
    }
    for (const s of of.states) session.setState(s.name, Float32Array.from(value(`buffer/${officialOf(s.name)}`).values));
    session.write("image", Float32Array.from(value("input").values));
    for (const [name, v] of Object.entries(parity.dials?.(sidecar.config) ?? {})) if (of.uniforms.some((u) => u.name === name)) session.setUniform(name, v);
  };
  const allowed = (i: number): number => Math.max(1e-5, 10 * (sidecar.fp32_error_of_reference.outputs[i] as number));
  const session = await Session.create(device, plan);
  try {
    session.poison();
    fill(session, plan);
    expect([...unread]).toEqual([]);
    session.write("label", Float32Array.from(value("target.0").values));
    await session.run();
    for (let i = 0; i < sidecar.output_shapes.length; i++) {
      const wanted = value(`out.${i}`).values;
      expect(distance(await session.read(head(i)), wanted) / norm(wanted), head(i)).toBeLessThan(allowed(i));
    }
    expect((await session.read("loss"))[0]).toBeCloseTo(sidecar.loss.total, 4);
    for (const s of plan.states) {
      const wanted = value(`buffer_after/${officialOf(s.name)}`).values;
      expect(distance(await session.readState(s.name), wanted) / norm(wanted), `${s.name} after the step`).toBeLessThan(1e-5);
    }
    const wantedInput = value("grad_input").values;
    const inputError = distance(await session.read("grad_input/image"), wantedInput) / norm(wantedInput);
    expect(inputError, "grad_input").toBeLessThan(Math.max(1e-4, 10 * sidecar.fp32_error_of_reference.grad_input));
    const recorded = new Map(sidecar.fp32_error_of_reference.worst_param_grads.map((w) => [w.name, w.rel_l2]));
    for (const w of plan.weights) {
      const name = officialOf(w.name);
      const wanted = value(`grad/${name}`).values;
      const rtol = Math.max(1e-4, 10 * (recorded.get(name) ?? 0));
      const off = distance(await session.read(`grad/${w.name}`), wanted);
      expect(off, `grad/${name} (${w.name})`).toBeLessThanOrEqual(rtol * norm(wanted) + 1e-6 * sidecar.largest_param_grad_norm);
    }
  } finally {
    session.destroy();
  }
  if (tensors.has("eval.out.0")) await compareEvaluation(device, parsed, options, fill, sidecar.output_shapes.length, head, (i) => value(`eval.out.${i}`).values, allowed);
}

/** The network as it predicts, with the running values it was given. */
async function compareEvaluation(
  device: Device, parsed: Program, options: { channels: number; classes: number }, fill: (s: Session, p: Plan) => void,
  heads: number, head: (i: number) => string, wanted: (i: number) => Float64Array, allowed: (i: number) => number,
): Promise<void> {
  const { graph } = prepareInference(parsed, "golden", options);
  if (!graph) throw new Error("no graph");
  const { plan } = compile(graph, device.profile);
  const session = await Session.create(device, plan);
  try {
    session.poison();
    fill(session, plan);
    await session.run();
    let compared = 0;
    for (let i = 0; i < heads && plan.outputs.some((o) => o.name === head(i)); i++) {
      expect(distance(await session.read(head(i)), wanted(i)) / norm(wanted(i)), `${head(i)} evaluating`).toBeLessThan(allowed(i));
      compared++;
    }
    expect(compared).toBeGreaterThan(0);
  } finally {
    session.destroy();
  }
}
