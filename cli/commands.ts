// The table of commands; a command's file is loaded only when it runs.

import type { Command } from "./command.ts";

/** A line of the table. */
export interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

/** Every command, in the order the help lists them. */
export const commands: readonly Entry[] = [
  { name: "check", summary: "Tell what is wrong with .net files.", load: () => import("./commands/check.ts") },
  { name: "fmt", summary: "Bring .net files into their one form.", load: () => import("./commands/fmt.ts") },
  { name: "explain", summary: "Explain the code of a message, with a wrong and a right example.", load: () => import("./commands/explain.ts") },
  { name: "show", summary: "Print any stage of the compiler: definitions, gradients, kernels, shaders, plan.", load: () => import("./commands/show.ts") },
  { name: "params", summary: "Count a network's parameters, multiply-adds and bytes.", load: () => import("./commands/params.ts") },
  { name: "data", summary: "Look through a data set for what is wrong, or plan for it as nnU-Net does.", load: () => import("./commands/data.ts") },
  { name: "train", summary: "Learn the weights of a network from images and labels.", load: () => import("./commands/train.ts") },
  { name: "report", summary: "Make the page of a run: its curves, its slices, its memory.", load: () => import("./commands/report.ts") },
  { name: "predict", summary: "Label images with a trained network.", load: () => import("./commands/predict.ts") },
  { name: "evaluate", summary: "Compare predicted label maps with true ones.", load: () => import("./commands/evaluate.ts") },
  { name: "weights", summary: "Bring weights from published names to netc's, or back.", load: () => import("./commands/weights.ts") },
  { name: "verify", summary: "Compare a network with a stored run of another implementation of it.", load: () => import("./commands/verify.ts") },
  { name: "bench", summary: "Time a step: as a whole, by phase and kernel, and against other frameworks.", load: () => import("./commands/bench.ts") },
  { name: "tune", summary: "Find by measurement how a step runs fastest on this device.", load: () => import("./commands/tune.ts") },
  { name: "devices", summary: "List what there is to compute on, and what is used.", load: () => import("./commands/devices.ts") },
];
