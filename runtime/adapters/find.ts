// Finds the adapter to compute on: a real GPU, the system's software Vulkan, or the embedded one.

import { catching } from "./chatter.ts";
import { embeddedDriver, privateFolder, type Embedded } from "./embedded.ts";
import { findLoader, loaderFolder } from "./loader.ts";
import { installedDrivers } from "./manifests.ts";

/** What may be asked for. `auto` takes the first that works, in the order `gpu`, `system`, `embedded`. */
export const adapterChoices = ["auto", "gpu", "system", "embedded", "none"] as const;
export type AdapterChoice = (typeof adapterChoices)[number];
export type AdapterKind = "gpu" | "system" | "embedded";

/** One place that was looked at and what was there. */
export interface Attempt {
  readonly kind: AdapterKind;
  readonly found: boolean;
  /** The adapter's name, or why there is none. */
  readonly what: string;
}

export interface FoundAdapter {
  readonly kind: AdapterKind;
  readonly name: string;
  readonly adapter: GPUAdapter;
}

export interface Search {
  readonly adapter: FoundAdapter | undefined;
  readonly attempts: readonly Attempt[];
}

/** How Dawn is set up for computing. */
export interface DawnSwitches {
  /** Leaves index checks out of the shaders; only for code whose every index is proved. */
  readonly unchecked: boolean;
}

const order: Readonly<Record<AdapterChoice, readonly AdapterKind[]>> = {
  auto: ["gpu", "system", "embedded"],
  gpu: ["gpu"],
  system: ["system"],
  embedded: ["embedded"],
  none: [],
};

/** Dawn's own notion of a fallback adapter leaves out Mesa's, so that one is asked for by name. */
const softwareNames = ["llvmpipe", "SwiftShader"] as const;

const instances = new Set<GPU>();

/** Looks in the places that `choice` allows and stops at the first that has an adapter. */
export async function findAdapter(choice: AdapterChoice, switches: DawnSwitches): Promise<Search> {
  const attempts: Attempt[] = [];
  for (const kind of order[choice]) {
    const result = await tryKind(kind, switches);
    attempts.push({ kind, found: typeof result !== "string", what: typeof result === "string" ? result : result.name });
    if (typeof result !== "string") return { adapter: result, attempts };
  }
  return { adapter: undefined, attempts };
}

/** Looks in every place, for a report; does not stop at the first. */
export async function findAllAdapters(switches: DawnSwitches): Promise<readonly { readonly attempt: Attempt; readonly adapter: FoundAdapter | undefined }[]> {
  const all = [];
  for (const kind of order.auto) {
    const { adapter, attempts } = await findAdapter(kind, switches);
    for (const attempt of attempts) all.push({ attempt, adapter });
  }
  return all;
}

async function tryKind(kind: AdapterKind, switches: DawnSwitches): Promise<FoundAdapter | string> {
  if (kind !== "embedded" && process.platform === "linux" && installedDrivers().length === 0) return "no Vulkan driver is installed";
  const driver = embeddedDriver();
  const loader = findLoader(typeof driver === "string" ? undefined : driver.loader);
  if (!loader) {
    if (kind === "embedded" && typeof driver === "string") return driver;
    return `no Vulkan loader (libvulkan.so.1); ${typeof driver === "string" ? driver : "the embedded one could not be loaded either"}`;
  }
  if (kind !== "embedded") return withVariables({}, () => ask(kind, switches));
  if (typeof driver === "string") return driver;
  return withVariables(driverVariables(driver), () => ask(kind, switches));
}

/** The older name is for system loaders from before 2022. */
const driverVariables = ({ manifest }: Embedded): Readonly<Record<string, string>> => ({ VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest });

/**
 * The variables that lead another process to an adapter found here, once a search was made: where its driver and the Vulkan loader lie,
 * and in DAWN_OPTIONS what a Dawn of its own is to be asked for. Of several GPUs the process chooses by itself.
 */
export function adapterVariables({ kind, name }: Pick<FoundAdapter, "kind" | "name">): Readonly<Record<string, string>> {
  const driver = kind === "embedded" ? embeddedDriver() : "";
  const folder = loaderFolder();
  const software = kind === "system" ? softwareNames.find((one) => name.includes(one)) : undefined;
  return {
    ...(typeof driver === "string" ? {} : driverVariables(driver)),
    ...(folder === undefined ? {} : { LD_LIBRARY_PATH: [folder, process.env["LD_LIBRARY_PATH"] ?? ""].filter((one) => one !== "").join(":") }),
    ...(software === undefined ? {} : { DAWN_OPTIONS: `adapter=${software}` }),
  };
}

async function ask(kind: AdapterKind, switches: DawnSwitches): Promise<FoundAdapter | string> {
  let create: typeof import("webgpu")["create"];
  try {
    ({ create } = await import("webgpu"));
  } catch (cause) {
    return `Dawn could not be loaded: ${firstLine(cause)}`;
  }
  const names = kind === "system" && process.platform === "linux" ? softwareNames : [undefined];
  let said = "";
  for (const name of names) {
    const answer = await request(() => {
      const instance = create(dawnFlags(switches, name));
      // Adapters and devices do not keep their instance alive, and Dawn crashes in its event loop once it is collected.
      instances.add(instance);
      return instance.requestAdapter({ powerPreference: "high-performance", forceFallbackAdapter: kind === "system" && name === undefined });
    });
    said += answer.said;
    if (answer.adapter === undefined) continue;
    const software = isSoftware(answer.adapter.info);
    if (kind === "gpu" && software) return "only a software driver";
    return { kind, name: nameOf(answer.adapter.info), adapter: answer.adapter };
  }
  const reason = reasonIn(said);
  return `${kind === "gpu" ? "no GPU" : "no software driver"} that Dawn accepts${reason === undefined ? "" : ` (${reason})`}`;
}

interface Answer {
  readonly adapter: GPUAdapter | undefined;
  readonly said: string;
}

/** Dawn looks for adapters, and prints, before it returns its promise; an unknown name it refuses by throwing. */
async function request(ask: () => Promise<GPUAdapter | null>): Promise<Answer> {
  const { value, said } = catching(async () => {
    try {
      return await ask();
    } catch {
      return null;
    }
  });
  return { adapter: (await value) ?? undefined, said };
}

/** The most telling line of what Dawn printed. */
function reasonIn(said: string): string | undefined {
  const lines = said.split("\n").filter((line) => line.startsWith("Warning: ") && !line.includes("artificially reduced"));
  return lines.at(-1)?.slice("Warning: ".length);
}

function dawnFlags(switches: DawnSwitches, name: string | undefined): string[] {
  const named = name === undefined ? [] : [`adapter=${name}`];
  // Matrix units are an experiment of Dawn's, which it shows only to who asks for such.
  const enable = ["allow_unsafe_apis", ...(switches.unchecked ? ["disable_robustness"] : [])];
  // Dawn rounds timestamps to 0.1 ms against spying by web pages; here they are for profiles.
  const disable = ["timestamp_quantization"];
  return [...named, `enable-dawn-features=${enable.join(",")}`, `disable-dawn-features=${disable.join(",")}`];
}

function isSoftware(info: GPUAdapterInfo): boolean {
  return info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${info.architecture} ${info.device} ${info.description}`);
}

function nameOf(info: GPUAdapterInfo): string {
  const words = [info.vendor, info.architecture, info.device].filter((word) => word !== "");
  const name = words.join(" ") || "unnamed adapter";
  return info.description === "" ? name : `${name} (${info.description})`;
}

/** Drivers read these variables when Dawn makes its Vulkan instance; afterwards ours are taken back. */
async function withVariables<T>(variables: Readonly<Record<string, string>>, run: () => Promise<T>): Promise<T> {
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  Object.assign(process.env, variables);
  // Mesa warns on every start without a folder for its sockets, and without this about its own conformance.
  process.env["XDG_RUNTIME_DIR"] ??= privateFolder();
  process.env["MESA_VK_IGNORE_CONFORMANCE_WARNING"] ??= "true";
  try {
    return await run();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n")[0] ?? "";
}
