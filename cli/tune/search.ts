// Times the schedules that the compiler offers for the launches of a step, a round for each place in the offer, and keeps the fastest.

import type { Choose, Plan } from "../../compiler/plan/plan.ts";
import type { Kernel } from "../../compiler/kernels/kernel.ts";
import type { Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import type { Finding } from "../../runtime/tuned.ts";

/** Launches that take a smaller share of the step are left as they are. */
const smallestShare = 0.002;
/** Runs of a step whose launches are timed; their medians count. */
const timings = 3;
/** A choice must take less than this share of the first one's time: timings are noisy. */
const clearly = 0.95;

/** A step that can be compiled in many ways, with every kernel in a launch of its own. */
export interface Tunable {
  readonly compile: (choose: Choose) => { readonly plan: Plan; readonly kernels: readonly Kernel[] };
  readonly feed: (session: Session) => void;
}

export interface Searching {
  /** When to stop, as `performance.now()` tells it. */
  readonly until: number;
  readonly tell: (text: string, done: number) => void;
  readonly interrupted: () => boolean;
}

/** What a search came to; times in milliseconds, of all launches of a step together. */
export interface Found {
  readonly findings: ReadonlyMap<string, Finding>;
  readonly before: number;
  readonly after: number;
  /** The launches with findings, and where they come from. */
  readonly launches: readonly { readonly key: string; readonly name: string; readonly path: string; readonly count: number }[];
  readonly rounds: number;
}

/** Undefined where the device has no clock, or when stopped before anything was timed. */
export async function search(device: Device, subject: Tunable, { until, tell, interrupted }: Searching): Promise<Found | undefined> {
  const offers = new Map<string, readonly string[]>();
  tell("timing the compiler's own choice", 0);
  const first = await timed(device, subject, (launch, offered) => {
    offers.set(launch, offered);
    return undefined;
  });
  if (first === undefined) return undefined;
  const total = sum(first.times.values());
  const worthwhile = new Set([...first.times].flatMap(([key, time]) => (time > smallestShare * total ? [key] : [])));
  const rounds = Math.max(0, ...[...worthwhile].map((key) => offers.get(key)?.length ?? 0));
  const tried = new Map<string, { readonly choice: string; readonly time: number }[]>();
  let round = 1;
  let longest = 0;
  for (; round < rounds && !interrupted() && performance.now() + longest < until; round++) {
    const started = performance.now();
    tell(`timing choice ${round + 1} of ${rounds}`, round / (rounds + 1));
    const made = await timed(device, subject, (launch, offered) => (worthwhile.has(launch) ? offered[round] : undefined));
    for (const key of worthwhile) {
      const choice = offers.get(key)?.[round];
      const time = made?.times.get(key);
      if (choice !== undefined && time !== undefined) tried.set(key, [...(tried.get(key) ?? []), { choice, time }]);
    }
    longest = Math.max(longest, performance.now() - started);
  }
  const findings = new Map<string, Finding>();
  for (const [key, list] of tried) {
    const before = first.times.get(key) ?? NaN;
    const [best] = [...list].sort((a, b) => a.time - b.time);
    const count = first.counts.get(key) ?? 1;
    if (best && best.time < clearly * before) findings.set(key, { choice: best.choice, time: best.time / count, before: before / count, tried: list.length + 1 });
  }
  // Once more side by side, since the machine may have been busier at one time than at another.
  tell("timing the step with what was found", rounds / (rounds + 1));
  const last = findings.size === 0 ? first : await timed(device, subject, (launch) => findings.get(launch)?.choice);
  const again = findings.size === 0 ? first : await timed(device, subject, () => undefined);
  const launches = first.kernels.flatMap(({ key, name, path }, i) =>
    (findings.has(key) && first.kernels.findIndex((k) => k.key === key) === i ? [{ key, name, path, count: first.counts.get(key) ?? 1 }] : []));
  const before = Math.min(total, again === undefined ? total : sum(again.times.values()));
  const after = last === undefined ? before : sum(last.times.values());
  // Where the step as a whole gains nothing, all stays as it was.
  if (after >= before) return { findings: new Map(), before, after: before, launches: [], rounds: round };
  return { findings, before, after, launches, rounds: round };
}

interface Timed {
  /** By launch, all of its kind in a step together. */
  readonly times: ReadonlyMap<string, number>;
  readonly counts: ReadonlyMap<string, number>;
  readonly kernels: readonly { readonly key: string; readonly name: string; readonly path: string }[];
}

async function timed(device: Device, { compile, feed }: Tunable, choose: Choose): Promise<Timed | undefined> {
  const { plan, kernels } = compile(choose);
  const session = await Session.create(device, plan);
  try {
    await session.initialise(0);
    feed(session);
    await session.run();
    await device.idle();
    const runs: (readonly number[])[] = [];
    for (let i = 0; i < timings; i++) {
      const made = await session.profileRun();
      if (made === undefined) return undefined;
      runs.push(made.map((d) => d.milliseconds));
    }
    const times = new Map<string, number>();
    const counts = new Map<string, number>();
    kernels.forEach(({ key }, i) => {
      const of = runs.map((r) => r[i] ?? NaN).sort((a, b) => a - b);
      times.set(key, (times.get(key) ?? 0) + (of[Math.floor(of.length / 2)] ?? NaN));
      counts.set(key, (counts.get(key) ?? 0) + 1);
    });
    return { times, counts, kernels: kernels.map(({ key, name, results }) => ({ key, name, path: results[0]?.root.origin.path ?? "" })) };
  } finally {
    session.destroy();
  }
}

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);
