// A prediction from weights alone: the network and its window from a `.net` file, intensities from a data set or the image itself.

import { join } from "node:path";
import type { RunSettings } from "../compiler/front/front.ts";
import { diagnostic, Fault } from "../compiler/report/diagnostic.ts";
import { loadCases } from "../runtime/data/case.ts";
import { openDataset, type Dataset } from "../runtime/data/dataset.ts";
import { fingerprintOf, type Fingerprint } from "../runtime/data/fingerprint.ts";
import { readWeights } from "../runtime/weights/file.ts";
import { found, take } from "../runtime/weights/rename.ts";
import { inferenceRun, loadFile, trainingRun } from "./compile.ts";
import { stdFolder } from "./files.ts";
import { officialEntries, ownNames, tensorsOf } from "./name-table.ts";
import { version, wantedOf, type RunRecord } from "./run-folder.ts";
import type { Stage } from "./stages.ts";
import type { Terminal } from "./terminal.ts";
import { labelUse, spacingFor, spatial } from "./training-data.ts";

export interface WeightsWanted {
  /** `FILE#run`; the first `train` or `infer` of the file where no run is named. */
  readonly net: string;
  /** A safetensors file with our names or official ones. */
  readonly weights: string;
  /** The data set whose channels, classes and intensities the weights learned. */
  readonly data: string | undefined;
  readonly set: Readonly<Record<string, string>>;
}

/** A network with the weights of a file, as `predict` takes it. */
export function stageOf({ net, weights, data, set }: WeightsWanted, terminal: Terminal): Stage {
  const at = net.lastIndexOf("#");
  const loaded = loadFile(at < 0 ? net : net.slice(0, at));
  const run = at < 0 ? undefined : net.slice(at + 1);
  const dataset = data === undefined ? undefined : openDataset(data).dataset;
  const options = { set, ...(dataset && wantedOf(dataset)), batch: 1 };
  const { graph, settings } = inferenceRun(loaded, run, options);
  if (settings.samples.guide || settings.samples.crop !== undefined) {
    throw new Fault(diagnostic("N1066", `\`${settings.network}\` is told where to look, which weights alone do not say`, { hint: "train it, and predict with `--run`" }));
  }
  const channels = dataset?.channels ?? Array.from({ length: settings.channels }, (_, n) => `channel ${n}`);
  const use = dataset === undefined ? undefined : labelUse(settings, set, dataset);
  // A single value is told from the background.
  const classes = use?.classes ?? Array.from({ length: Math.max(2, settings.classes) }, (_, n) => settings.data?.classes[n] ?? `class ${n}`);
  const file = readWeights(weights);
  const needed = tensorsOf(graph);
  // Heads that only training has may be in the file too.
  const isTrain = loaded.program.main.file.items.some((i) => i.kind === "run" && i.mode === "train" && (run === undefined || i.name?.text === run));
  const all = isTrain ? tensorsOf(trainingRun(loaded, run, { ...options, set: { ...set, start: "none" } }).training.graph) : needed;
  const [own, official] = [ownNames(all), officialEntries(all, loaded.texts.keys()) ?? []];
  const names = new Set(needed.map(({ name }) => name));
  const optional = new Set(all.map(({ name }) => name).filter((name) => !names.has(name)));
  const { tensors, notes } = take(file, found(file, official) > found(file, own) ? official : own, { optional, ignoreExtra: false });
  for (const note of notes) terminal.say(note);
  const fingerprint = dataset === undefined ? eachByItself(channels) : measured(dataset, settings, terminal);
  if (dataset === undefined) terminal.say("no `--data`: every image is standardised by its own mean and deviation");
  const record: RunRecord = {
    format: 1, netc: version(), file: loaded.path, run: run ?? "", network: settings.network, asked: { set }, channels, classes, regions: use?.regions,
    patch: spatial(settings), window: spatial({ patch: settings.window }), overlap: settings.overlap, blend: settings.blend, mirror: settings.mirror, batch: 1, seed: 0, total: 0, steps: 0, parameters: 0,
    data: { folder: data ?? "", training: [], heldOut: [] }, fingerprint, samples: use?.samples,
    // The texts are read where they lie.
    sources: [...loaded.texts.keys()].map((path) => ({ path, copy: path.startsWith("std:") ? join(stdFolder(), path.slice(4)) : path })),
  };
  return { folder: "", record, which: "best", path: file.path, checkpoint: { tensors, meta: {} }, coarse: undefined };
}

function measured(dataset: Dataset, settings: Pick<RunSettings, "spacing" | "samples">, terminal: Terminal): Fingerprint {
  const progress = terminal.progress();
  try {
    const { cases } = loadCases(dataset, dataset.training, (done, name) => progress.update(`reading ${name} (${done + 1} of ${dataset.training.length})`));
    return fingerprintOf(cases, dataset.channels, { spacing: spacingFor(settings.spacing, settings.samples) });
  } finally {
    progress.done();
  }
}

/** No number is known of the images that the weights learned from, so that none of their spacings is odd either. */
function eachByItself(channels: readonly string[]): Fingerprint {
  const unknown = { scheme: "zscore" as const, mean: NaN, deviation: NaN, low: NaN, high: NaN };
  return { channels: channels.map((name) => ({ name, ...unknown })), spacing: [NaN, NaN, NaN], shape: [NaN, NaN, NaN] };
}
