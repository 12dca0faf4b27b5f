// A stored run of another implementation: its weights, input, outputs, gradients, and how exact they are.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { readTensors } from "../../runtime/safetensors.ts";
import { read } from "../files.ts";

/** A tensor of a dump, row-major. */
export interface Stored {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/**
 * The tensors of a dump by name: `param/NAME`, `buffer/NAME`, `input`, `target.0`, `out.i`, `loss`, `grad/NAME`, `grad_input`,
 * `buffer_after/NAME`, `eval.out.i`, `mid/MODULE`.
 */
export interface Dump {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, Stored>;
  readonly sidecar: Recorded;
}

/** What the JSON file beside a dump says; relative errors are those of the other implementation in single precision. */
export interface Recorded {
  readonly headWeights: readonly number[] | undefined;
  readonly outputs: readonly number[];
  readonly loss: number;
  readonly gradInput: number;
  /** By official name. */
  readonly gradients: ReadonlyMap<string, number>;
  readonly largestGradient: number | undefined;
}

/** Reads `x.safetensors` and, where it is there, `x.json`. */
export function readDump(path: string): Dump {
  const tensors = new Map([...readTensors(path).tensors].map(([name, { shape, data }]) => [name, { shape, values: Float64Array.from(data, Number) }]));
  if (![...tensors.keys()].some((name) => /^(eval\.)?out\.\d+$/.test(name)) || ![...tensors.keys()].some((name) => name.startsWith("param/"))) {
    throw new Fault(diagnostic("N1047", `${path} is not the dump of a run`, {
      facts: [`It holds ${[...tensors.keys()].slice(0, 5).map((name) => `\`${name}\``).join(", ") || "nothing"}${tensors.size > 5 ? ", …" : ""}.`],
      hint: "a dump has at least `param/NAME` for every weight, `input`, and `out.0` or `eval.out.0`",
    }));
  }
  return { path, tensors, sidecar: readSidecar(path.replace(/\.safetensors$/, ".json")) };
}

/** A tensor that the dump must have. */
export function storedIn(dump: Dump, name: string): Stored {
  const found = dump.tensors.get(name);
  if (found) return found;
  throw new Fault(diagnostic("N1047", `${dump.path} has no \`${name}\``, { hint: "store it in the dump, or leave out what needs it" }));
}

function readSidecar(path: string): Recorded {
  const text = path.endsWith(".json") ? read(path) : undefined;
  let json: unknown = {};
  try {
    if (text !== undefined) json = JSON.parse(text);
  } catch {
    throw new Fault(diagnostic("N1047", `${path} is not JSON`, { hint: "correct it, or take it away: it only says how exact the stored run is" }));
  }
  const top = record(json);
  const errors = record(top["fp32_error_of_reference"]);
  const worst = Array.isArray(errors["worst_param_grads"]) ? errors["worst_param_grads"].map(record) : [];
  return {
    headWeights: numbers(record(top["loss"])["head_weights"]),
    outputs: numbers(errors["outputs"]) ?? [],
    loss: number(errors["loss"]) ?? 0,
    gradInput: number(errors["grad_input"]) ?? 0,
    gradients: new Map(worst.map((one) => [String(one["name"]), number(one["rel_l2"]) ?? 0])),
    largestGradient: number(top["largest_param_grad_norm"]),
  };
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {};
}

const number = (value: unknown): number | undefined => (typeof value === "number" && Number.isFinite(value) ? value : undefined);

function numbers(value: unknown): readonly number[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === "number") ? value : undefined;
}
