// `netc fmt`: brings files into their one form.

import { type Diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { renderAll } from "../../compiler/report/render.ts";
import { format } from "../../grammar/format.ts";
import { type Command, command as define, exit } from "../command.ts";
import { writeAtomic } from "../../runtime/files.ts";
import { read } from "../files.ts";

/** The command `fmt`. */
export const command: Command = define({
  name: "fmt",
  operands: { name: "FILE", least: 1, most: Infinity },
  flags: {
    check: { kind: "switch", text: "write nothing; list the files that are not in form and exit with 1" },
  },
  details: "A file with mistakes in it is left as it is, and the mistakes are told.",
  run: async ({ values, operands }, terminal) => {
    const refused: Diagnostic[] = [];
    let failed = false;
    for (const path of operands) {
      const text = read(path);
      if (text === undefined) {
        terminal.say(`error: there is no file \`${path}\``);
        failed = true;
        continue;
      }
      const formed = await format(text, path).catch((thrown: unknown) => {
        if (!(thrown instanceof Fault)) throw thrown;
        refused.push(...thrown.findings);
        return undefined;
      });
      if (formed === undefined || formed === text) continue;
      terminal.print(path);
      if (values.check) failed = true;
      else writeAtomic(path, formed);
    }
    if (refused.length > 0) terminal.say(renderAll(refused, terminal));
    return failed || refused.length > 0 ? exit.fault : exit.done;
  },
});
