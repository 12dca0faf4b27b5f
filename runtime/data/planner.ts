// What nnU-Net would plan for a data set for an amount of memory, in its own files' words.

import { configurationsOf, type Configurations } from "./configuration.ts";
import type { Dataset } from "./dataset.ts";
import { schemeOf, type Scheme } from "./fingerprint.ts";
import { pooled, type Measure } from "./measure.ts";
import { newShape } from "./resample.ts";
import { median, percentile, targetSpacing } from "./target.ts";
import type { Triple } from "./volume.ts";

/** `dataset_fingerprint.json`; axes are D, H, W. */
export interface DatasetFingerprint {
  readonly foreground_intensity_properties_per_channel: Readonly<Record<string, Readonly<Record<"max" | "mean" | "median" | "min" | "percentile_00_5" | "percentile_99_5" | "std", number>>>>;
  readonly median_relative_size_after_cropping: number;
  readonly shapes_after_crop: readonly Triple[];
  readonly spacings: readonly Triple[];
}

/** The fingerprint of measured cases, those with foreground counting for the intensities. */
export function datasetFingerprint(measures: readonly Measure[]): DatasetFingerprint {
  const labelled = measures.filter((one) => one.labelled);
  const counted = labelled.length > 0 ? labelled : measures;
  const channels = measures[0]?.channels.length ?? 0;
  const properties = Array.from({ length: channels }, (_, channel) => {
    const parts = counted.flatMap((one) => one.channels.slice(channel, channel + 1));
    const all = pooled(parts.map((one) => one.sorted));
    const average = (value: (one: (typeof parts)[number]) => number): number => parts.reduce((sum, one) => sum + value(one), 0) / Math.max(1, parts.length);
    const mean = average((one) => one.mean);
    return [String(channel), {
      max: Math.max(...parts.map((one) => one.max)), mean, median: percentile(all, 50), min: Math.min(...parts.map((one) => one.min)),
      percentile_00_5: percentile(all, 0.5), percentile_99_5: percentile(all, 99.5), std: Math.sqrt(average((one) => one.deviation ** 2 + (one.mean - mean) ** 2)),
    }] as const;
  });
  return {
    foreground_intensity_properties_per_channel: Object.fromEntries(properties),
    median_relative_size_after_cropping: median(measures.map(({ kept }) => kept)),
    shapes_after_crop: measures.map(({ shape }) => shape),
    spacings: measures.map(({ spacing }) => spacing),
  };
}

/** `plans.json`. */
export interface Plans {
  readonly dataset_name: string;
  readonly plans_name: string;
  readonly original_median_spacing_after_transp: Triple;
  readonly original_median_shape_after_transp: Triple;
  readonly image_reader_writer: string;
  readonly transpose_forward: Triple;
  readonly transpose_backward: Triple;
  readonly configurations: Configurations;
  readonly experiment_planner_used: string;
  readonly label_manager: string;
  readonly foreground_intensity_properties_per_channel: DatasetFingerprint["foreground_intensity_properties_per_channel"];
}

/** Plans patches and batches that nnU-Net's plain U-Net can train with `bytes` of a graphics card's memory. */
export function plansOf(dataset: Pick<Dataset, "name" | "channels" | "classes" | "regions">, measures: readonly Measure[], bytes: number): Plans {
  const spacings = measures.map((one) => one.spacing);
  const shapes = measures.map((one) => one.shape);
  const fingerprint = datasetFingerprint(measures);
  const target = targetSpacing(spacings, shapes);
  const middle = (of: readonly Triple[]): Triple => [median(of.map((one) => one[0])), median(of.map((one) => one[1])), median(of.map((one) => one[2]))];
  const masked = fingerprint.median_relative_size_after_cropping < 0.75;
  const schemes = dataset.channels.map(schemeOf);
  return {
    dataset_name: dataset.name, plans_name: "nnUNetPlans",
    original_median_spacing_after_transp: middle(spacings), original_median_shape_after_transp: middle(shapes),
    image_reader_writer: "SimpleITKIO", transpose_forward: [0, 1, 2], transpose_backward: [0, 1, 2],
    configurations: configurationsOf(target, middle(measures.map((one) => newShape(one.shape, one.spacing, target))), {
      cases: measures.length, classes: dataset.regions?.length ?? dataset.classes.length, bytes,
      schemes: schemes.map((scheme) => classOf[scheme]), masks: schemes.map((scheme) => masked && scheme === "zscore"),
    }),
    experiment_planner_used: "ExperimentPlanner", label_manager: "LabelManager",
    foreground_intensity_properties_per_channel: fingerprint.foreground_intensity_properties_per_channel,
  };
}

const classOf: Readonly<Record<Scheme, string>> = { ct: "CTNormalization", zscore: "ZScoreNormalization", none: "NoNormalization", unit: "RescaleTo01Normalization" };
