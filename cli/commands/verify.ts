// `netc verify`: compares a network with a stored run of another implementation of it.

import { adapterChoices } from "../../runtime/adapters/find.ts";
import { openDevice } from "../../runtime/device.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { noTable, officialEntries, ownNames, tensorsOf } from "../name-table.ts";
import { openTarget, runsOf, type Target } from "../target.ts";
import { table, type Terminal } from "../terminal.ts";
import { compare, type Subject } from "../verify/compare.ts";
import { readDump, type Dump } from "../verify/dump.ts";
import { graphsOf, type Wish } from "../verify/graphs.ts";
import { comparePlaces, type Places } from "../verify/places.ts";
import { defaultRtol, type Row } from "../verify/tolerance.ts";

const flags = {
  loss: { kind: "text", holds: "TEXT", text: "the loss, as in a `train` run; by default that of the network's run where there is one" },
  "outputs-only": { kind: "switch", text: "compare no loss and no gradients" },
  set: { kind: "pairs", text: "a parameter of the network or a dial, e.g. `--set width=4`" },
  names: { kind: "choice", of: ["official", "netc"], text: "whose names the dump has; by default official ones where there is a table" },
  table: { kind: "text", holds: "FILE", text: "the table of names, by default the .names file beside the .net file" },
  rtol: { kind: "number", text: `relative error allowed of outputs, ${defaultRtol.toExponential()} by default; gradients get ten times as much` },
  "ignore-extra": { kind: "switch", text: "leave out weights of the dump that the network does not have" },
  all: { kind: "switch", text: "list every tensor, not only those that differ and the worst of each kind" },
  json: { kind: "switch", text: "print every tensor as JSON" },
  adapter: { kind: "choice", of: adapterChoices, text: "the device to compute on; by default the first that works" },
} as const;

/** The command `verify`. */
export const command: Command = define({
  name: "verify",
  operands: { name: "FILE#Net DUMP", least: 2, most: 2 },
  flags,
  details: [
    "DUMP.safetensors holds param/NAME, buffer/NAME, input and out.0, ..., of the other implementation, and as far as wanted target.0,",
    "loss, grad/NAME, grad_input, buffer_after/NAME, eval.out.0, ... and mid/MODULE. DUMP.json beside it may say how exact they are.",
    "In TEXT the outputs and `label` have their names, as in a `train` run; `head_weights` is the list that DUMP.json holds.",
    "When outputs differ, the first block whose mid/MODULE differs is named. Exit code 1 when anything differs.",
  ].join("\n"),
  run: async ({ values, operands }, terminal) => {
    const [file = "", path = ""] = operands;
    if (values.rtol !== undefined && !(values.rtol > 0)) throw new UsageError(`\`--rtol\` is more than 0, not ${values.rtol}`);
    if (values.loss !== undefined && values["outputs-only"]) throw new UsageError("`--loss` and `--outputs-only` exclude each other");
    const target = openTarget(file);
    const dump = readDump(path);
    const loss = values["outputs-only"] ? undefined : values.loss === undefined ? lossOf(target, dump) : { text: values.loss };
    const graphs = graphsOf({ program: target.loaded.program, network: target.name, loss, set: values.set }, dump);
    const tensors = tensorsOf(graphs.forward);
    const official = values.names === "netc" ? undefined : officialEntries(tensors, target.loaded.texts.keys(), values.table);
    if (values.names === "official" && !official) throw noTable(target.name);
    const progress = terminal.progress();
    const subject: Subject = {
      graphs, dump, entries: official ?? ownNames(tensors), rtol: values.rtol, ignoreExtra: values["ignore-extra"], tell: (text) => progress.update(text),
    };
    const device = await openDevice(values.adapter === undefined ? {} : { adapter: values.adapter });
    try {
      const { rows, nudges } = await compare(device, subject);
      const differs = rows.some((row) => !row.ok);
      const forward = rows.some((row) => !row.ok && /^(eval\.)?out\./.test(row.name));
      const places = forward ? await comparePlaces(device, subject) : undefined;
      progress.done();
      if (values.json) terminal.print(JSON.stringify({ network: target.name, dump: path, ok: !differs, nudges, tensors: rows, modules: places?.rows, unplaced: places?.unplaced }, null, 2));
      else {
        tell(terminal, rows, places, values.all);
        if (nudges > 0) terminal.print(`Gradients agree beside a kink: the input was moved by a unit in its last place ${nudges} time${nudges === 1 ? "" : "s"}, for an activation that is zero but for rounding.`);
      }
      return differs ? exit.fault : exit.done;
    } finally {
      progress.done();
      device.close();
    }
  },
});

/** The loss of the run that is named, or of the only run of the network. */
function lossOf(target: Target, dump: Dump): Wish["loss"] {
  const runs = runsOf(target);
  if (runs.length === 1 && (dump.tensors.has("loss") || runs[0] === target.name)) return { run: runs[0] };
  if (![...dump.tensors.keys()].some((name) => name === "loss" || name.startsWith("grad"))) return undefined;
  throw new UsageError("the dump has a loss or gradients, of which loss?", `give it, e.g. \`--loss 'dice_ce(logits, label, batch = false)'\`${runs.length > 1 ? ", or name a run: FILE#run" : ""}, or \`--outputs-only\``);
}

const kindOf = ({ name }: Row): string => (/^(eval\.)?out\./.test(name) ? "outputs" : name.startsWith("grad") ? "gradients" : name.startsWith("buffer") ? "running values" : name);

function tell(terminal: Terminal, rows: readonly Row[], places: Places | undefined, all: boolean): void {
  const worst = new Map<string, Row>();
  for (const row of rows) {
    const before = worst.get(kindOf(row));
    if (before === undefined || row.error / row.allowed > before.error / before.allowed) worst.set(kindOf(row), row);
  }
  const shown = all ? rows : rows.filter((row) => !row.ok || kindOf(row) === "outputs" || worst.get(kindOf(row)) === row);
  const listed = all ? shown : shown.slice(0, 40);
  terminal.print(lines(listed));
  if (listed.length < shown.length) terminal.print(`… and ${shown.length - listed.length} more; \`--all\` lists them`);
  const differing = rows.filter((row) => !row.ok).length;
  terminal.print(`\n${differing === 0 ? `all ${rows.length} tensors agree` : `${differing} of ${rows.length} tensors differ`}${all ? "" : "; listed are those that differ, all outputs and the worst of each kind"}`);
  if (places) where(terminal, places, all);
}

function where(terminal: Terminal, { rows, unplaced }: Places, all: boolean): void {
  const first = rows.find((row) => !row.ok);
  if (rows.length === 0) terminal.print("The dump has no mid/MODULE that has a place here, so nothing tells where it begins.");
  else if (first === undefined) terminal.print(`None of ${rows.length} modules differs: it begins after the last of them, \`${rows.at(-1)?.ours ?? ""}\` (${rows.at(-1)?.name ?? ""}), or in a part that was not stored.`);
  else {
    const before = rows[rows.indexOf(first) - 1];
    terminal.print(`It begins in \`${first.ours}\` (${first.name})${before ? `, or between it and \`${before.ours}\` (${before.name}), which agrees` : "; nothing before it was stored"}.`);
  }
  if (all && rows.length > 0) terminal.print(`\nModules, in the order of the network:\n${lines(rows)}`);
  if (unplaced.length > 0) terminal.print(`${unplaced.length} module${unplaced.length === 1 ? "" : "s"} could not be placed: ${all ? unplaced.join(", ") : unplaced.slice(0, 3).join(", ")}${!all && unplaced.length > 3 ? ", …" : ""}`);
}

function lines(rows: readonly Row[]): string {
  return table([
    ["tensor", "ours", "error", "allowed", ""],
    ...rows.map(({ name, ours, error, allowed, relative, ok }) => [name, ours, error.toExponential(1), allowed.toExponential(1), `${ok ? "ok" : "differs"}${relative ? "" : ", absolute"}`]),
  ], [2, 3]);
}
