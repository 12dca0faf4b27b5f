// `npm run bench [-- CASE...] [flags of netc bench]`: the fixed cases of the benchmark, the small ones by default.

import { join } from "node:path";
import { dispatch } from "../../cli/dispatch.ts";
import { exit } from "../../cli/command.ts";
import { packageRoot } from "../../cli/files.ts";
import { terminalOn } from "../../cli/terminal.ts";

/** A run and the edges of its patches. */
interface Case {
  readonly run: string;
  readonly edges: readonly number[];
  /** Channels of the input. */
  readonly channels: number;
}

const peers = (run: string, channels: number): Case => ({ run: `peers.net#${run}`, edges: [32, 48], channels });
const network = (run: string, ...edges: readonly number[]): Case => ({ run: `networks.net#${run}`, edges: edges.length > 0 ? edges : [64], channels: 1 });

/** `scaling` is one network at growing sizes. All but the first two take minutes a step without a GPU. */
const cases: Readonly<Record<string, Case>> = {
  seg: peers("seg", 1),
  mednext: peers("mednext", 32),
  mednext_k3: network("mednext_k3"),
  mednext_k5: network("mednext_k5"),
  dnet: network("dnet"),
  nnunet: network("nnunet"),
  scaling: network("mednext_k3", 32, 48, 64, 96),
};
const small = ["seg", "mednext"];

const terminal = terminalOn(process.stdout, process.stderr, process.env);
const given = process.argv.slice(2);
const flags = given.findIndex((word) => word.startsWith("-"));
const named = flags < 0 ? given : given.slice(0, flags);
const rest = flags < 0 ? [] : given.slice(flags);

async function run(): Promise<number> {
  for (const name of named.length > 0 ? named : small) {
    const chosen = cases[name];
    if (chosen === undefined) {
      terminal.say(`error: there is no case \`${name}\`; there are ${Object.keys(cases).join(", ")}`);
      return exit.usage;
    }
    const code = await dispatch(["bench", join(packageRoot(), "tests", "bench", chosen.run), "--input", `1,${chosen.channels},1,1,1`, "--edges", chosen.edges.join(), ...rest], terminal);
    if (code !== exit.done) return code;
  }
  return exit.done;
}

process.exitCode = await run();
