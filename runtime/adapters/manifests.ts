// Whether any Vulkan driver is installed; asking the loader where there is none makes Dawn print warnings.

import { readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const split = (name: string, otherwise: string): readonly string[] => (process.env[name] || otherwise).split(":").filter((part) => part !== "");

/** The manifests of installed drivers, in the loader's places. */
export function installedDrivers(): readonly string[] {
  const named = [...split("VK_DRIVER_FILES", ""), ...split("VK_ICD_FILENAMES", "")];
  if (named.length > 0) return named;
  const roots = [
    ...split("XDG_CONFIG_HOME", join(homedir(), ".config")),
    ...split("XDG_CONFIG_DIRS", "/etc/xdg"),
    "/etc",
    "/usr/local/etc",
    ...split("XDG_DATA_HOME", join(homedir(), ".local", "share")),
    ...split("XDG_DATA_DIRS", "/usr/local/share:/usr/share"),
  ];
  const found = roots.flatMap((root) => manifestsIn(join(root, "vulkan", "icd.d")));
  return [...split("VK_ADD_DRIVER_FILES", ""), ...new Set(found)];
}

function manifestsIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".json")).map((name) => join(folder, name));
  } catch {
    return [];
  }
}
