// `netc devices`: what there is to compute on, what is used and why.

import { Fault } from "../../compiler/report/diagnostic.ts";
import { adapterChoices, findAllAdapters, type FoundAdapter } from "../../runtime/adapters/find.ts";
import { adapterChoice, openDevice, reportedFeatures, reportedLimits } from "../../runtime/device.ts";
import { bytesText } from "../../runtime/faults.ts";
import { unitsOf } from "../../runtime/matrices.ts";
import { type Command, command as define, exit } from "../command.ts";
import { table } from "../terminal.ts";

interface Row {
  readonly kind: string;
  readonly found: boolean;
  readonly what: string;
  readonly features: readonly string[];
  /** What its matrix units multiply, as text. */
  readonly matrices: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/** The command `devices`. */
export const command: Command = define({
  name: "devices",
  operands: { name: "", least: 0, most: 0 },
  flags: {
    adapter: { kind: "choice", of: adapterChoices, text: "what to look for; else NETC_ADAPTER, else `auto`" },
    json: { kind: "switch", text: "as JSON" },
  },
  details: [
    "`auto` takes the first that works of",
    table([
      ["  gpu", "a real GPU"],
      ["  system", "software Vulkan of the system (Mesa 24 or later)"],
      ["  embedded", "the software Vulkan that this install brings for linux-x64; for trying things out, it is slow"],
    ]),
    "`none` uses no device. Exits with 3 when what is asked for is not there.",
  ].join("\n"),
  run: async ({ values }, terminal) => {
    const choice = adapterChoice(values.adapter);
    const rows = (await findAllAdapters({ unchecked: false })).map(({ attempt, adapter }): Row => ({ ...attempt, ...detailsOf(adapter) }));
    const device = await openDevice({ adapter: choice }).catch((cause: unknown) => {
      if (cause instanceof Fault) return cause;
      throw cause;
    });
    const opened = device instanceof Fault ? undefined : device;
    const used = opened?.kind;
    const why = opened === undefined ? "" : reasonFor(choice, values.adapter === undefined, opened.kind);
    opened?.close();
    if (values.json) {
      terminal.print(JSON.stringify({ asked: choice, used: used ?? null, why, adapters: rows }, null, 2));
    } else {
      terminal.print(table(rows.map(({ kind, what }) => [kind === used ? "*" : " ", kind, what])));
      const row = rows.find(({ kind }) => kind === used);
      if (row !== undefined) terminal.print(`\n${describe(row, why)}`);
    }
    if (device instanceof Fault) {
      if (!values.json) throw device;
      return exit.device;
    }
    return exit.done;
  },
});

function detailsOf(found: FoundAdapter | undefined): Pick<Row, "features" | "matrices" | "limits"> {
  if (found === undefined) return { features: [], matrices: [], limits: {} };
  const { features, limits } = found.adapter;
  return {
    features: reportedFeatures.filter((feature) => features.has(feature)),
    matrices: unitsOf(found.adapter).map(({ component, m, n, k }) => `${component} ${m} x ${n} x ${k}`),
    limits: Object.fromEntries(reportedLimits.map((limit) => [limit, limits[limit]])),
  };
}

function reasonFor(choice: string, byDefault: boolean, kind: string): string {
  if (choice !== "auto") return byDefault ? `NETC_ADAPTER is ${choice}` : `--adapter ${choice}`;
  return kind === "gpu" ? "a real GPU comes first" : kind === "system" ? "there is no GPU" : "there is no GPU and no software Vulkan of the system that works";
}

function describe({ kind, features, matrices, limits }: Row, why: string): string {
  const inBytes = new Set(["maxBufferSize", "maxStorageBufferBindingSize", "maxComputeWorkgroupStorageSize"]);
  const rows = Object.entries(limits).map(([name, value]) => [`  ${name}`, inBytes.has(name) ? bytesText(value) : String(value)]);
  return [`\`${kind}\` is used: ${why}.`, `features: ${features.length === 0 ? "none" : features.join(", ")}`, ...(matrices.length === 0 ? [] : [`matrix units (M x N x K): ${matrices.join(", ")}`]), "limits:", table(rows)].join("\n");
}
