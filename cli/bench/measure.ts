// Times a planned step: as a whole, by phase, and launch by launch.

import type { Phase, Provenance } from "../../compiler/plan/plan.ts";
import type { Ceiling } from "../../runtime/ceiling.ts";
import { percentile } from "../../runtime/data/target.ts";
import type { Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import type { DispatchTime } from "../../runtime/timing.ts";
import { parametersOf } from "../compile.ts";
import { forgetMost, resident, type Resident } from "./resident.ts";
import type { Subject } from "./subject.ts";

export interface Measuring {
  /** Steps that are timed, and steps before them that are not; the very first is told by itself. */
  readonly repeat: number;
  readonly warmup: number;
  readonly ceiling: Ceiling;
  readonly tell: (text: string, done?: number) => void;
  readonly interrupted: () => boolean;
  /** Replaces weights and inputs by given ones. */
  readonly prime?: (session: Session) => void;
}

/** One launch; times in milliseconds. */
export interface KernelRow {
  readonly name: string;
  readonly phase: Phase;
  readonly origin: Provenance;
  readonly time: number;
  readonly bytes: number;
  readonly flops: number;
  /** The least time that the device's ceilings allow, as a share of the time. */
  readonly ofCeiling: number;
}

/** Times in milliseconds, sizes in bytes. */
export interface Report {
  readonly name: string;
  readonly network: string;
  readonly inputs: readonly { readonly name: string; readonly shape: readonly number[] }[];
  readonly parameters: number;
  readonly dispatches: number;
  readonly pipelines: number;
  readonly bytes: number;
  /** The whole process: once it was timed, and at most since planning began. */
  readonly resident: Resident;
  readonly planned: number;
  /** A session with nothing compiled before, and one whose kernels the process has. */
  readonly cold: number;
  readonly warm: number;
  readonly first: number;
  readonly step: { readonly min: number; readonly median: number; readonly max: number; readonly count: number };
  /** Processor time of a step, the median; on a software device that of the kernels too. */
  readonly processor: number;
  readonly losses: readonly number[];
  /** Medians of the launches' times; undefined where the device has no clock. */
  readonly kernels: readonly KernelRow[] | undefined;
  readonly phases: Readonly<Record<Phase, number>> | undefined;
}

/** Runs of the launches one by one, at most. */
const profiles = 3;

/** Times a subject on a device. Undefined when interrupted before there was a step to tell of. */
export async function measure(device: Device, subject: Subject, how: Measuring): Promise<Report | undefined> {
  const { plan } = subject;
  forgetMost();
  const onCompiled = (done: number, of: number): void => how.tell(`${subject.name}: compiling kernels, ${done} of ${of}`, done / of);
  const [first, cold] = await timed(() => Session.create(device, plan, { onCompiled }));
  first.destroy();
  const [session, warm] = await timed(() => Session.create(device, plan));
  try {
    await session.initialise(0);
    subject.feed(session);
    how.prime?.(session);
    await device.idle();
    const steps = await runSteps(session, subject, how);
    const kept = steps.slice(Math.min(how.warmup, steps.length - 1));
    if (kept.length === 0) return undefined;
    const kernels = await profile(session, subject.name, how);
    const { now, most } = resident();
    const times = kept.map((s) => s.time).sort((a, b) => a - b);
    return {
      name: subject.name, network: subject.network, inputs: plan.inputs.map(({ name, shape }) => ({ name, shape })),
      parameters: parametersOf(plan), dispatches: plan.steps.filter((s) => s.kind === "dispatch").length,
      pipelines: plan.shaders.length, bytes: plan.bytes, resident: { now, most: Math.max(subject.most, most) },
      planned: subject.planned, cold, warm, first: steps[0]?.time ?? NaN,
      step: { min: times[0] ?? NaN, median: median(times), max: times.at(-1) ?? NaN, count: times.length },
      processor: median(kept.map((s) => s.processor)), losses: steps.flatMap((s) => s.loss ?? []).slice(0, 5),
      kernels, phases: kernels && phasesOf(kernels),
    };
  } finally {
    session.destroy();
  }
}

async function timed<T>(run: () => Promise<T>): Promise<readonly [T, number]> {
  const started = performance.now();
  const made = await run();
  return [made, performance.now() - started];
}

interface Step {
  readonly time: number;
  readonly processor: number;
  readonly loss: number | undefined;
}

/** A step ends when its loss is read; a prediction when the device is idle. */
async function runSteps(session: Session, { name, step }: Subject, { repeat, warmup, tell, interrupted }: Measuring): Promise<readonly Step[]> {
  const hasLoss = session.plan.outputs.some((o) => o.name === "loss");
  const steps: Step[] = [];
  for (let i = 0; i < warmup + repeat && !interrupted(); i++) {
    tell(i < warmup ? `${name}: warming up` : `${name}: step ${i - warmup + 1} of ${repeat}`, i / (warmup + repeat));
    const before = process.cpuUsage();
    const [loss, time] = await timed(async () => {
      await step(session);
      if (hasLoss) return (await session.read("loss"))[0];
      await session.device.idle();
      return undefined;
    });
    const { user, system } = process.cpuUsage(before);
    steps.push({ time, processor: (user + system) / 1000, loss });
  }
  return steps;
}

async function profile(session: Session, name: string, { repeat, ceiling, tell, interrupted }: Measuring): Promise<readonly KernelRow[] | undefined> {
  const all: (readonly DispatchTime[])[] = [];
  for (let i = 0; i < Math.min(profiles, repeat) && !interrupted(); i++) {
    tell(`${name}: timing kernels`);
    const times = await session.profileRun();
    if (times === undefined) return undefined;
    all.push(times);
  }
  return all[0]?.map(({ name: kernel, phase, origin, cost: { bytes, flops } }, i) => {
    const time = median(all.map((times) => times[i]?.milliseconds ?? NaN));
    const least = 1000 * Math.max(bytes / ceiling.bytes, flops / ceiling.flops);
    return { name: kernel, phase, origin, time, bytes, flops, ofCeiling: time > 0 ? least / time : 0 };
  });
}

function phasesOf(kernels: readonly KernelRow[]): Readonly<Record<Phase, number>> {
  const sum = (phase: Phase): number => kernels.reduce((n, k) => (k.phase === phase ? n + k.time : n), 0);
  return { forward: sum("forward"), backward: sum("backward"), update: sum("update") };
}

const median = (values: readonly number[]): number => percentile([...values].sort((a, b) => a - b), 50);
