// Our step as other frameworks' scripts run theirs: prints the same line of JSON, so that it can stand in one table with them.

// `tsx tests/bench/ours.ts seg DIR`, where DIR is their folder; the variables PEER_EDGE and PEER_REPS hold for it too.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { feed, numbersOf } from "../../cli/bench/numbers.ts";
import { subjectOf } from "../../cli/bench/subject.ts";
import { packageRoot } from "../../cli/files.ts";
import { openDevice } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";

const [, , name = "seg", folder = process.env["PEERS_DIR"] ?? "../shared/bench/peers"] = process.argv;
const edge = Number(process.env["PEER_EDGE"] ?? 32);

/** What the scripts share: runs a step many times and prints the line. */
interface Peers {
  readonly measure: (info: Readonly<Record<string, string>>, step: () => Promise<number>) => Promise<void>;
  readonly gpuCount: { dispatches: number; pipelines: number; peak: number };
}

const channels = name === "mednext" ? 32 : 1;
const device = await openDevice();
const subject = subjectOf(`${join(packageRoot(), "tests", "bench", "peers.net")}#${name}`, { input: [1, channels, edge, edge, edge], set: {}, predict: false, budget: Infinity }, device);
const { measure, gpuCount } = (await import(pathToFileURL(resolve(folder, "nets.mjs")).href)) as Peers;
const numbers = await numbersOf(resolve(folder), name, edge);
let session: Session | undefined;

/** The first step compiles, as theirs does. */
async function step(): Promise<number> {
  if (session === undefined) {
    session = await Session.create(device, subject.plan);
    feed(session, numbers);
    gpuCount.pipelines = subject.plan.shaders.length;
    gpuCount.peak = subject.plan.bytes;
  }
  await session.run();
  gpuCount.dispatches += subject.plan.steps.filter((s) => s.kind === "dispatch").length;
  return (await session.read("loss"))[0] ?? NaN;
}

const { version } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string };
await measure({ peer: "netc", version, device: `webgpu, ${device.name}`, net: name }, step);
session?.destroy();
device.close();
