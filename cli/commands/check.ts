// `netc check`: tells what is wrong with files.

import { type Diagnostic, isError } from "../../compiler/report/diagnostic.ts";
import { levelOf, renderAll, toJson } from "../../compiler/report/render.ts";
import { checkFile } from "../check-file.ts";
import { type Command, command as define, exit } from "../command.ts";
import { read } from "../files.ts";

/** The command `check`. */
export const command: Command = define({
  name: "check",
  operands: { name: "FILE", least: 1, most: Infinity },
  flags: {
    format: { kind: "choice", of: ["text", "json"], text: "how findings are written; `json` puts them on stdout" },
  },
  details: "Exits with 1 when there is an error; warnings alone leave it at 0.",
  run: async ({ values, operands }, terminal) => {
    const findings: Diagnostic[] = [];
    const missing: string[] = [];
    for (const path of operands) {
      const text = read(path);
      if (text === undefined) missing.push(path);
      else findings.push(...checkFile(path, text));
    }
    for (const path of missing) terminal.say(`error: there is no file \`${path}\``);
    if (values.format === "json") terminal.print(JSON.stringify(findings.map(toJson), null, 2));
    else if (findings.length > 0) terminal.say(`${renderAll(findings, terminal)}\n\n${summary(findings)}`);
    else if (missing.length === 0) terminal.print(operands.length === 1 ? "nothing is wrong" : `${operands.length} files, nothing is wrong`);
    return missing.length > 0 || findings.some(isError) ? exit.fault : exit.done;
  },
});

function summary(findings: readonly Diagnostic[]): string {
  const counts = (["error", "warning", "note"] as const).flatMap((level) => {
    const count = findings.filter((finding) => levelOf(finding) === level).length;
    return count === 0 ? [] : [`${count} ${level}${count === 1 ? "" : "s"}`];
  });
  return counts.join(", ");
}
