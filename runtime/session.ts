// Runs a plan on a device: its buffers, its kernels, and the values that go in and come out.

import { invariant } from "../compiler/report/diagnostic.ts";
import type { Kept, Plan, Port, Provenance, Uniform } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { dozing } from "./dozing.ts";
import { checkPlan } from "./plan-check.ts";
import { allocate, compile, prepare } from "./preparation.ts";
import { fromMemory, toMemory } from "./order.ts";
import { Pace } from "./pace.ts";
import { firstOrigin, isDispatch, record, rehearse, type Prepared } from "./recording.ts";
import { startValues } from "./random.ts";
import { timeDispatches, type DispatchTime } from "./timing.ts";
import { Downloads, stretchOf, upload, usage, type Stretch } from "./transfer.ts";
import { watchDispatches, type Made } from "./watching.ts";

export interface SessionOptions {
  /** Called as kernels are compiled: how many of how many are ready. */
  readonly onCompiled?: (done: number, total: number) => void;
  /** Milliseconds that a submit may take: 100 on a GPU unless given, no limit on a software device. Binds what was compiled for ranges. */
  readonly longest?: number;
}

/** Which parts of a step are run. */
export interface Doing {
  /** Whether weights and memories of the optimiser change; not where gradients are only added up. Done unless said otherwise. */
  readonly update?: boolean;
}

/** Pieces of dispatches in a submit at most: a lost device is told to this many. */
const perSubmit = 64;
/** Runs under way at most: the device goes on with the second while the processor hears that the first is done. */
const ahead = 2;
/** Desktops end what takes some seconds, and stutter from a fifth of a second on; times vary, so half of that. */
const longest = 100;

/** A plan with its buffers on a device. Calls take effect in the order they are made. */
export class Session {
  readonly device: Device;
  readonly plan: Plan;
  readonly #buffers: readonly GPUBuffer[];
  readonly #uniforms: GPUBuffer;
  readonly #uniformValues: DataView<ArrayBuffer>;
  readonly #uniformByName: ReadonlyMap<string, Uniform>;
  readonly #steps: readonly Prepared[];
  readonly #withoutUpdate: readonly Prepared[];
  readonly #pace: Pace;
  readonly #downloads: Downloads;
  readonly #inputs: ReadonlyMap<string, Port>;
  readonly #outputs: ReadonlyMap<string, Port>;
  readonly #weights: ReadonlyMap<string, Kept>;
  readonly #states: ReadonlyMap<string, Kept>;
  #uniformsChanged = true;
  /** Runs under way, the oldest first. */
  readonly #runs: Promise<unknown>[] = [];
  /** Where the submits that are not done come from, the oldest first. */
  readonly #unfinished: (Provenance | undefined)[] = [];

  private constructor(device: Device, plan: Plan, buffers: readonly GPUBuffer[], uniforms: GPUBuffer, steps: readonly Prepared[], pace: Pace) {
    this.device = device;
    this.plan = plan;
    this.#buffers = buffers;
    this.#uniforms = uniforms;
    this.#steps = steps;
    this.#withoutUpdate = steps.filter(({ step }) => step.phase !== "update");
    this.#pace = pace;
    this.#downloads = new Downloads(device);
    this.#inputs = byName(plan.inputs);
    this.#outputs = byName(plan.outputs);
    this.#weights = byName(plan.weights);
    this.#states = byName(plan.states);
    this.#uniformByName = byName(plan.uniforms);
    this.#uniformValues = new DataView(new ArrayBuffer(uniforms.size));
    for (const { name, value } of plan.uniforms) this.setUniform(name, value);
  }

  /** Allocates and compiles everything a plan needs; all buffers begin as zeros. */
  static async create(device: Device, plan: Plan, options: SessionOptions = {}): Promise<Session> {
    device.throwIfLost(`before \`${plan.name}\` was loaded`);
    checkPlan(plan, device);
    const pipelines = await compile(device, plan, options);
    const buffers = await allocate(device, plan);
    try {
      const uniforms = await device.guarded("when the uniform buffer was allocated", () =>
        device.gpu.createBuffer({ label: "uniforms", size: Math.max(16, Math.ceil(plan.uniformBytes / 16) * 16), usage: usage.uniform | usage.copyTarget }));
      const steps = await prepare(device, plan, pipelines, buffers, uniforms);
      const pace = new Pace(device, steps, options.longest ?? (device.software ? Infinity : longest));
      await rehearse(device, pace.pieces(steps).flatMap((pieces) => pieces.slice(0, 1)));
      const session = new Session(device, plan, buffers, uniforms, steps, pace);
      await session.#clear();
      return session;
    } catch (cause) {
      for (const buffer of buffers) buffer.destroy();
      throw cause;
    }
  }

  /** Zeroes every buffer, then gives weights and states their first values: a pure function of `seed` and their paths. */
  async initialise(seed: number): Promise<void> {
    await this.#clear();
    for (const port of [...this.plan.weights, ...this.plan.states]) {
      const { name, start, slice } = port;
      if (start.kind === "constant" && start.value === 0) continue;
      upload(this.device, this.#stretch(slice), toMemory(port, startValues(start, slice.bytes / 4, seed, name)));
    }
    await this.device.idle(`while the weights of \`${this.plan.name}\` were filled`);
  }

  /** Gives an input its value. */
  write(name: string, values: Float32Array): void {
    this.#put("input", this.#inputs, name, values);
  }

  setWeights(path: string, values: Float32Array): void {
    this.#put("weight", this.#weights, path, values);
  }

  readWeights(path: string): Promise<Float32Array<ArrayBuffer>> {
    return this.#get("weight", this.#weights, path);
  }

  setState(path: string, values: Float32Array): void {
    this.#put("state", this.#states, path, values);
  }

  readState(path: string): Promise<Float32Array<ArrayBuffer>> {
    return this.#get("state", this.#states, path);
  }

  /** Sets a uniform from the next run on. */
  setUniform(name: string, value: number): void {
    const uniform = find("uniform", this.#uniformByName, name);
    if (uniform.type === "u32") this.#uniformValues.setUint32(uniform.offset, value, true);
    else this.#uniformValues.setFloat32(uniform.offset, value, true);
    this.#uniformsChanged = true;
  }

  /**
   * Queues the steps. Returns when they are accepted and the run before the last is done; `read` or `device.idle()` waits for the
   * results. Who reads without waiting gets what was there before this run.
   */
  async run({ update = true }: Doing = {}): Promise<void> {
    const all = update ? this.#steps : this.#withoutUpdate;
    const doing = `while \`${this.plan.name}\` ran`;
    await this.#downloads.queued();
    if (this.#runs.length >= ahead) await this.#runs.shift();
    this.device.throwIfLost(doing, this.#unfinished[0] ?? firstOrigin(all));
    if (all.some((prepared) => this.#pace.wants(prepared))) {
      await Promise.all(this.#runs);
      return this.#runTimed(all, doing);
    }
    const done: Promise<void>[] = [];
    await this.device.guarded(doing, () => {
      this.#sendUniforms();
      const parts = this.#pace.submits(all, perSubmit).map((steps) => ({ commands: record(this.device, steps, this.plan.name), origin: firstOrigin(steps) }));
      for (const { commands, origin } of parts) {
        this.device.gpu.queue.submit([commands]);
        this.#unfinished.push(origin);
        const finished = this.device.gpu.queue.onSubmittedWorkDone();
        done.push(finished.then(() => void this.#unfinished.shift(), () => undefined));
      }
    }, () => this.#unfinished[0]);
    this.#runs.push(dozing(Promise.all(done)));
  }

  /** Runs the steps one by one and takes note of how long each takes, so that from the next run on as few submits as may be are made. */
  async #runTimed(all: readonly Prepared[], doing: string): Promise<void> {
    const times = new Map<Prepared["step"], number>();
    this.#sendUniforms();
    for (const pieces of this.#pace.pieces(all)) {
      const origin = (): Provenance | undefined => firstOrigin(pieces);
      const started = performance.now();
      await this.device.guarded(doing, () => pieces.forEach((piece) => this.device.gpu.queue.submit([record(this.device, [piece], this.plan.name)])), origin);
      await this.device.idle(doing, origin);
      const [first] = pieces;
      if (first !== undefined && isDispatch(first)) times.set(first.step, performance.now() - started);
    }
    this.#pace.learn(times);
  }

  /** The value of an output when all that was queued has run. */
  read(name: string): Promise<Float32Array<ArrayBuffer>> {
    return this.#get("output", this.#outputs, name);
  }

  /** Several outputs in one transfer. */
  async readMany(names: readonly string[]): Promise<ReadonlyMap<string, Float32Array<ArrayBuffer>>> {
    const stretches = names.map((name) => this.#stretch(find("output", this.#outputs, name).slice));
    const values = await this.#downloads.read(stretches, `while outputs of \`${this.plan.name}\` were read`, () => this.#unfinished[0]);
    return new Map(names.map((name, i) => [name, values[i] ?? new Float32Array(0)]));
  }

  /** Takes over all weights, and the states that both have, from a session on the same device. */
  async copyWeights(from: Session): Promise<void> {
    invariant(from.device === this.device, () => "weights are copied between two devices");
    const weights = this.plan.weights.map((to) => ({ to, source: find("weight", from.#weights, to.name) }));
    const states = this.plan.states.flatMap((to) => {
      const source = from.#states.get(to.name);
      return source === undefined ? [] : [{ to, source }];
    });
    const isAlike = ({ to, source }: { to: Port; source: Port }): boolean => String(to.order) === String(source.order);
    for (const { to } of weights.filter((pair) => !isAlike(pair))) this.setWeights(to.name, await from.readWeights(to.name));
    const pairs = [...weights, ...states].filter(isAlike).map(({ to, source }) => {
      invariant(source.slice.bytes === to.slice.bytes, () => `\`${to.name}\` is [${to.shape.join(", ")}] in one plan and [${source.shape.join(", ")}] in the other`);
      return { from: from.#stretch(source.slice), to: this.#stretch(to.slice) };
    });
    await this.device.guarded(`while weights were copied to \`${this.plan.name}\``, () => {
      const encoder = this.device.gpu.createCommandEncoder({ label: "copy weights" });
      for (const { from: a, to: b } of pairs) encoder.copyBufferToBuffer(a.buffer, a.offset, b.buffer, b.offset, a.bytes);
      this.device.gpu.queue.submit([encoder.finish()]);
    });
  }

  /** Runs once with a clock around each dispatch; undefined where the device has no clock. */
  async profileRun(): Promise<readonly DispatchTime[] | undefined> {
    this.#sendUniforms();
    return timeDispatches(this.device, this.#pace.pieces(this.#steps), `while \`${this.plan.name}\` was timed`);
  }

  /** Runs once, launch by launch, and shows what each has made, until `found` answers true. */
  async runWatched(found: (made: Made) => boolean): Promise<void> {
    await Promise.all(this.#runs);
    this.#sendUniforms();
    await watchDispatches({ device: this.device, plan: this.plan, buffers: this.#buffers, steps: this.#pace.pieces(this.#steps), downloads: this.#downloads }, found);
  }

  /**
   * Fills every buffer that is not kept with what is no number, in single and in half precision alike, so that a kernel that
   * reads what nothing wrote shows in the outputs; with zeros where `zeros`.
   */
  poison({ zeros = false } = {}): void {
    this.plan.buffers.forEach((spec, buffer) => {
      if (!spec.kept) upload(this.device, this.#stretch({ buffer, offset: 0, bytes: spec.bytes }), new Float32Array(new Uint8Array(spec.bytes).fill(zeros ? 0 : 0xff).buffer));
    });
  }

  /** Frees the buffers. Kernels stay with the device for other sessions. */
  destroy(): void {
    this.#downloads.destroy();
    this.#pace.destroy();
    for (const buffer of [...this.#buffers, this.#uniforms]) buffer.destroy();
  }

  #stretch(slice: Port["slice"]): Stretch {
    return stretchOf(this.#buffers, slice);
  }

  #put(kind: string, ports: ReadonlyMap<string, Port>, name: string, values: Float32Array): void {
    const port = find(kind, ports, name);
    const { slice, shape } = port;
    invariant(values.byteLength === slice.bytes, () => `${kind} \`${name}\` is [${shape.join(", ")}], ${values.length} values were given`);
    this.device.throwIfLost(`while ${kind} \`${name}\` was written`);
    upload(this.device, this.#stretch(slice), toMemory(port, values));
  }

  async #get(kind: string, ports: ReadonlyMap<string, Port>, name: string): Promise<Float32Array<ArrayBuffer>> {
    const port = find(kind, ports, name);
    const [values] = await this.#downloads.read([this.#stretch(port.slice)], `while ${kind} \`${name}\` was read`, () => this.#unfinished[0]);
    return fromMemory(port, values ?? new Float32Array(0));
  }

  #sendUniforms(): void {
    if (!this.#uniformsChanged) return;
    this.device.gpu.queue.writeBuffer(this.#uniforms, 0, this.#uniformValues.buffer);
    this.#uniformsChanged = false;
  }

  async #clear(): Promise<void> {
    await this.device.guarded(`while the buffers of \`${this.plan.name}\` were cleared`, () => {
      const encoder = this.device.gpu.createCommandEncoder({ label: "clear" });
      for (const buffer of this.#buffers) encoder.clearBuffer(buffer);
      this.device.gpu.queue.submit([encoder.finish()]);
    });
  }
}

function byName<T extends { readonly name: string }>(all: readonly T[]): ReadonlyMap<string, T> {
  return new Map(all.map((one) => [one.name, one]));
}

function find<T>(kind: string, all: ReadonlyMap<string, T>, name: string): T {
  const found = all.get(name);
  invariant(found !== undefined, () => `the plan has no ${kind} \`${name}\`; it has ${[...all.keys()].join(", ") || "none"}`);
  return found;
}
