// The front end: from texts to graphs.

export { standard } from "./library.ts";
export { load, relative, type Program, type Reader } from "./program.ts";
export { type Module } from "./module.ts";
export { instantiate, type Instance, type Options } from "./instantiate.ts";
export { prepareInference, prepareTraining, type Prepared, type PreparedGraph, type RunOptions, type RunSettings } from "./training.ts";
export { type DataSettings, type Setting, type Word } from "./settings.ts";
export { bytesIn } from "./memory.ts";
export { runChecks } from "./checks.ts";
export { check } from "./check.ts";
export { tree, type Branch } from "./report.ts";
export { officialNames, officialTensors, parseNames, type NameTable, type OfficialTensor, type OurTensor } from "./names.ts";
