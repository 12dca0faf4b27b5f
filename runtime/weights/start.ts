// The weights a run begins with, where they are those of another run or of a file.

import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { demandFit, type Wanted, type Weights } from "../train/checkpoint.ts";
import { readWeights, type WeightFile } from "./file.ts";
import { resizeKernels } from "./upkern.ts";

/** What a run asks for: `load` takes every tensor as it is, `upkern` resizes kernels on the way. */
export interface Start {
  readonly how: "load" | "upkern";
  /** The folder of a run, or a safetensors file with netc's names. */
  readonly from: string;
}

/** Weights and running values that fit a network. */
export interface Starting {
  readonly how: Start["how"];
  /** The file that was read. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, Weights>;
  /** Names of the kernels that were resized. */
  readonly resized: readonly string[];
}

/**
 * Reads what a network begins with: all `wanted` tensors, and nothing else. `rank` is the number of spatial axes. N1042 tells all
 * that does not fit, N1043 that there is no such run or file.
 */
export function readStart(start: Start, wanted: readonly Wanted[], rank: number): Starting {
  const { path, tensors: found } = read(start);
  const larger = resizeKernels(found, wanted, rank);
  const { tensors, resized } = start.how === "upkern" ? larger : { tensors: found, resized: [] };
  demandFit(path, { tensors, meta: {} }, wanted, start.how === "upkern"
    ? "`upkern` resizes kernels; in all else the two networks must agree"
    : `both networks must have the same tensors; ${larger.resized.length > 0 ? "`upkern` would resize kernels" : "`netc weights` brings those of published code to netc's names"}`);
  return { how: start.how, path, tensors, resized };
}

function read({ how, from }: Start): WeightFile {
  try {
    return readWeights(from);
  } catch (error) {
    if (!(error instanceof Fault) || error.findings[0]?.code !== "N1043") throw error;
    throw new Fault(diagnostic("N1043", error.findings[0].headline, {
      facts: [`The run says \`start = ${how}("${from}")\`; the path is taken from the current folder.`],
      hint: "train that run first, name another with `--set 'start=…'`, or begin with random weights: `--set start=none`",
    }));
  }
}
