// The weights of a run or of a file, whatever names they have there.

import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { readTensors, type Element } from "../safetensors.ts";
import { checkpointPath, hasCheckpoint, type Weights, type Which } from "../train/checkpoint.ts";
import { isMemory } from "../train/state.ts";

/** Tensors of a file as float32. */
export interface WeightFile {
  /** The file that was read. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, Weights>;
  /** What was converted or left out, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Reads the weights and running values of a run's folder (its best checkpoint where it has one) or of a safetensors file. Half and
 * double precision become float32; whole numbers, such as counters of batches, and an optimiser's memories are left out.
 */
export function readWeights(from: string, which?: Which): WeightFile {
  const path = fileOf(from, which);
  refusePickles(path);
  const tensors = new Map<string, Weights>();
  const converted = new Map<Element, number>();
  const whole: string[] = [];
  for (const [name, { element, shape, data }] of readTensors(path).tensors) {
    if (isMemory(name) || isCounter(name)) continue;
    if (element !== "F32" && element !== "F64" && element !== "F16" && element !== "BF16") {
      whole.push(name);
      continue;
    }
    if (element !== "F32") converted.set(element, (converted.get(element) ?? 0) + 1);
    tensors.set(name, { shape, data: data instanceof Float32Array ? data : Float32Array.from(data, Number) });
  }
  const notes = [...converted].map(([element, count]) => `${count} tensor${count === 1 ? "" : "s"} of ${element} became float32.`);
  if (whole.length > 0) notes.push(`${whole.length === 1 ? "One tensor" : `${whole.length} tensors`} of whole numbers left out: ${whole.slice(0, 3).join(", ")}${whole.length > 3 ? ", …" : ""}.`);
  return { path, tensors, notes };
}

/** Whether an entry counts the batches that a norm has seen; nothing here depends on it. */
export const isCounter = (name: string): boolean => name.endsWith("num_batches_tracked");

function fileOf(from: string, which: Which | undefined): string {
  if (existsSync(from) && !statSync(from).isDirectory()) return from;
  for (const one of which === undefined ? (["best", "latest"] as const) : [which]) if (hasCheckpoint(from, one)) return checkpointPath(from, one);
  throw new Fault(diagnostic("N1043", existsSync(from) ? `there is no ${which ?? "checkpoint"} in ${from}` : `there is no ${from}`, {
    facts: ["Weights are read from a safetensors file or from the folder of a run that has saved some."],
    hint: "check the path; it is taken from the current folder",
  }));
}

/** Files of `torch.save` run code when they are opened, so only Python can. */
function refusePickles(path: string): void {
  const head = new Uint8Array(9);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  // The header of a safetensors file begins with a brace.
  if (head[8] === 0x7b) return;
  const zip = head[0] === 0x50 && head[1] === 0x4b && head[2] === 3 && head[3] === 4;
  const pickle = head[0] === 0x80 && (head[1] ?? 9) <= 5;
  if (!zip && !pickle) return;
  throw new Fault(diagnostic("N1044", `${path} is a PyTorch file, not a safetensors file`, {
    hint: "convert it once where PyTorch is: `safetensors.torch.save_file(state_dict, \"weights.safetensors\")`",
  }));
}
