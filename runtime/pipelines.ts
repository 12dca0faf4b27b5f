// Compiled kernels of a device: equal shaders are compiled once, whichever plan they come from.

import { Fault } from "../compiler/report/diagnostic.ts";
import type { Provenance, Shader } from "../compiler/plan/plan.ts";
import type { Device } from "./device.ts";
import { dozing } from "./dozing.ts";
import { shaderRefused } from "./faults.ts";

/** A kernel ready to run, and the layout that its bind groups must have. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** `GPUShaderStage.COMPUTE`; Dawn defines no globals in Node. */
const compute = 4;

/** The pipelines that a device has compiled or is compiling. */
export class Pipelines {
  readonly #device: Device;
  readonly #layouts = new Map<string, { readonly group: GPUBindGroupLayout; readonly pipeline: GPUPipelineLayout }>();
  readonly #compiled = new Map<string, Promise<Pipeline>>();
  #ranges: GPUBindGroupLayout | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  /** How many different kernels there are. */
  get size(): number {
    return this.#compiled.size;
  }

  /** The layout of group 1, which tells a kernel the number of its first workgroup. */
  get ranges(): GPUBindGroupLayout {
    this.#ranges ??= this.#device.gpu.createBindGroupLayout({
      label: "first workgroup", entries: [{ binding: 0, visibility: compute, buffer: { type: "uniform", hasDynamicOffset: true, minBindingSize: 4 } }],
    });
    return this.#ranges;
  }

  /** The kernel of a shader, compiled on first use. `origin` is what a refusal names. */
  get(shader: Shader, origin: Provenance | undefined): Promise<Pipeline> {
    const signature = signatureOf(shader);
    const key = `${signature}\n${shader.wgsl}`;
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      compiled = this.#compile(shader, signature, origin);
      this.#compiled.set(key, compiled);
      // A lost device or a full memory may be over at the next try.
      compiled.catch(() => this.#compiled.delete(key));
    }
    return compiled;
  }

  clear(): void {
    this.#compiled.clear();
    this.#layouts.clear();
    this.#ranges = undefined;
  }

  async #compile(shader: Shader, signature: string, origin: Provenance | undefined): Promise<Pipeline> {
    const { gpu } = this.#device;
    const doing = `while the kernel \`${shader.name}\` was compiled`;
    this.#device.throwIfLost(doing, origin);
    const layout = this.#layout(shader, signature);
    gpu.pushErrorScope("validation");
    const module = gpu.createShaderModule({ label: shader.name, code: shader.wgsl });
    const invalid = await this.#device.awaited(gpu.popErrorScope(), doing, () => origin);
    if (invalid !== null) throw new Fault(await refusal(shader, module, invalid.message, origin));
    try {
      const made = gpu.createComputePipelineAsync({ label: shader.name, layout: layout.pipeline, compute: { module, entryPoint: "main" } });
      return { pipeline: await dozing(made), layout: layout.group };
    } catch (cause) {
      this.#device.throwIfLost(doing, origin);
      throw new Fault(shaderRefused(shader.name, cause instanceof Error ? cause.message : String(cause), undefined, origin));
    }
  }

  #layout(shader: Shader, signature: string): { readonly group: GPUBindGroupLayout; readonly pipeline: GPUPipelineLayout } {
    const known = this.#layouts.get(signature);
    if (known !== undefined) return known;
    const { gpu } = this.#device;
    const entries: GPUBindGroupLayoutEntry[] = shader.access.map((access, i) => ({
      binding: i + 1,
      visibility: compute,
      buffer: { type: access === "read" ? "read-only-storage" : "storage" },
    }));
    if (shader.uniforms) entries.unshift({ binding: 0, visibility: compute, buffer: { type: "uniform" } });
    const group = gpu.createBindGroupLayout({ label: signature, entries });
    const made = { group, pipeline: gpu.createPipelineLayout({ label: signature, bindGroupLayouts: shader.ranges === true ? [group, this.ranges] : [group] }) };
    this.#layouts.set(signature, made);
    return made;
  }
}

/** Shaders with equal signatures share a layout: `f` where the first workgroup is asked for, `u` for uniforms, then `r` or `w` for each binding. */
function signatureOf(shader: Shader): string {
  return (shader.ranges === true ? "f" : "") + (shader.uniforms ? "u" : "") + shader.access.map((access) => (access === "read" ? "r" : "w")).join("");
}

async function refusal(shader: Shader, module: GPUShaderModule, message: string, origin: Provenance | undefined): Promise<ReturnType<typeof shaderRefused>> {
  const { messages } = await module.getCompilationInfo();
  const error = messages.find(({ type }) => type === "error");
  if (error === undefined) return shaderRefused(shader.name, message, undefined, origin);
  const line = shader.wgsl.split("\n")[error.lineNum - 1];
  return shaderRefused(shader.name, error.message, line === undefined ? undefined : `${error.lineNum} | ${line.trim()}`, origin);
}
