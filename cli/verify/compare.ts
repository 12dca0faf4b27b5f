// Runs a network on the weights and the input of a dump, and compares all that it makes with what was stored.

import { compile, compileGradients } from "../../compiler/pipeline.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import type { Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import type { Weights } from "../../runtime/train/checkpoint.ts";
import { take, type Entry } from "../../runtime/weights/rename.ts";
import { storedIn, type Dump } from "./dump.ts";
import type { Graphs } from "./graphs.ts";
import { rowOf, toleranceOf, type Row } from "./tolerance.ts";

/** A network and the dump it is compared with. */
export interface Subject {
  readonly graphs: Graphs;
  readonly dump: Dump;
  /** What the dump calls each tensor of the network. */
  readonly entries: readonly Entry[];
  /** The relative error allowed of outputs; 1e-5 when left out. */
  readonly rtol?: number | undefined;
  /** Tensors of the dump that the network does not have are left out. */
  readonly ignoreExtra?: boolean;
  readonly tell?: (text: string) => void;
}

/** The weights and running values of a dump by our paths; N1042 where they are not exactly those of the network. */
export function weightsOf({ graphs, dump, entries, ignoreExtra = false }: Subject): ReadonlyMap<string, Weights> {
  const tensors = new Map<string, Weights>();
  for (const [name, { shape, values }] of dump.tensors) {
    const found = /^(?:param|buffer)\/(.*)$/.exec(name)?.[1];
    if (found !== undefined && !found.endsWith("num_batches_tracked")) tensors.set(found, { shape, data: Float32Array.from(values) });
  }
  const { weights, states } = dump.tensors.has("out.0") ? graphs.forward : graphs.evaluating ?? graphs.forward;
  const needed = new Set([...weights, ...states].map(({ path }) => path));
  const optional = new Set(entries.map(({ ours }) => ours.name).filter((name) => !needed.has(name)));
  return take({ path: dump.path, tensors, notes: [] }, entries, { optional, ignoreExtra }).tensors;
}

/** A row for every head, the loss, the running values after the step, every gradient, and the heads of the evaluating network. */
export async function compare(device: Device, subject: Subject): Promise<readonly Row[]> {
  const { graphs: { training, forward, evaluating }, dump } = subject;
  const weights = weightsOf(subject);
  const rows: Row[] = [];
  if (dump.tensors.has("out.0")) {
    const plan = training ? compileGradients(training, device.profile).plan : compile(forward, device.profile).plan;
    rows.push(...await onSession(device, plan, weights, subject, (session) => trainingRows(session, subject)));
  }
  if (evaluating) {
    const { plan } = compile(evaluating, device.profile);
    rows.push(...await onSession(device, plan, weights, subject, (session) => outputRows(session, subject, "eval.out.")));
  }
  return rows;
}

/** Runs a plan once on the dump's weights and input. */
export async function onSession<T>(device: Device, plan: Plan, weights: ReadonlyMap<string, Weights>, { dump, tell }: Subject, use: (session: Session) => Promise<T>): Promise<T> {
  const session = await Session.create(device, plan, tell ? { onCompiled: (done, of) => tell(`compiling kernels: ${done} of ${of}`) } : {});
  try {
    // What a kernel forgets to write shows as NaN.
    session.poison();
    for (const { name } of plan.weights) session.setWeights(name, weights.get(name)?.data ?? new Float32Array());
    for (const { name } of plan.states) session.setState(name, weights.get(name)?.data ?? new Float32Array());
    for (const { name } of plan.inputs) session.write(name, Float32Array.from(storedIn(dump, name === "label" ? "target.0" : "input").values));
    tell?.("running");
    await session.run();
    return await use(session);
  } finally {
    session.destroy();
  }
}

/** The heads a session has, against `out.i` or `eval.out.i`: the i-th head of the network is number i. */
async function outputRows(session: Session, { graphs, dump, rtol }: Subject, prefix: string): Promise<readonly Row[]> {
  const tolerance = toleranceOf(dump, rtol);
  const rows: Row[] = [];
  for (const [i, { name }] of graphs.forward.outputs.entries()) {
    const wanted = dump.tensors.get(`${prefix}${i}`);
    if (wanted && session.plan.outputs.some((o) => o.name === name)) rows.push(rowOf(`${prefix}${i}`, name, await session.read(name), wanted.values, tolerance.output(i)));
  }
  return rows;
}

async function trainingRows(session: Session, subject: Subject): Promise<readonly Row[]> {
  const { graphs: { training }, dump, entries, rtol } = subject;
  const tolerance = toleranceOf(dump, rtol);
  const rows = [...await outputRows(session, subject, "out.")];
  const add = async (name: string, ours: string, read: () => Promise<ArrayLike<number>>, allowed: number, floor = 0): Promise<void> => {
    const wanted = dump.tensors.get(name);
    if (wanted) rows.push(rowOf(name, ours, await read(), wanted.values, allowed, floor));
  };
  if (training) await add("loss", "loss", () => session.read("loss"), tolerance.loss);
  const official = new Map(entries.map(({ ours, name }) => [ours.name, name]));
  const nameOf = (path: string): string => official.get(path) ?? path;
  for (const { name } of session.plan.states) await add(`buffer_after/${nameOf(name)}`, name, () => session.readState(name), tolerance.state);
  if (!training) return rows;
  for (const { name } of session.plan.inputs) if (name !== "label") await add("grad_input", name, () => session.read(`grad_input/${name}`), tolerance.gradInput);
  for (const { name } of session.plan.weights) {
    await add(`grad/${nameOf(name)}`, name, () => session.read(`grad/${name}`), tolerance.gradient(nameOf(name)), tolerance.gradientFloor);
  }
  return rows;
}
