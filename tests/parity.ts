// Compares a whole network on the device with a stored run of its published code.

import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { officialEntries, tensorsOf } from "../cli/name-table.ts";
import { compare } from "../cli/verify/compare.ts";
import { readDump } from "../cli/verify/dump.ts";
import { graphsOf } from "../cli/verify/graphs.ts";
import type { Device } from "../runtime/device.ts";
import { program } from "./front/library.ts";

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
}

export const text = (v: unknown): string => JSON.stringify(v);
/** Whether the stored run is there; says so when it is not. */
export function isThere(golden: string): boolean {
  const there = existsSync(`${folder}/${golden}.json`);
  if (!there) console.warn(`skipped: no ${golden} in ${folder}`);
  return there;
}

/** Every head, the loss, every gradient, running values after the step, and the heads of the evaluating network. */
export async function compareNetwork(device: Device, parity: Parity): Promise<void> {
  const { golden } = parity;
  const sidecar = JSON.parse(readFileSync(`${folder}/${golden}.json`, "utf8")) as Sidecar;
  const dump = readDump(`${folder}/${golden}.safetensors`);
  const head = parity.head ?? ((i: number) => `logits[${i}]`);
  const loss = parity.loss ?? ((h: string, s: Sidecar) => `dice_ce(${h}, label, batch = ${s.loss.batch_dice})`);
  const terms = sidecar.loss.head_weights.flatMap((w, i) => (w === 0 ? [] : [`${w} * ${loss(head(i), sidecar)}`]));
  const set = Object.fromEntries(Object.entries(parity.dials?.(sidecar.config) ?? {}).map(([name, value]) => [name, String(value)]));
  const graphs = graphsOf({ program: program(parity.file), network: parity.of(sidecar.config), loss: { text: terms.join(" + ") }, set }, dump);
  const heads = sidecar.output_shapes.map((_, i) => head(i));
  expect(graphs.forward.outputs.map((o) => o.name).slice(0, heads.length)).toEqual(heads);
  const entries = officialEntries(tensorsOf(graphs.forward), [], parity.names) ?? [];

  const { rows, nudges } = await compare(device, { graphs, dump, entries });
  if (nudges > 0) console.warn(`${golden}: gradients agree beside a kink, after ${nudges} nudges of the input`);
  expect(rows.filter((row) => !row.ok)).toEqual([]);
  const { weights, states } = graphs.forward;
  const official = new Map(entries.map(({ ours, name }) => [ours.name, name]));
  const evaluated = graphs.evaluating?.outputs.flatMap(({ name }) => (heads.includes(name) ? [`eval.out.${heads.indexOf(name)}`] : [])) ?? [];
  expect(evaluated.length > 0).toBe(dump.tensors.has("eval.out.0"));
  expect(rows.map((row) => row.name).sort()).toEqual([
    ...heads.map((_, i) => `out.${i}`), "loss", "grad_input", ...evaluated,
    ...states.map(({ path }) => `buffer_after/${official.get(path)}`),
    ...weights.map(({ path }) => `grad/${official.get(path)}`),
  ].sort());
}
