// `netc weights`: weights by their published names, or from them by ours.

import type { Graph } from "../../compiler/ir/graph.ts";
import { writeAtomic } from "../../runtime/files.ts";
import { encodeTensors } from "../../runtime/safetensors.ts";
import { readWeights, type WeightFile } from "../../runtime/weights/file.ts";
import { found, named, take, type Entry } from "../../runtime/weights/rename.ts";
import { existsSync, statSync } from "node:fs";
import { UsageError, type Values } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { inferenceRun, loadFile, trainingRun } from "../compile.ts";
import { noTable, officialEntries, ownNames, tensorsOf } from "../name-table.ts";
import { copyReader, readRecord, version, wantedOf } from "../run-folder.ts";
import { graphFor, openTarget, runsOf } from "../target.ts";

const kinds = ["official", "netc"] as const;

const flags = {
  from: { kind: "text", holds: "FILE|RUN", text: "the weights: a safetensors file, or the folder of a run" },
  out: { kind: "text", holds: "FILE", text: "the safetensors file to write", short: "o" },
  to: { kind: "choice", of: kinds, text: "the names to write; by default those that `--from` does not have" },
  names: { kind: "choice", of: kinds, text: "the names that `--from` has; by default those that fit better" },
  table: { kind: "text", holds: "FILE", text: "the table of names, by default the .names file beside the .net file" },
  which: { kind: "choice", of: ["best", "latest"], text: "the checkpoint of a run; by default the best where there is one" },
  set: { kind: "pairs", text: "a parameter of the network, e.g. `--set classes=14`" },
  input: { kind: "integers", least: 1, text: "shape of the network's input: N,C,D,H,W; by default 1,1,96,96,96" },
  "ignore-extra": { kind: "switch", text: "leave out tensors that the network does not have" },
} as const;

/** The command `weights`. */
export const command: Command = define({
  name: "weights",
  operands: { name: "FILE#Net", least: 0, most: 1 },
  flags,
  details: [
    "FILE#Net is a network or a `train` run of FILE, with the settings of the weights; the folder of a run knows its own.",
    "The file that is written holds weights and running statistics in single precision. With netc's names it can be predicted with",
    "(`netc predict --weights`) and trained on from (`start = load(\"FILE\")`); with official names the published code loads it.",
  ].join("\n"),
  run: async ({ values, operands }, terminal) => {
    const { from, out } = values;
    if (from === undefined) throw new UsageError("whose weights? `--from FILE` or `--from RUN`");
    if (out === undefined) throw new UsageError("a file to write is missing: `-o FILE.safetensors`");
    const { name, training, predicting, netFiles } = networkOf(operands[0], from, values);
    const tensors = tensorsOf(training);
    const file = readWeights(from, values.which);
    const own = ownNames(tensors);
    const official = officialEntries(tensors, netFiles, values.table);
    const given = values.names ?? likelier(file, own, official);
    const to = values.to ?? (given === "netc" ? "official" : "netc");
    const entriesOf = (kind: (typeof kinds)[number]): readonly Entry[] => {
      if (kind === "netc") return own;
      if (!official) throw noTable(name);
      return official;
    };
    const needed = new Set(tensorsOf(predicting).map((t) => t.name));
    const optional = new Set(tensors.map((t) => t.name).filter((path) => !needed.has(path)));
    const taken = take(file, entriesOf(given), { optional, ignoreExtra: values["ignore-extra"] });
    const written = named(taken.tensors, entriesOf(to), to === "official");
    const metadata = to === "official" ? { format: "pt" } : { netc: JSON.stringify({ netc: version(), network: name, from: file.path }) };
    writeAtomic(out, encodeTensors(written, metadata));
    for (const note of taken.notes) terminal.say(note);
    terminal.print(`${taken.tensors.size} tensors of ${name} with ${nameOf(given)} names from ${file.path}, as ${written.size} with ${nameOf(to)} names in ${out}`);
    return exit.done;
  },
});

const nameOf = (kind: (typeof kinds)[number]): string => (kind === "netc" ? "netc's" : "official");

function likelier(file: WeightFile, own: readonly Entry[], official: readonly Entry[] | undefined): (typeof kinds)[number] {
  return official && found(file, official) > found(file, own) ? "official" : "netc";
}

interface Network {
  readonly name: string;
  readonly training: Graph;
  readonly predicting: Graph;
  readonly netFiles: Iterable<string>;
}

/** The network that is named, or that of the run the weights come from. */
function networkOf(operand: string | undefined, from: string, { set, input }: Values<typeof flags>): Network {
  if (operand === undefined) {
    if (!existsSync(from) || !statSync(from).isDirectory()) throw new UsageError("of which network are these weights?", "write FILE#Net");
    const record = readRecord(from);
    const loaded = loadFile(record.file, copyReader(from, record.sources));
    const run = record.run === "" ? undefined : record.run;
    const options = { set: { ...record.asked.set, ...set }, ...wantedOf(record), patch: record.patch, batch: record.batch };
    const training = trainingRun(loaded, run, { ...options, set: { ...options.set, start: "none" } }).training.graph;
    return { name: record.network, training, predicting: inferenceRun(loaded, run, options).graph, netFiles: loaded.texts.keys() };
  }
  const target = openTarget(operand);
  const netFiles = target.loaded.texts.keys();
  const shape = input ?? [1, 1, 96, 96, 96];
  if (runsOf(target).includes(target.name)) {
    const options = { set, channels: shape[1], patch: shape.slice(2), batch: shape[0] };
    const { training, settings } = trainingRun(target.loaded, target.name, options);
    return { name: settings.network, training: training.graph, predicting: inferenceRun(target.loaded, target.name, options).graph, netFiles };
  }
  return { name: target.name, training: graphFor(target, set, shape, true).graph, predicting: graphFor(target, set, shape, false).graph, netFiles };
}
