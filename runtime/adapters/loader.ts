// Makes the Vulkan loader findable before Dawn asks for it by name.

import { constants } from "node:os";
import { dirname } from "node:path";

/** From dlfcn.h: the library outlives the handle that Node closes when it finds no addon inside. */
const keepLoaded = 0x1000;

/** The library that was found. */
let found: string | undefined;

/**
 * Whether Dawn will find a Vulkan loader. Looks for the system's first and then, if given, for `spare`.
 * A shared library stays known by its own name once loaded, so Dawn's later look-up of that name succeeds
 * without a search path, which a running process could no longer change. Away from Linux there is nothing to do.
 */
export function findLoader(spare: string | undefined): boolean {
  if (process.platform !== "linux") return true;
  found ??= ["libvulkan.so.1", ...(spare === undefined ? [] : [spare])].find(load);
  return found !== undefined;
}

/** The folder of the loader that was found, where it lies in none that the system looks into; other processes have to be told. */
export function loaderFolder(): string | undefined {
  return found?.includes("/") === true ? dirname(found) : undefined;
}

/** Node refuses any library that is no addon, but only after the linker has mapped it. */
function load(library: string): boolean {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | keepLoaded);
    return true;
  } catch (cause) {
    return cause instanceof Error && cause.message.startsWith("Module did not self-register");
  }
}
