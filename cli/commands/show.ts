// `netc show`: any stage of the compiler as text.

import { ordered } from "../../compiler/ir/order.ts";
import { printExpression, printTensors } from "../../compiler/ir/print.ts";
import type { Tensor } from "../../compiler/ir/graph.ts";
import type { Kernel, Schedule } from "../../compiler/kernels/kernel.ts";
import { printLoops } from "../../compiler/kernels/loops.ts";
import type { Launch } from "../../compiler/kernels/ranges.ts";
import { compile, compileTraining, type Compiled } from "../../compiler/pipeline.ts";
import type { Provenance, Slice } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { shapeOf } from "../../compiler/ir/graph.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { trainingRun } from "../compile.ts";
import { againText, bytesAsked } from "../memory.ts";
import { graphFor, openTarget, runsOf, type Target } from "../target.ts";

const stages = ["ast", "graph", "grad", "solved", "kernels", "loops", "wgsl", "plan"] as const;

/** The command `show`. */
export const command: Command = define({
  name: "show",
  operands: { name: "FILE#Net", least: 1, most: 1 },
  flags: {
    stage: { kind: "choice", of: stages, text: "what to print; wgsl when left out" },
    input: { kind: "integers", least: 1, text: "shape of the input: N,C,D,H,W; a run brings its own" },
    set: { kind: "pairs", text: "a parameter of the network, e.g. --set classes=14" },
    at: { kind: "text", holds: "NAME", text: "only definitions of this name, or below this path, e.g. e[1]" },
    memory: { kind: "text", holds: "4GiB", text: "what the training step may take, as of `netc train`" },
    why: { kind: "switch", text: "with `--stage kernels`: why each value is stored and not written into its readers" },
    training: { kind: "switch", text: "the training step of the network's `train` run: forward, backward and update" },
  },
  details: [
    "ast      the text as read                        kernels  definitions that share a launch, and how",
    "graph    every tensor as a definition             loops    what one invocation does",
    "grad     with the definitions of the gradients    wgsl     the shaders",
    "solved   sums turned into gathers                 plan     buffers, launches and ports",
    "FILE#RUN with --training names a run instead of a network.",
  ].join("\n"),
  run: async ({ values, operands }, terminal) => {
    const target = openTarget(operands[0] ?? "");
    const stage = values.stage ?? "wgsl";
    if (stage === "ast") {
      const items = target.loaded.program.main.file.items;
      terminal.print(JSON.stringify(items, (key, value: unknown) => (key === "span" ? undefined : value), 2));
      return exit.done;
    }
    const at = matcher(values.at);
    if (stage === "graph" && !values.training) {
      const { graph } = graphFor(target, values.set, needed(values.input), false);
      terminal.print(printTensors(ordered(graph.outputs.map((o) => o.tensor)).filter(at)));
      return exit.done;
    }
    const compiled = values.training || stage === "grad" ? trainingOf(target, values) : compile(graphFor(target, values.set, needed(values.input), false).graph, leastProfile);
    terminal.print(textOf(stage, compiled, at, values.why));
    return exit.done;
  },
});

function needed(input: readonly number[] | undefined): readonly number[] {
  if (input === undefined) throw new UsageError("which input?", "for example --input 1,1,32,32,32");
  return input;
}

interface Asked {
  readonly set: Readonly<Record<string, string>>;
  readonly input: readonly number[] | undefined;
  readonly memory: string | undefined;
}

function trainingOf(target: Target, { set, input, memory }: Asked): Compiled {
  const [run] = runsOf(target);
  if (runsOf(target).length === 0) throw new UsageError(`no \`train\` run of ${target.loaded.path} is about \`${target.name}\``, "the loss and the optimiser of a training step come from a run");
  const size = input && { batch: input[0] as number, channels: input[1] as number, patch: input.slice(2) };
  const { training, settings } = trainingRun(target.loaded, run, { set, ...size });
  return compileTraining(training, leastProfile, memory === undefined ? settings.memory : bytesAsked(memory));
}

type Matcher = (t: Pick<Tensor, "name" | "origin">) => boolean;

function matcher(name: string | undefined): Matcher {
  return ({ name: own, origin }) => name === undefined || own === name || matches(origin.path, name);
}

const matches = (path: string, name: string): boolean => path === name || path.startsWith(`${name}.`);

function textOf(stage: Exclude<(typeof stages)[number], "ast">, c: Compiled, at: Matcher, why: boolean): string {
  switch (stage) {
    case "graph": case "grad": return printTensors(c.grad.filter(at));
    case "solved": return printTensors(c.solved.filter(at));
    case "kernels": return wanted(c, at).map((l) => launchText(l, why)).join("\n\n");
    case "loops": return wanted(c, at).map((l) => printLoops(l.loops)).join("\n\n");
    case "wgsl": return shaderText(c, at);
    case "plan": return planText(c);
  }
}

const wanted = ({ launches }: Compiled, at: Matcher): readonly Launch[] => launches.filter((l) => l.kernels.some((k) => k.results.some((r) => at(r.root))));

function launchText({ kernels, beside }: Launch, why: boolean): string {
  return kernels.map((k, i) => {
    const text = kernelText(k, why);
    return i === 0 ? text : `beside ${text}${why ? `\n  in the same launch: ${beside[i - 1] ?? ""}` : ""}`;
  }).join("\n");
}

function kernelText(k: Kernel, why: boolean): string {
  return k.results.map(({ root, body, inlined, why: reason }, i) => {
    const head = `${root.name}[${shapeOf(root).join(", ")}]  (${root.origin.path || "-"})${root.half ? "  in half precision" : ""}`;
    const lines = [i === 0 ? `${head}\n  ${how(k.schedule)}` : `and ${head}`];
    if (why) lines.push(`stored: ${reason}`, ...(i > 0 ? [`in the same launch: ${k.joined[i - 1] ?? "it follows from the others"}`] : []));
    if (inlined.length > 0) lines.push(`with ${inlined.join(", ")} written in`);
    lines.push(`= ${printExpression(body)}`);
    return lines.join("\n  ");
  }).join("\n");
}

function how(schedule: Schedule): string {
  if (schedule.strategy === "scatter") return `scatter; in parallel over ${schedule.parallel.map((a) => a.name).join(", ")}`;
  if (schedule.strategy === "contract") {
    const { block: { rows, columns, height, width }, by } = schedule;
    const share = by ? `a subgroup, in matrix units of ${by.unit.component}, ${by.unit.m} x ${by.unit.n} x ${by.unit.k}` : "an invocation";
    return `contract; ${rows} x ${columns} points a team, ${height} x ${width} ${share}`;
  }
  const tile = [...schedule.tile].map(([a, w]) => `${w} along ${a.name}`).join(", ");
  const unrolled = [...schedule.unrolled].map((a) => a.name).join(", ");
  return [schedule.strategy, tile && `a tile of ${tile}`, unrolled && `${unrolled} written out`, schedule.vector && `fours along ${schedule.vector.name}`].filter(Boolean).join("; ");
}

function shaderText(c: Compiled, at: Matcher): string {
  const wanted = new Set<number>();
  for (const s of c.plan.steps) if (s.kind === "dispatch" && s.name.split(", ").some((name) => at({ name, origin: { span: undefined, path: s.origin.path } }))) wanted.add(s.shader);
  return c.plan.shaders.flatMap((shader, i) => {
    if (!wanted.has(i)) return [];
    const uses = c.plan.steps.flatMap((s) => (s.kind === "dispatch" && s.shader === i ? [`//   ${s.name} ${place(s.origin)}`] : []));
    return [`// used by\n${uses.join("\n")}\n${shader.wgsl}`];
  }).join("\n");
}

const place = (o: Provenance): string => [o.path, o.file && `${o.file}:${o.line}:${o.column}`].filter(Boolean).join("  ");
const slice = (s: Slice): string => `#${s.buffer}[${s.offset}..<${s.offset + s.bytes}]`;

function planText({ plan: p, again, kernels }: Compiled): string {
  const lines = [`${p.name}: ${p.bytes} bytes in ${p.buffers.length} buffers, ${p.steps.length} steps, ${p.shaders.length} shaders`, "", "buffers"];
  p.buffers.forEach((b, i) => lines.push(`  #${i}  ${b.bytes} bytes  ${b.kept ? "kept" : "shared"}  ${b.name}`));
  if (again.values.length > 0 || again.nested !== "cheap") lines.push("", `computed again: ${againText(again)}`);
  for (const { tensor, times, flops } of again.values) lines.push(`  ${tensor.name} [${shapeOf(tensor).join(", ")}]  ${times} x, ${flops} flop  ${tensor.origin.path}`);
  const stored = kernels.flatMap((k) => k.results.map((r) => r.root));
  const halves = stored.filter((t) => t.half);
  if (halves.length > 0) lines.push("", `in half precision: ${halves.length} of ${stored.length} stored values`);
  for (const t of halves) lines.push(`  ${t.name} [${shapeOf(t).join(", ")}]  ${t.origin.path}`);
  lines.push("", "steps");
  for (const s of p.steps) {
    if (s.kind === "dispatch") lines.push(`  ${s.name}  shader ${s.shader}  ${s.groups.join(" x ")} groups  ${s.bindings.map(slice).join(" ")}  ${place(s.origin)}`);
    else if (s.kind === "clear") lines.push(`  clear ${slice(s.slice)}`);
    else lines.push(`  copy ${slice(s.from)} to ${slice(s.to)}`);
  }
  for (const [title, ports] of [["inputs", p.inputs], ["outputs", p.outputs], ["weights", p.weights], ["states", p.states]] as const) {
    lines.push("", title, ...ports.map((x) => `  ${x.name} [${x.shape.join(", ")}] ${slice(x.slice)}`));
  }
  return lines.join("\n");
}
