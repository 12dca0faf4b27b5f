// `netc explain`: the long explanation of a code.

import { listCodes } from "../../compiler/report/explain.ts";
import { nearest } from "../../compiler/report/spelling.ts";
import { type Command, command as define, exit } from "../command.ts";
import { codePages } from "../files.ts";
import { table } from "../terminal.ts";

/** The command `explain`. */
export const command: Command = define({
  name: "explain",
  operands: { name: "CODE", least: 0, most: 1 },
  flags: {},
  details: "Without a code, all of them are listed.",
  run: async ({ operands }, terminal) => {
    const pages = codePages();
    const [asked] = operands;
    if (asked === undefined) {
      terminal.print(table(listCodes(pages).map(({ code, title }) => [code, title])));
      return exit.done;
    }
    const page = pages.get(asked.toUpperCase());
    if (page === undefined) {
      const meant = nearest(asked.toUpperCase(), pages.keys());
      terminal.say(`error: there is no code \`${asked}\`${meant === undefined ? "" : `; did you mean \`${meant}\`?`}`);
      return exit.fault;
    }
    terminal.print(page.trimEnd());
    return exit.done;
  },
});
