// `netc params`: how large a network is, block by block.

import type { Branch } from "../../compiler/front/front.ts";
import { sizeOf } from "../../compiler/ir/graph.ts";
import { ordered } from "../../compiler/ir/order.ts";
import { multiplyAdds } from "../../compiler/passes/multiply-adds.ts";
import { compile } from "../../compiler/pipeline.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { graphFor, openTarget } from "../target.ts";
import { table } from "../terminal.ts";

interface Row {
  readonly path: string;
  readonly parameters: number;
  readonly multiplyAdds: number;
}

/** A device that binds whatever there is: a network is counted also where it is too large for the devices at hand. */
const roomy: Profile = { ...leastProfile, maxBinding: 2 ** 40 };

/** The command `params`. */
export const command: Command = define({
  name: "params",
  operands: { name: "FILE#Net", least: 1, most: 1 },
  flags: {
    input: { kind: "integers", least: 1, text: "shape of the input: N,C,D,H,W, or N,C,H,W for a 2-D network" },
    set: { kind: "pairs", text: "a parameter of the network, e.g. --set classes=14" },
    json: { kind: "switch", text: "print as JSON" },
  },
  details: [
    "Counts are those of the training graph, with all its heads. Multiply-adds are those of convolutions, linear maps and matrix",
    "products for the given input. Bytes: all activations as definitions, and those that prediction really keeps at its peak.",
  ].join("\n"),
  run: async ({ values, operands }, terminal) => {
    if (values.input === undefined) throw new UsageError("which input?", "for example --input 1,1,128,128,128");
    const target = openTarget(operands[0] ?? "");
    const { graph, report } = graphFor(target, values.set, values.input, true);
    const tensors = ordered(graph.outputs.map((o) => o.tensor));
    const work = multiplyAdds(graph);
    const total = [...work.values()].reduce((a, b) => a + b, 0);
    const rows = blocks(report).map((path): Row => ({
      path,
      parameters: graph.weights.filter((w) => inside(w.path, path)).reduce((n, w) => n + sizeOf(w.tensor), 0),
      multiplyAdds: [...work].filter(([t]) => inside(t.origin.path, path)).reduce((n, [, m]) => n + m, 0),
    }));
    const defined = tensors.filter((t) => t.body).reduce((n, t) => n + 4 * sizeOf(t), 0);
    const { graph: plain } = graphFor(target, values.set, values.input, false);
    const { plan } = compile(plain, roomy);
    const weights = plan.buffers.filter((b) => b.name.startsWith("weights")).reduce((n, b) => n + b.bytes, 0);
    const kept = plan.bytes - weights;
    if (values.json) {
      terminal.print(JSON.stringify({
        network: target.name, input: values.input, parameters: report.count, tensors: report.tensors, multiplyAdds: total,
        bytes: { definitions: defined, prediction: kept }, blocks: rows,
      }, null, 2));
      return exit.done;
    }
    terminal.print(table([
      ["block", "parameters", "GMAC"],
      ...rows.map((r) => [r.path, spaced(r.parameters), (r.multiplyAdds / 1e9).toFixed(3)]),
      ["total", spaced(report.count), (total / 1e9).toFixed(3)],
    ], [1, 2]));
    terminal.print(`\n${report.tensors} weight tensors; activations: ${mib(defined)} as definitions, ${mib(kept)} kept at once when predicting`);
    return exit.done;
  },
});

/** The first level of the tree: equations of the network. */
const blocks = (report: Branch): readonly string[] => report.children.map((c) => c.path);
const inside = (path: string, block: string): boolean => path === block || path.startsWith(`${block}.`);
const spaced = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, " ");
const mib = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MiB`;
