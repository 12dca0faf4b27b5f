// `netc evaluate`: how well predicted label maps agree with true ones.

import { renderAll } from "../../compiler/report/render.ts";
import { writeAtomic } from "../../runtime/files.ts";
import { evaluate, type Evaluation } from "../../runtime/infer/evaluate.ts";
import { summaryCsv, summaryJson } from "../../runtime/infer/summary.ts";
import { meanOf, meanScores, SCORES, scoresOf } from "../../runtime/train/metrics.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { quietly, table } from "../terminal.ts";

/** The command `evaluate`. */
export const command: Command = define({
  name: "evaluate",
  operands: { name: "PREDICTED LABELS", least: 2, most: 2 },
  flags: {
    dataset: { kind: "text", holds: "FILE", text: "the dataset.json that names the classes; by default the one beside LABELS" },
    surface: { kind: "number", text: "also how far surfaces lie apart, in mm: HD, HD95, ASSD, and the NSD at this tolerance" },
    ignore: { kind: "integer", least: 0, text: "the true label of voxels that do not count, by default `ignore` of dataset.json" },
    json: { kind: "switch", text: "print the scores as JSON, in the form of nnU-Net's summary.json" },
    csv: { kind: "switch", text: "print the scores as CSV, a line per case and class" },
    out: { kind: "texts", holds: "FILE", text: "write the scores to a file too, .json or .csv", short: "o" },
    quiet: { kind: "switch", text: "say nothing but what is wrong, and the result", short: "q" },
  },
  details: [
    "PREDICTED and LABELS are two folders of label maps with the same names, or two files.",
    "Scores are Dice, intersection over union, precision and recall of every class over the whole volume.",
    "A class that neither map has is n/a (null in JSON, empty in CSV) and is left out of means. Where only one map has it, Dice is 0 and",
    "distances are infinite, and so are their means.",
  ].join("\n"),
  run: async ({ values, operands }, loud) => {
    const terminal = values.quiet ? quietly(loud) : loud;
    const [predicted = "", labels = ""] = operands;
    const tolerance = values.surface;
    if (tolerance !== undefined && !(tolerance >= 0)) throw new UsageError(`\`--surface\` is a length in millimetres, not ${tolerance}`);
    if (values.json && values.csv) throw new UsageError("`--json` and `--csv` exclude each other", "`-o FILE` writes either to a file");
    const odd = values.out.find((path) => !/\.(json|csv)$/i.test(path));
    if (odd !== undefined) throw new UsageError(`\`--out\` takes a file that ends in .json or .csv, not \`${odd}\``);
    const progress = terminal.progress();
    let evaluation: Evaluation;
    try {
      evaluation = evaluate(predicted, labels, {
        datasetJson: values.dataset, tolerance, ignore: values.ignore, progress: (done, total, name) => progress.update(`${name} (${done + 1} of ${total})`, done / total),
      });
    } finally {
      progress.done();
    }
    const { cases, scored, warnings } = evaluation;
    if (warnings.length > 0) terminal.say(`${renderAll(warnings, terminal)}\n`);
    for (const path of values.out) writeAtomic(path, `${path.toLowerCase().endsWith(".csv") ? summaryCsv(cases, scored) : summaryJson(cases, scored)}\n`);
    terminal.print(values.json ? summaryJson(cases, scored) : values.csv ? summaryCsv(cases, scored) : report(evaluation));
    return exit.done;
  },
});

/** Dice by case and class, then all scores by class. */
function report({ cases, scored }: Evaluation): string {
  const foreground = scored.map(({ name }, k) => ({ name, k })).slice(1);
  const scores = cases.map(({ name, counts }) => ({ name, of: counts.map(scoresOf) }));
  const dice = scores.map(({ name, of }) => {
    const each = foreground.map(({ k }) => of[k]?.dice ?? null);
    return [name, ...each.map(number), number(meanOf(each))];
  });
  const perClass = foreground.map(({ name, k }) => ({ name, mean: meanScores(SCORES, scores.flatMap(({ of }) => of[k] ?? [])) }));
  const numbers = (columns: number): readonly number[] => Array.from({ length: columns }, (_, n) => n + 1);
  const perCase = table([["Dice", ...foreground.map(({ name }) => name), "mean"], ...dice], numbers(foreground.length + 1));
  const overall = table([
    [`mean of ${cases.length} case${cases.length === 1 ? "" : "s"}`, "Dice", "IoU", "precision", "recall"],
    ...[...perClass, { name: "all classes", mean: meanScores(SCORES, perClass.map(({ mean }) => mean)) }].map(({ name, mean }) => [name, ...SCORES.map((score) => number(mean[score]))]),
  ], numbers(4));
  return [perCase, overall, ...surfaceTable(cases, foreground)].join("\n\n");
}

const SHOWN = ["hd", "hd95", "assd", "nsd"] as const;

/** Distances of surfaces by class, and in how many cases only one map has it; none where they were not measured. */
function surfaceTable(cases: Evaluation["cases"], foreground: readonly { readonly name: string; readonly k: number }[]): readonly string[] {
  if (cases.every(({ surfaces }) => surfaces === undefined)) return [];
  const perClass = foreground.map(({ name, k }) => {
    const all = cases.flatMap(({ surfaces }) => surfaces?.[k] ?? []);
    return { name, mean: meanScores(SHOWN, all), missed: all.filter(({ hd }) => hd === Infinity).length };
  });
  const total = { name: "all classes", mean: meanScores(SHOWN, perClass.map(({ mean }) => mean)), missed: perClass.reduce((sum, one) => sum + one.missed, 0) };
  return [table([
    ["surfaces", "HD mm", "HD95 mm", "ASSD mm", "NSD", "in one map only"],
    ...[...perClass, total].map(({ name, mean, missed }) => [name, ...SHOWN.map((score) => number(mean[score])), String(missed)]),
  ], [1, 2, 3, 4, 5])];
}

function number(value: number | null): string {
  return value === null ? "n/a" : value === Infinity ? "inf" : value.toFixed(4);
}
