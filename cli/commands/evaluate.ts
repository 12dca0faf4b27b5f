// `netc evaluate`: how well predicted label maps agree with true ones.

import { renderAll } from "../../compiler/report/render.ts";
import { evaluate } from "../../runtime/infer/evaluate.ts";
import type { Evaluation } from "../../runtime/infer/evaluate.ts";
import { meanOf, meanScores, SCORES, scoresOf, summary } from "../../runtime/train/metrics.ts";
import type { Scores } from "../../runtime/train/metrics.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit } from "../command.ts";
import type { Command } from "../command.ts";
import { table } from "../terminal.ts";

/** The command `evaluate`. */
export const command: Command = define({
  name: "evaluate",
  operands: { name: "PREDICTED LABELS", least: 2, most: 2 },
  flags: {
    dataset: { kind: "text", holds: "FILE", text: "the dataset.json that names the classes; by default the one beside LABELS" },
    surface: { kind: "number", text: "also how far surfaces lie apart, in mm: HD, HD95, ASSD, and the NSD at this tolerance" },
    json: { kind: "switch", text: "print the scores as JSON, in the form of nnU-Net's summary.json" },
  },
  details: [
    "PREDICTED and LABELS are two folders of NIfTI label maps with the same names, or two files.",
    "Scores are Dice, intersection over union, precision and recall of every class over the whole volume.",
    "A class that neither map has is n/a (null in JSON) and is left out of means, as is a distance where one map lacks the class.",
  ].join("\n"),
  run: async ({ values, operands }, terminal) => {
    const [predicted = "", labels = ""] = operands;
    const tolerance = values.surface;
    if (tolerance !== undefined && !(tolerance >= 0)) throw new UsageError(`\`--surface\` is a length in millimetres, not ${tolerance}`);
    const progress = terminal.progress();
    let evaluation: Evaluation;
    try {
      evaluation = evaluate(predicted, labels, {
        datasetJson: values.dataset, tolerance, progress: (done, total, name) => progress.update(`${name} (${done + 1} of ${total})`),
      });
    } finally {
      progress.done();
    }
    const { cases, classes, warnings } = evaluation;
    if (warnings.length > 0) terminal.say(`${renderAll(warnings, terminal)}\n`);
    terminal.print(values.json ? JSON.stringify(summary(cases, classes), null, 2) : report(evaluation));
    return exit.done;
  },
});

/** Dice by case and class, then all scores by class. */
function report({ cases, classes }: Evaluation): string {
  const foreground = classes.map((name, value) => ({ name, value })).slice(1);
  const scores = cases.map(({ name, counts }) => ({ name, of: counts.map(scoresOf) }));
  const dice = scores.map(({ name, of }) => {
    const each = foreground.map(({ value }) => of[value]?.dice ?? null);
    return [name, ...each.map(number), number(meanOf(each))];
  });
  const perClass = foreground.map(({ name, value }) => ({ name, mean: meanScores(SCORES, scores.flatMap(({ of }) => of[value] ?? [])) }));
  const row = (name: string, mean: Scores): readonly string[] => [name, ...SCORES.map((score) => number(mean[score]))];
  const numbers = (columns: number): readonly number[] => Array.from({ length: columns }, (_, n) => n + 1);
  const perCase = table([["Dice", ...foreground.map(({ name }) => name), "mean"], ...dice], numbers(foreground.length + 1));
  const overall = table([
    [`mean of ${cases.length} case${cases.length === 1 ? "" : "s"}`, "Dice", "IoU", "precision", "recall"],
    ...perClass.map(({ name, mean }) => row(name, mean)),
    row("all classes", meanScores(SCORES, perClass.map(({ mean }) => mean))),
  ], numbers(4));
  return [perCase, overall, ...surfaceTable(cases, foreground)].join("\n\n");
}

/** Distances of surfaces by class; none where they were not measured. */
function surfaceTable(cases: Evaluation["cases"], foreground: readonly { readonly name: string; readonly value: number }[]): readonly string[] {
  if (cases.every(({ surfaces }) => surfaces === undefined)) return [];
  const shown = ["hd", "hd95", "assd", "nsd"] as const;
  const perClass = foreground.map(({ name, value }) => ({ name, mean: meanScores(shown, cases.flatMap(({ surfaces }) => surfaces?.[value] ?? [])) }));
  const row = (name: string, mean: Readonly<Record<(typeof shown)[number], number | null>>): readonly string[] => [name, ...shown.map((score) => number(mean[score]))];
  return [table([
    ["surfaces", "HD mm", "HD95 mm", "ASSD mm", "NSD"],
    ...perClass.map(({ name, mean }) => row(name, mean)),
    row("all classes", meanScores(shown, perClass.map(({ mean }) => mean))),
  ], [1, 2, 3, 4])];
}

function number(value: number | null): string {
  return value === null ? "n/a" : value.toFixed(4);
}
