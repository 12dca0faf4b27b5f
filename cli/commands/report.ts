// `netc report`: makes the page and the picture of a run anew.

import { resolve } from "node:path";
import { command as define, exit, type Command } from "../command.ts";
import { writeReport } from "../run-report.ts";

/** The command `report`. */
export const command: Command = define({
  name: "report",
  operands: { name: "RUN", least: 1, most: 1 },
  flags: { out: { kind: "text", holds: "FILE", text: "where the page goes, by default report.html in the folder of the run", short: "o" } },
  details: [
    "RUN is the folder that `netc train` wrote, of a run that is over or not. The page holds all it shows and needs no network:",
    "curves of loss, pseudo-Dice, learning rate, dials and step time, slices of each class, memory, and scores of held-out cases.",
    "Training makes it at every validation and at its end.",
  ].join("\n"),
  run: async ({ values, operands: [folder = ""] }, terminal) => {
    terminal.print(resolve(values.out === undefined ? writeReport(folder) : writeReport(folder, values.out)));
    return exit.done;
  },
});
