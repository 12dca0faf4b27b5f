// The graphs that a comparison runs: the network with its loss, or without one, and the network as it predicts.

import type { Run } from "../../grammar/ast.ts";
import { parse } from "../../grammar/parse.ts";
import { instantiate, prepareInference, prepareTraining, type Program } from "../../compiler/front/front.ts";
import type { Graph, TrainingGraph } from "../../compiler/ir/graph.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { withoutErrors } from "../compile.ts";
import { storedIn, type Dump } from "./dump.ts";

/** What to build. */
export interface Wish {
  readonly program: Program;
  /** A network of the program, or an expression such as `MedNeXt(width = 4)`; not needed with the name of a run. */
  readonly network: string;
  /** Where the loss comes from: a `train` run by name, a text that is one number, or nowhere. */
  readonly loss: { readonly run: string | undefined } | { readonly text: string } | undefined;
  readonly set: Readonly<Record<string, string>>;
}

/** `training` has a loss and gradients; `forward` has neither. Both have all heads, in the order of the network. */
export interface Graphs {
  readonly training: TrainingGraph | undefined;
  readonly forward: Graph;
  /** Undefined where the dump has no outputs of the evaluating network. */
  readonly evaluating: Graph | undefined;
}

/** Builds the graphs for the dump's input and number of classes. */
export function graphsOf(wish: Wish, dump: Dump): Graphs {
  const { program, loss, set } = wish;
  const [batch = 1, channels = 1, ...patch] = storedIn(dump, "input").shape;
  const evaluates = dump.tensors.has("eval.out.0");
  if (loss === undefined) {
    const built = (training: boolean): Graph => {
      const { graph, findings } = instantiate(program, wish.network, { set, inputs: [[batch, channels, ...patch]], training });
      return demand(graph, findings);
    };
    return { training: undefined, forward: built(true), evaluating: evaluates ? built(false) : undefined };
  }
  const classes = (dump.tensors.get("out.0") ?? dump.tensors.get("eval.out.0"))?.shape[1];
  const run = "run" in loss ? loss.run : written(wish.network, loss.text, dump);
  // The dump's input is what its network saw.
  const options = { set: { ...set, augment: "none" }, batch, channels, patch, classes };
  const prepared = prepareTraining(program, run, options);
  const training = demand(prepared.training, prepared.findings);
  const plain = evaluates ? prepareInference(program, run, options) : undefined;
  const evaluating = plain && demand(plain.graph, plain.findings);
  return { training, forward: { ...training.graph, outputs: training.heads }, evaluating };
}

/** A run that only has a loss; `head_weights` in it are those of the dump. */
function written(network: string, loss: string, { sidecar }: Dump): Run {
  // A name that a run defines and does not use is a mistake.
  const weights = sidecar.headWeights === undefined || !/\bhead_weights\b/.test(loss) ? "" : `  head_weights = [${sidecar.headWeights.map(real).join(", ")}]\n`;
  const text = `train verify for ${network} {\n  patch = [1]\n${weights}  loss = ${loss}\n  optimizer = sgd(lr = 0.0)\n}\n`;
  const { file, findings } = parse({ path: "--loss", text });
  withoutErrors(findings);
  const [run] = file.items;
  if (run?.kind !== "run") throw new Error("internal: no run and no finding");
  return run;
}

/** A number that the language takes for a real one. */
export const real = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

function demand<T>(made: T | undefined, findings: readonly Diagnostic[]): T {
  withoutErrors(findings);
  if (made === undefined) throw new Error("internal: no graph and no finding");
  return made;
}
