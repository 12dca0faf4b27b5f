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

/** What a comparison found. */
export interface Comparison {
  readonly rows: readonly Row[];
  /** How often the input was moved by roundings until the gradients agreed; 0 when they did so, or never did. */
  readonly nudges: number;
}

/** A row for every head, the loss, the running values after the step, every gradient, and the heads of the evaluating network. */
export async function compare(device: Device, subject: Subject): Promise<Comparison> {
  const { graphs: { training, forward, evaluating }, dump } = subject;
  const weights = weightsOf(subject);
  const rows: Row[] = [];
  let nudges = 0;
  if (dump.tensors.has("out.0")) {
    const plan = training ? compileGradients(training, device.profile).plan : compile(forward, device.profile).plan;
    await onSession(device, plan, weights, subject, async (session) => {
      rows.push(...await forwardRows(session, subject));
      if (!training) return;
      const gradients = await gradientRows(session, subject);
      const found = agree(rows) && !agree(gradients) ? await besideKink(session, weights, subject) : undefined;
      nudges = found?.nudges ?? 0;
      rows.push(...found?.rows ?? gradients);
    });
  }
  if (evaluating) {
    const { plan } = compile(evaluating, device.profile);
    rows.push(...await onSession(device, plan, weights, subject, (session) => outputRows(session, subject, "eval.out.")));
  }
  return { rows, nudges };
}

const agree = (rows: readonly Row[]): boolean => rows.every((row) => row.ok);

/** How often the input is moved before gradients are called different. */
const patience = 12;

/**
 * Gradients jump where a slope does: an activation that is zero but for rounding lies on one side of a kink here and on the other
 * there, and both gradients are right. Beside the kink there is no such choice. So the input is moved by a unit in its last place,
 * up or down at random; a gradient that is wrong stays wrong.
 */
async function besideKink(session: Session, weights: ReadonlyMap<string, Weights>, subject: Subject): Promise<{ readonly rows: readonly Row[]; readonly nudges: number } | undefined> {
  const name = session.plan.inputs.find((port) => port.name !== "label")?.name ?? "";
  const input = Float32Array.from(storedIn(subject.dump, "input").values);
  for (let nudges = 1; nudges <= patience; nudges++) {
    subject.tell?.(`gradients differ: trying beside a kink, ${nudges} of ${patience}`);
    fill(session, weights, subject);
    session.write(name, input.map((x, i) => x * (1 + (drawn(nudges, i) - 1) * 2 ** -23)));
    await session.run();
    const rows = await gradientRows(session, subject);
    if (agree(rows)) return { rows, nudges };
  }
  return undefined;
}

/** 0, 1 or 2, by a hash of the trial and the place (the finaliser of MurmurHash3). */
function drawn(trial: number, place: number): number {
  let h = Math.imul(place + 1, 0x9e3779b1) ^ Math.imul(trial, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) % 3;
}

/** Gives a session the weights, the running values and the inputs of the dump. */
function fill(session: Session, weights: ReadonlyMap<string, Weights>, { dump }: Subject): void {
  const { plan } = session;
  for (const { name } of plan.weights) session.setWeights(name, weights.get(name)?.data ?? new Float32Array());
  for (const { name } of plan.states) session.setState(name, weights.get(name)?.data ?? new Float32Array());
  for (const { name } of plan.inputs) session.write(name, Float32Array.from(storedIn(dump, name === "label" ? "target.0" : "input").values));
}

/** Runs a plan once on the dump's weights and input. */
export async function onSession<T>(device: Device, plan: Plan, weights: ReadonlyMap<string, Weights>, subject: Subject, use: (session: Session) => Promise<T>): Promise<T> {
  const { tell } = subject;
  const session = await Session.create(device, plan, tell ? { onCompiled: (done, of) => tell(`compiling kernels: ${done} of ${of}`) } : {});
  try {
    // What a kernel forgets to write shows as NaN.
    session.poison();
    fill(session, weights, subject);
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

/** Heads, the loss, and the running values after the step. */
async function forwardRows(session: Session, subject: Subject): Promise<readonly Row[]> {
  const { graphs: { training }, dump, rtol } = subject;
  const tolerance = toleranceOf(dump, rtol);
  const rows = [...await outputRows(session, subject, "out.")];
  const loss = dump.tensors.get("loss");
  if (training && loss) rows.push(rowOf("loss", "loss", await session.read("loss"), loss.values, tolerance.loss));
  for (const { name } of session.plan.states) {
    const after = `buffer_after/${nameIn(subject, name)}`;
    const wanted = dump.tensors.get(after);
    if (wanted) rows.push(rowOf(after, name, await session.readState(name), wanted.values, tolerance.state));
  }
  return rows;
}

/** The gradients of the input and of every weight. */
async function gradientRows(session: Session, subject: Subject): Promise<readonly Row[]> {
  const { dump, rtol } = subject;
  const tolerance = toleranceOf(dump, rtol);
  const rows: Row[] = [];
  for (const { name } of session.plan.inputs) {
    const wanted = name === "label" ? undefined : dump.tensors.get("grad_input");
    if (wanted) rows.push(rowOf("grad_input", name, await session.read(`grad_input/${name}`), wanted.values, tolerance.gradInput));
  }
  for (const { name } of session.plan.weights) {
    const official = nameIn(subject, name);
    const wanted = dump.tensors.get(`grad/${official}`);
    if (wanted) rows.push(rowOf(`grad/${official}`, name, await session.read(`grad/${name}`), wanted.values, tolerance.gradient(official), tolerance.gradientFloor));
  }
  return rows;
}

/** What the dump calls one of our paths. */
function nameIn({ entries }: Subject, path: string): string {
  return entries.find(({ ours }) => ours.name === path)?.name ?? path;
}
