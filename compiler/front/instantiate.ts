// A network with concrete arguments and inputs: its graph.

import type { Term } from "../../grammar/ast.ts";
import type { Output, Graph, Tensor } from "../ir/graph.ts";
import { source } from "../ir/graph.ts";
import { diagnostic, Fault, type Diagnostic } from "../report/diagnostic.ts";
import type { Span } from "../source.ts";
import { isTensorPort } from "./calls.ts";
import { fault, newEnv } from "./env.ts";
import { newWorld } from "./world.ts";
import { evaluate } from "./evaluating.ts";
import { distinct, guarded, parseTerm } from "./guard.ts";
import { callLayer } from "./instance.ts";
import { nearest } from "../report/spelling.ts";
import type { Program } from "./program.ts";
import { tree, type Branch } from "./report.ts";
import { describe, showShape, type Env, type Given, type Layer, type Value, type World } from "./values.ts";

export interface Options {
  /** Parameters and dials by name; a text is read as a `.net` expression. */
  readonly set?: Readonly<Record<string, string | Value>>;
  /** The shapes of the input ports, in their order. */
  readonly inputs: readonly (readonly number[])[];
  readonly training: boolean;
}

export interface Instance {
  readonly graph: Graph | undefined;
  readonly findings: readonly Diagnostic[];
  readonly report: Branch | undefined;
}

/** Builds the graph of a network, named or written as an expression such as `MedNeXtB(kernel = 5)`. */
export function instantiate(program: Program, target: string | Term, options: Options): Instance {
  const world = newWorld(options.training);
  const findings: Diagnostic[] = [];
  const graph = guarded(world, findings, () => {
    const env = newEnv(program.main, world);
    const { layer, span, name } = targetLayer(target, env);
    const inputs = inputsOf(layer, options.inputs, env, span);
    const value = build(layer, options.set ?? {}, inputs, env, span, program);
    return graphOf(name, world, inputs, outputList(value, env, span));
  });
  findings.push(...world.findings);
  return { graph, findings: distinct(findings), report: graph && tree(graph) };
}

/** The layer a target names, and how it is called. */
export function targetLayer(target: string | Term, env: Env): { layer: Layer; span: Span; name: string } {
  const { term, findings } = typeof target === "string" ? parseTerm(target, "command line") : { term: target, findings: [] };
  if (!term) throw new Fault(...(findings.length > 0 ? findings : [diagnostic("N0201", `\`${String(target)}\` names no network`)]));
  const value = evaluate(term, env);
  const name = term.kind === "call" ? term.head : term;
  if (value.kind === "layer") return { layer: value, span: term.span, name: name.kind === "name" ? name.text : value.item.name.text };
  throw fault(env, "N0302", `a network is wanted, this is ${describe(value)}`, term.span, "", {
    facts: [`Networks here: ${[...env.module.items.values()].flatMap((i) => (i.kind === "network" ? [i.name.text] : [])).join(", ") || "none"}.`],
  });
}

/** The inputs of a network, of given shapes. */
export function inputsOf(layer: Layer, shapes: readonly (readonly number[])[], env: Env, span: Span): readonly Tensor[] {
  const ports = openPorts(layer);
  if (ports.length !== shapes.length) {
    throw fault(env, "N0303", `\`${layer.item.name.text}\` has ${ports.length === 1 ? "one input" : `${ports.length} inputs`}, ${shapes.length} shapes are given`, span,
      ports.map((p) => p.name.text).join(", "));
  }
  return ports.map((p, i) => source(p.name.text, shapes[i] ?? [], { span: p.span, path: p.name.text }));
}

const openPorts = (layer: Layer): Layer["item"]["ports"] => layer.item.ports.filter((p) => isTensorPort(p) && p.value === undefined);

/** Calls a network on its inputs, or on what was made of them. */
export function build(layer: Layer, set: Readonly<Record<string, string | Value>>, inputs: readonly Tensor[], env: Env, span: Span, program: Program): Value {
  const ports = openPorts(layer);
  const given: Given[] = inputs.map((tensor, i) => ({
    name: ports[i]?.name.text, value: { kind: "tensor", tensor }, span, term: undefined, env: undefined,
  }));
  for (const [name, value] of Object.entries(set)) {
    const g = setting(layer, name, value, env, span, program);
    if (g) given.push(g);
  }
  return callLayer(layer, given, env, { span, head: { kind: "name", text: layer.item.name.text, span }, as: undefined });
}

/** One `--set name=value`: a parameter of the network, or a dial. */
function setting(layer: Layer, name: string, value: string | Value, env: Env, span: Span, program: Program): Given | undefined {
  const { term, findings } = typeof value === "string" ? parseTerm(value, `--set ${name}`) : { term: undefined, findings: [] };
  if (typeof value === "string" && !term) throw new Fault(...findings);
  const made = typeof value === "string" ? (term ? evaluate(term, env) : undefined) : value;
  if (!made) throw new Fault(diagnostic("N0302", `\`${name}\` has no value`));
  if (layer.item.ports.some((p) => !isTensorPort(p) && p.name.text === name)) {
    return { name, value: made, span: term?.span ?? span, term, env: term && env };
  }
  const dials = [...program.modules.values()].flatMap((m) => [...m.items.values()].filter((i) => i.kind === "dial").map((i) => i.name.text));
  if (dials.includes(name) && (made.kind === "int" || made.kind === "float")) {
    env.world.dials.set(name, { name, value: made.value });
    return undefined;
  }
  const names = [...layer.item.ports.filter((p) => !isTensorPort(p)).map((p) => p.name.text), ...dials];
  const near = nearest(name, names);
  throw new Fault(diagnostic("N0301", `\`${layer.item.name.text}\` has no parameter \`${name}\``, {
    labels: [{ span: layer.item.name.span, text: near ? `did you mean \`${near}\`?` : "set from outside" }],
    facts: [`Its parameters: ${layer.item.ports.filter((p) => !isTensorPort(p)).map((p) => p.name.text).join(", ") || "none"}`],
    hint: near ? `\`--set ${near}=…\`` : undefined,
  }));
}

/** The results of a network or block, named. */
export function outputList(value: Value, env: Env, span: Span): readonly Output[] {
  if (value.kind === "tensor") return [{ name: "y", tensor: value.tensor }];
  if (value.kind === "tuple") return value.items.flatMap((v, i) => (v.kind === "tensor" ? [{ name: `y[${i}]`, tensor: v.tensor }] : []));
  if (value.kind !== "net") throw fault(env, "N0302", `a network gives tensors, this gives ${describe(value)}`, span, "");
  return [...value.outputs].flatMap(([name, v]) => namedOutputs(name, v, env, span));
}

function namedOutputs(name: string, v: Value, env: Env, span: Span): readonly Output[] {
  if (v.kind === "tensor") return [{ name, tensor: v.tensor }];
  if (v.kind === "family") return v.indices().flatMap((i) => namedOutputs(`${name}${showShape(i)}`, v.get(i, env, span), env, span));
  throw fault(env, "N0302", `an output is a tensor, \`${name}\` is ${describe(v)}`, span, "");
}

/** The graph of what a world has gathered. */
export function graphOf(name: string, world: World, inputs: readonly Tensor[], outputs: readonly Output[]): Graph {
  return {
    name, inputs, outputs,
    weights: [...world.weights.values()],
    states: [...world.states.values()].map(({ tensor, path, start, current, updated }) => ({ tensor, path, start, next: updated ? current : undefined })),
    dials: [...world.dials.values()],
    pointSums: world.pointSums,
  };
}
