// What a run says before its first step: device, network, data, and what it takes of the memory.

import type { Again } from "../compiler/pipeline.ts";
import type { RunSettings } from "../compiler/front/front.ts";
import { sizeOf, type TrainingGraph } from "../compiler/ir/graph.ts";
import type { Samples } from "../runtime/data/samples.ts";
import type { Device } from "../runtime/device.ts";
import { bytesText } from "../runtime/faults.ts";
import type { Session } from "../runtime/session.ts";
import type { Length } from "../runtime/train/loop.ts";
import type { PlanMemory } from "../runtime/train/memory.ts";
import { durationText } from "../runtime/train/progress.ts";
import type { ValidationSetup } from "../runtime/train/validate.ts";
import type { Starting } from "../runtime/weights/start.ts";
import { parametersOf } from "./compile.ts";
import { againText } from "./memory.ts";
import type { PlanRecord } from "./run-report.ts";
import { table } from "./terminal.ts";
import type { TrainingData } from "./training-data.ts";

/** What is told of a run. */
export interface Introduced {
  readonly training: TrainingGraph;
  readonly settings: RunSettings;
  readonly samples: Samples;
  readonly data: TrainingData;
  readonly length: Length;
  readonly start: Starting | undefined;
}

/** The lines that introduce a run. */
export function introduction(device: Device, { training, settings, samples, data, length, start }: Introduced, session: Session, validation: ValidationSetup | undefined, memory: PlanRecord, { compiled, validateEvery, again }: { readonly compiled: number; readonly validateEvery: number; readonly again: Again }): string {
  const { plan } = session;
  const learned = new Set(training.learned);
  const frozen = training.graph.weights.reduce((sum, one) => sum + (learned.has(one) ? 0 : sizeOf(one.tensor)), 0);
  const watched = data.heldOut.length > 0 ? `${data.heldOut.length} held out` : "none held out";
  const patches = validation === undefined ? 0 : validation.batches * validation.sampling.batch;
  const source = data.heldOut.length > 0 ? `${patches} patches of the held-out cases` : `${patches} other patches of the training cases, as none are held out`;
  return table([
    ["device", `${device.name}${device.software ? ", a software device" : ""}`],
    ["network", `${settings.network}, ${parametersOf(plan).toLocaleString("en")} parameters, ${data.regions === undefined ? `${data.classes.length} classes` : `${data.regions.length} regions`}`],
    ["data", `${data.name}: ${data.training.length} training case${data.training.length === 1 ? "" : "s"}, ${watched}`],
    ...samplesRow(samples, data),
    ["patches", `${settings.patch.join(" x ")} (slices x rows x columns), ${settings.batch} per step${settings.accumulate === 1 ? "" : `, in ${settings.accumulate} parts`}`],
    ...(frozen === 0 ? [] : [["frozen", `${frozen.toLocaleString("en")} of the parameters`]]),
    ...(settings.precision === "half" ? [["precision", "half: large values in between take two bytes, sums and weights four; the loss is scaled"]] : []),
    ...memoryRows(memory),
    ...(again.values.length === 0 && again.nested === "cheap" ? [] : [["computed again", againText(again)]]),
    ["compiled", `${plan.shaders.length} kernels in ${durationText(compiled)}`],
    ["run", `${length.total} steps, ${settings.steps} to an epoch, seed ${settings.seed}`],
    ...(start === undefined ? [] : [["start", `${start.how} from ${start.path}: ${start.tensors.size} tensors${start.how === "upkern" ? `, resized: ${start.resized.length}` : ""}`]]),
    ["validation", validation === undefined ? "none" : `pseudo-Dice every ${validateEvery} steps on ${source}`],
  ]);
}

/** What the plan takes of the device, before the first step. */
function memoryRows({ training, validation, device }: PlanRecord): readonly (readonly [string, string])[] {
  const parts: readonly (readonly [keyof PlanMemory & ("weights" | "optimizer" | "activations" | "rest"), string])[] = [["activations", "activations"], ["weights", "weights"], ["optimizer", "optimiser"], ["rest", "gradients and others"]];
  const free = device.free === null ? "" : ` of ${bytesText(device.free)} free`;
  return [
    ["memory", `${bytesText(training.bytes)} for training${validation === null ? "" : `, ${bytesText(validation.bytes)} for validation`},${free === "" ? " which the device must have" : free}`],
    ["", parts.filter(([part]) => training[part] > 0).map(([part, name]) => `${name} ${bytesText(training[part])}`).join(", ")],
    ["largest binding", `${bytesText(training.largestBinding.bytes)} of at most ${bytesText(device.largestBinding)}`],
  ];
}

function samplesRow({ crop, guide, drop, target }: Samples, { classes }: TrainingData): readonly (readonly [string, string])[] {
  const said = [
    ...(target === undefined ? [] : [`${classes[1]} alone (${target})`]),
    ...(drop === undefined ? [] : [`no parts below ${drop.extent} voxels along an axis or ${drop.voxels} in all`]),
    ...(crop === undefined ? [] : [`cubes of ${crop.factor} long axes, at least ${crop.least} mm`]),
    ...(guide === true ? ["the map of a click as last channel"] : []),
  ];
  return said.length === 0 ? [] : [["samples", said.join("; ")]];
}
