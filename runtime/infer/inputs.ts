// Which images a prediction is asked for: the cases of a folder or of single files.

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { CaseFiles } from "../data/dataset.ts";
import { endingOf, endings } from "../data/image.ts";

/** A case with the name of the file its prediction gets. */
export interface Wanted extends CaseFiles {
  readonly output: string;
}

/** The cases among folders and files; a `Fault` with everything that stands in the way. */
export function findCases(paths: readonly string[], channels: readonly string[]): readonly Wanted[] {
  const findings: Diagnostic[] = [];
  const files = paths.flatMap((path) => filesAt(path, findings));
  const cases = new Map<string, { readonly ending: string; readonly byChannel: Map<number, string> }>();
  for (const path of files) {
    const { name, channel, ending } = partsOf(path);
    const known = cases.get(name) ?? { ending, byChannel: new Map<number, string>() };
    cases.set(name, known);
    const other = known.byChannel.get(channel);
    if (other !== undefined && resolve(other) !== resolve(path)) {
      findings.push(diagnostic("N1064", `two files are channel ${channel} of case ${name}`, { facts: [`They are ${other} and ${path}.`], hint: "predict them one after the other, into two folders" }));
    }
    known.byChannel.set(channel, path);
  }
  const wanted = [...cases].map(([name, { ending, byChannel }]): Wanted => {
    findings.push(...channelFindings(name, byChannel, channels));
    return { name, images: channels.map((_, n) => byChannel.get(n) ?? ""), label: undefined, output: `${name}${ending}` };
  });
  if (findings.length > 0) throw new Fault(...findings);
  return wanted;
}

function filesAt(path: string, findings: Diagnostic[]): readonly string[] {
  if (!existsSync(path)) {
    findings.push(diagnostic("N1006", `cannot read ${path}`, { facts: ["There is no such file or folder."], hint: "check the spelling, and that the path is relative to the folder you are in" }));
    return [];
  }
  if (!statSync(path).isDirectory()) return [path];
  const found = readdirSync(path).filter((name) => !name.startsWith(".") && endingOf(name) !== undefined).sort();
  if (found.length === 0) {
    const inside = ["imagesTs", "imagesTr"].find((name) => existsSync(join(path, name)));
    findings.push(diagnostic("N1064", `${path} holds no images`, {
      facts: [`No file there ends in ${endings.join(", ")}.`],
      hint: inside === undefined ? "give the folder with the images, CASE_0000.nii.gz and so on" : `did you mean ${join(path, inside)}?`,
    }));
  }
  return found.map((name) => join(path, name));
}

/** A file without a channel number is the whole case, as other tools write single-channel images. */
function partsOf(path: string): { readonly name: string; readonly channel: number; readonly ending: string } {
  const file = basename(path);
  const ending = endingOf(file) ?? ".nii.gz";
  const stem = file.endsWith(ending) ? file.slice(0, -ending.length) : file;
  const numbered = /^(?<name>.+)_(?<channel>\d{4})$/.exec(stem)?.groups;
  return { name: numbered?.["name"] ?? stem, channel: Number(numbered?.["channel"] ?? 0), ending };
}

function channelFindings(name: string, byChannel: ReadonlyMap<number, string>, channels: readonly string[]): readonly Diagnostic[] {
  const listed = channels.map((channel, n) => `${String(n).padStart(4, "0")} ${channel}`).join(", ");
  const facts = [`The network was trained on ${channels.length} channel${channels.length === 1 ? "" : "s"}: ${listed}.`];
  const extra = [...byChannel].filter(([channel]) => channel >= channels.length).map(([, path]) => path);
  const missing = channels.flatMap((channel, n) => (byChannel.has(n) ? [] : [`${n} (${channel})`]));
  return [
    ...(extra.length === 0 ? [] : [diagnostic("N1065", `case ${name} has more channels than the network`, { facts: [`Too many: ${extra.join(", ")}.`, ...facts], hint: "take those files away, or train a network on all channels" })]),
    ...(missing.length === 0 ? [] : [diagnostic("N1015", `case ${name} lacks channel ${missing.join(", ")}`, { facts, hint: "a case is CASE_0000.nii.gz, CASE_0001.nii.gz and so on, one file per channel" })]),
  ];
}
