// The device that plans run on: opened with all it can give, watched for errors, closed for good.

import { availableParallelism } from "node:os";
import { Fault, type Diagnostic } from "../compiler/report/diagnostic.ts";
import type { Matrices, Profile, Provenance } from "../compiler/plan/plan.ts";
import { adapterChoices, findAdapter, type AdapterChoice, type AdapterKind, type Attempt, type FoundAdapter } from "./adapters/find.ts";
import { dozing } from "./dozing.ts";
import { bytesText, deviceError, deviceLost, noAdapter, outOfMemory, unknownAdapter } from "./faults.ts";
import { matrixFeature, provenUnits, unitsOf } from "./matrices.ts";
import { Pipelines } from "./pipelines.ts";
import { subgroupSize } from "./subgroups.ts";
import { choosing, readFindings, tunedPath, type Findings } from "./tuned.ts";

export interface DeviceOptions {
  /** Defaults to the variable NETC_ADAPTER, then to `auto`. */
  readonly adapter?: AdapterChoice;
  /** Takes the compiler's own choices, whatever `netc tune` found. */
  readonly untuned?: boolean;
  /** Leaves the driver's index checks out; only for plans whose every index is proved. */
  readonly unchecked?: boolean;
}

/** Limits asked for at the adapter's own value; the rest stays at WebGPU's defaults. */
const raised = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

const wantedFeatures: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16", "subgroups", matrixFeature];

/** The limits and features a report shows. */
export const reportedLimits: readonly (typeof raised)[number][] = raised;
export const reportedFeatures = wantedFeatures;

/** The word for an adapter that was given, from the flag or NETC_ADAPTER; throws a finding when it is none. */
export function adapterChoice(flag: string | undefined): AdapterChoice {
  const variable = process.env["NETC_ADAPTER"];
  const word = flag ?? (variable === undefined || variable === "" ? "auto" : variable);
  const choice = adapterChoices.find((known) => known === word);
  if (choice === undefined) throw new Fault(unknownAdapter(word, flag === undefined ? "NETC_ADAPTER" : "`--adapter`", adapterChoices));
  return choice;
}

/** Opens a device or throws a finding that says what was tried. */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const choice = adapterChoice(options.adapter);
  const { adapter: found, attempts } = await findAdapter(choice, { unchecked: options.unchecked ?? false });
  if (found === undefined) throw new Fault(noAdapter(choice, attempts));
  const requiredLimits: Record<string, number> = {};
  for (const limit of raised) requiredLimits[limit] = found.adapter.limits[limit];
  const requiredFeatures = wantedFeatures.filter((feature) => found.adapter.features.has(feature));
  let gpu: GPUDevice;
  try {
    gpu = await found.adapter.requestDevice({ label: "netc", requiredFeatures, requiredLimits });
  } catch (cause) {
    throw new Fault(deviceError(messageOf(cause), `when \`${found.name}\` was opened`, undefined));
  }
  const units = unitsOf(found.adapter);
  // On a card what all of a subgroup load at one place is loaded once anyway.
  const isWanted = found.kind !== "gpu" || units.length > 0;
  const subgroup = isWanted ? await subgroupSize(gpu, found.adapter.info) : undefined;
  const proven = subgroup === undefined ? [] : await provenUnits(gpu, units, subgroup);
  const matrices = subgroup === undefined || proven.length === 0 ? undefined : { subgroup, units: proven };
  return new Device(found, gpu, attempts, { subgroup: found.kind === "gpu" ? undefined : subgroup, matrices }, options.untuned ? new Map() : readFindings(tunedPath(found.name)));
}

/** An open device. Errors of the GPU surface from its methods as faults with a finding. */
export class Device {
  readonly kind: AdapterKind;
  readonly name: string;
  readonly gpu: GPUDevice;
  readonly attempts: readonly Attempt[];
  readonly profile: Profile;
  readonly pipelines: Pipelines;
  #lost: Diagnostic | undefined;
  #uncaptured: string[] = [];
  #closed = false;

  constructor(found: FoundAdapter, gpu: GPUDevice, attempts: readonly Attempt[], tried: { readonly subgroup: number | undefined; readonly matrices: Matrices | undefined }, findings: Findings) {
    this.kind = found.kind;
    this.name = found.name;
    this.gpu = gpu;
    this.attempts = attempts;
    const { limits } = gpu;
    this.profile = {
      name: found.name,
      half: gpu.features.has("shader-f16"),
      maxBinding: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
      maxBindings: limits.maxStorageBuffersPerShaderStage,
      maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
      maxShared: limits.maxComputeWorkgroupStorageSize,
      maxGroups: limits.maxComputeWorkgroupsPerDimension,
      ranges: found.kind === "gpu",
      opaque: found.kind !== "gpu",
      ...tried,
      lanes: found.kind === "gpu" ? 32768 : 128,
      choose: choosing(findings),
    };
    this.pipelines = new Pipelines(this);
    gpu.addEventListener("uncapturederror", (event) => {
      // Else Dawn prints the error itself.
      event.preventDefault();
      this.#uncaptured.push(event.error.message);
    });
    void gpu.lost.then(({ message }) => {
      this.#lost = deviceLost(message, "while it was in use", undefined);
    });
  }

  /** Whether kernels run on the processor, where memory is the machine's and lanes are few. */
  get software(): boolean {
    return this.kind !== "gpu";
  }

  /** Kernels that truly run at once on a software device; undefined for a GPU, which does not say. */
  get cores(): number | undefined {
    return this.software ? availableParallelism() : undefined;
  }

  /** Bytes that may be taken: nine tenths of what is free on a software device; undefined for a GPU, which does not say. */
  get room(): number | undefined {
    return this.software ? Math.floor(0.9 * process.availableMemory()) : undefined;
  }

  /**
   * Refuses an allocation before the driver is asked for it: a software driver takes what it is asked for
   * and the machine dies of it.
   */
  admit(bytes: number, what: string, origin: Provenance | undefined): void {
    const { room } = this;
    if (room === undefined || bytes <= room) return;
    throw new Fault(outOfMemory(`${what} needs ${bytesText(bytes)} of memory`, process.availableMemory(), this.name, origin));
  }

  /**
   * Runs `body` and throws what the GPU had against it; `doing` ends the sentence "an error …".
   * The body may not wait: error scopes are one stack for the whole device.
   */
  async guarded<T>(doing: string, body: () => T, origin?: () => Provenance | undefined): Promise<T> {
    this.throwIfLost(doing);
    const scopes = ["internal", "out-of-memory", "validation"] as const;
    for (const scope of scopes) this.gpu.pushErrorScope(scope);
    let outcome: { readonly value: T } | { readonly cause: unknown };
    try {
      outcome = { value: body() };
    } catch (cause) {
      outcome = { cause };
    }
    const errors = await Promise.all(scopes.map(() => this.gpu.popErrorScope().catch(() => null)));
    const error = errors.find((scope) => scope !== null);
    // Dawn settles the promises of a lost device before it says that the device is lost.
    if (error || "cause" in outcome) await afterEvents();
    if ("cause" in outcome && outcome.cause instanceof Fault) throw outcome.cause;
    this.throwIfLost(doing, origin?.());
    if (error) {
      if (isOutOfMemory(error)) throw new Fault(outOfMemory(`the device ran out of memory ${doing}`, undefined, this.name, origin?.()));
      throw new Fault(deviceError(error.message, doing, origin?.()));
    }
    this.throwIfTold(doing, origin?.());
    if ("cause" in outcome) throw new Fault(deviceError(messageOf(outcome.cause), doing, origin?.()));
    return outcome.value;
  }

  /** Throws when the device is gone. */
  throwIfLost(doing: string, origin?: Provenance): void {
    if (this.#closed) throw new Error(`internal: the device is used ${doing} after it was closed`);
    if (this.#lost !== undefined) throw new Fault(deviceLost(this.#lost.facts[0] ?? "", doing, origin));
  }

  /** Throws errors that the GPU reported outside every guard. */
  throwIfTold(doing: string, origin?: Provenance): void {
    const [first] = this.#uncaptured.splice(0);
    if (first !== undefined) throw new Fault(deviceError(first, doing, origin));
  }

  /** Waits until all submitted work is done. */
  async idle(doing = "while work was awaited", origin?: () => Provenance | undefined): Promise<void> {
    await this.awaited(this.gpu.queue.onSubmittedWorkDone(), doing, origin);
  }

  /** Waits for a promise of the GPU; a device that is lost meanwhile is a finding. */
  async awaited<T>(promise: Promise<T>, doing: string, origin?: () => Provenance | undefined): Promise<T> {
    try {
      const value = await dozing(promise);
      await afterEvents();
      this.throwIfLost(doing, origin?.());
      this.throwIfTold(doing, origin?.());
      return value;
    } catch (cause) {
      if (cause instanceof Fault) throw cause;
      await afterEvents();
      this.throwIfLost(doing, origin?.());
      throw new Fault(deviceError(messageOf(cause), doing, origin?.()));
    }
  }

  /** Frees everything. The process then ends by itself. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.pipelines.clear();
    this.gpu.destroy();
  }
}

const afterEvents = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Dawn's error classes are globals in a browser only. */
const isOutOfMemory = (error: GPUError): boolean => error.constructor.name === "GPUOutOfMemoryError";

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
