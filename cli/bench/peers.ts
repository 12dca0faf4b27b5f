// Other frameworks' steps beside ours: runs the scripts of a folder that the user names, one after another.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { adapterVariables } from "../../runtime/adapters/find.ts";
import type { Device } from "../../runtime/device.ts";
import { bytesText } from "../../runtime/faults.ts";
import { table } from "../terminal.ts";
import type { Report } from "./measure.ts";
import { edgeOf } from "./numbers.ts";
import { ms } from "./report.ts";

/** A script and what it is called with behind the network's name; one for Python ends in `.py`. */
interface Script {
  readonly file: string;
  readonly args: readonly string[];
  /** A script that first writes the file that this one is given last, and the variables that it wants for that. */
  readonly maker?: { readonly file: string; readonly env: Readonly<Record<string, string>> };
}

const scripts: readonly Script[] = [
  { file: "jaxjs.mjs", args: ["webgpu"] },
  { file: "tfjs.mjs", args: ["webgpu", "split"] },
  { file: "ort.mjs", args: ["webgpu"] },
  { file: "tiny_wgsl.mjs", args: [], maker: { file: "tiny.py", env: { DEV: "NULL:WGSL" } } },
  { file: "torch_cpu.py", args: ["2"] },
];

/** The variable that names the Python for scripts. */
const pythonName = "TORCH_PYTHON";

/** One line that a script prints. Times in milliseconds. */
export interface PeerResult {
  readonly peer: string;
  readonly version: string;
  readonly device: string;
  readonly first_ms: number;
  readonly median_ms: number;
  readonly min_ms: number;
  readonly cpu_ms: number;
  readonly dispatches?: number;
  readonly gpu_mb?: number;
  readonly losses: readonly number[];
}

/** What a script gave, or why it gave nothing. */
type Outcome = { readonly result: PeerResult } | { readonly missing: string };

/** The outcome of a script for a network. */
export type PeerRow = { readonly file: string; readonly net: string } & Outcome;

export interface Round {
  readonly device: Pick<Device, "kind" | "name">;
  readonly repeat: number;
  readonly tell: (text: string) => void;
  /** Ends the script that is running, and the round. */
  readonly stop: AbortSignal;
}

/** The longest that a script may take, in milliseconds. */
const patience = 900_000;

/** Runs every script for the network that a report is about. */
export async function peerRows(folder: string, report: Report, { device, repeat, tell, stop }: Round): Promise<readonly PeerRow[]> {
  const env = { ...process.env, ...adapterVariables(device), PEER_EDGE: String(edgeOf(report)), PEER_REPS: String(repeat) };
  const rows: PeerRow[] = [];
  for (const script of scripts) {
    if (stop.aborted) break;
    tell(`${report.name}: ${script.file}`);
    rows.push({ file: script.file, net: report.name, ...(await run(resolve(folder), report.name, script, env, stop)) });
  }
  return rows;
}

async function run(folder: string, net: string, { file, args, maker }: Script, env: NodeJS.ProcessEnv, stop: AbortSignal): Promise<Outcome> {
  if (maker === undefined) return called(folder, file, [net, ...args], env, stop);
  if (!existsSync(join(folder, file))) return absent;
  const own = mkdtempSync(join(tmpdir(), "netc-peer-"));
  try {
    const made = join(own, `${net}.json`);
    const outcome = await called(folder, maker.file, [net, made], { ...env, ...maker.env }, stop);
    return existsSync(made) ? await called(folder, file, [net, ...args, made], env, stop) : outcome;
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

const absent: Outcome = { missing: "the folder does not have it" };

/** Calls one script. */
async function called(folder: string, file: string, args: readonly string[], env: NodeJS.ProcessEnv, stop: AbortSignal): Promise<Outcome> {
  if (!existsSync(join(folder, file))) return absent;
  const program = file.endsWith(".py") ? env[pythonName] : process.execPath;
  if (program === undefined || program === "") return { missing: `${pythonName} is not set; it names a Python that has the framework` };
  const { said, errors, code } = await output(program, [file, ...args], folder, env, stop);
  const line = said.split("\n").find((text) => text.startsWith("{"));
  const result = line === undefined ? undefined : asResult(line);
  return result === undefined ? { missing: reason(errors, code, folder) } : { result };
}

interface Output {
  readonly said: string;
  readonly errors: string;
  /** The exit code, or what ended the process. */
  readonly code: number | string;
}

function output(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<Output> {
  return new Promise((done) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: patience, signal });
    const [said, errors]: [string[], string[]] = [[], []];
    child.stdout.on("data", (part: Buffer) => said.push(part.toString()));
    child.stderr.on("data", (part: Buffer) => errors.push(part.toString()));
    child.on("error", (cause) => done({ said: "", errors: cause.message, code: "error" }));
    child.on("close", (code, signal) => done({ said: said.join(""), errors: errors.join(""), code: code ?? signal ?? "error" }));
  });
}

function asResult(line: string): PeerResult | undefined {
  try {
    const value = JSON.parse(line) as Partial<PeerResult>;
    const whole = typeof value.peer === "string" && typeof value.median_ms === "number" && Array.isArray(value.losses);
    return whole ? (value as PeerResult) : undefined;
  } catch {
    return undefined;
  }
}

/** The most telling line of what a script said before it ended. */
function reason(errors: string, code: number | string, folder: string): string {
  const [, packaged] = /Cannot find (?:package|module) '([^']+)'/.exec(errors) ?? [];
  if (packaged !== undefined) return `\`${packaged}\` is not installed; \`npm install\` in ${folder} brings what is needed`;
  const [, lacks] = /No module named '([^']+)'/.exec(errors) ?? [];
  if (lacks !== undefined) return `the Python in ${pythonName} has no \`${lacks}\``;
  if (code === "SIGTERM") return `stopped after ${patience / 60_000} minutes`;
  const lines = errors.split("\n").map((l) => l.trim());
  return lines.find((l) => /^(\w*Error|\w+Exception)\b.*:/.test(l)) ?? (lines.find((l) => l !== "") || `it printed no result (${code})`);
}

/** Ours first, then every peer; `of ours` is how many times as long a step takes. */
export function comparison(ours: Report, rows: readonly PeerRow[]): string {
  const own = ["netc", ms(ours.step.median), "1", ms(ours.step.min), ms(ours.processor), ms(ours.planned + ours.cold + ours.first), String(ours.dispatches), bytesText(ours.bytes), losses(ours.losses)];
  const found = rows.flatMap((r) => ("result" in r ? [r.result] : [])).map((r) => [
    `${r.peer} ${r.version}`, ms(r.median_ms), (r.median_ms / ours.step.median).toPrecision(3), ms(r.min_ms), ms(r.cpu_ms), ms(r.first_ms), r.dispatches ? String(r.dispatches) : "-",
    r.gpu_mb ? bytesText(r.gpu_mb * 1e6) : "-", `${losses(r.losses)}${agree(ours.losses, r.losses) ? "" : "  differ"}`,
  ]);
  const missing = rows.flatMap((r) => ("missing" in r ? [`  ${r.file}: ${r.missing}`] : []));
  const listed = table([["", "step", "of ours", "fastest", "processor", "first", "launches", "memory", "losses"], own, ...found], [1, 2, 3, 4, 5, 6, 7]);
  return missing.length === 0 ? listed : `${listed}\nnot measured:\n${missing.join("\n")}`;
}

const losses = (values: readonly number[]): string => values.slice(0, 3).map((l) => l.toPrecision(6)).join(", ");

/** Whether the first losses are equal to 5 digits. */
export const agree = (ours: readonly number[], theirs: readonly number[]): boolean =>
  theirs.every((l, i) => i >= ours.length || Math.abs(l - (ours[i] ?? NaN)) < 1e-5 * Math.abs(l));
