// What nnU-Net would plan for a data set: spacing, patch and batch for an amount of memory, in its own files' words.

import type { Dataset } from "./dataset.ts";
import { schemeOf, type Scheme } from "./fingerprint.ts";
import { pooled, type Measure } from "./measure.ts";
import { newShape } from "./resample.ts";
import { median, percentile, targetSpacing } from "./target.ts";
import { CONVOLUTIONS, featuresOf, featureValues, topologyOf, type Topology } from "./topology.ts";
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

/** One configuration of `plans.json`, the parts of it that say something here. */
export interface Configuration {
  readonly data_identifier: string;
  readonly preprocessor_name: string;
  readonly batch_size: number;
  readonly patch_size: Triple;
  readonly median_image_size_in_voxels: Triple;
  readonly spacing: Triple;
  readonly normalization_schemes: readonly string[];
  readonly use_mask_for_norm: readonly boolean[];
  readonly resampling_fn_data: string;
  readonly resampling_fn_data_kwargs: Readonly<Record<string, unknown>>;
  readonly resampling_fn_seg: string;
  readonly resampling_fn_seg_kwargs: Readonly<Record<string, unknown>>;
  readonly resampling_fn_probabilities: string;
  readonly resampling_fn_probabilities_kwargs: Readonly<Record<string, unknown>>;
  readonly architecture: { readonly network_class_name: string; readonly arch_kwargs: Readonly<Record<string, unknown>> };
  readonly batch_dice: boolean;
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
  readonly configurations: { readonly "3d_fullres": Configuration };
  readonly experiment_planner_used: string;
  readonly label_manager: string;
  readonly foreground_intensity_properties_per_channel: DatasetFingerprint["foreground_intensity_properties_per_channel"];
}

/** nnU-Net's measure of memory for its U-Net at 8 GB and a batch of 2. */
const REFERENCE = 560_000_000;
const REFERENCE_BYTES = 8e9;
const REFERENCE_BATCH = 2;
/** A batch covers no more than this share of all voxels of a data set. */
const MOST_OF_DATA = 0.05;

/** Plans a patch and a batch that nnU-Net's plain U-Net can train with `bytes` of a graphics card's memory. */
export function plansOf(dataset: Pick<Dataset, "name" | "channels" | "classes" | "regions">, measures: readonly Measure[], bytes: number): Plans {
  const spacings = measures.map((one) => one.spacing);
  const shapes = measures.map((one) => one.shape);
  const fingerprint = datasetFingerprint(measures);
  const target = targetSpacing(spacings, shapes);
  const resampled = measures.map((one) => newShape(one.shape, one.spacing, target));
  const middle = (of: readonly Triple[]): Triple => [median(of.map((one) => one[0])), median(of.map((one) => one[1])), median(of.map((one) => one[2]))];
  const shape = middle(resampled);
  const { topology, batch } = fit(target, shape, shape[0] * shape[1] * shape[2] * measures.length, dataset.regions?.length ?? dataset.classes.length, bytes);
  const masked = fingerprint.median_relative_size_after_cropping < 0.75;
  const schemes = dataset.channels.map(schemeOf);
  const ways = { force_separate_z: null, order_z: 0 };
  const { strides, kernels, patch } = topology;
  return {
    dataset_name: dataset.name, plans_name: "nnUNetPlans",
    original_median_spacing_after_transp: middle(spacings), original_median_shape_after_transp: middle(shapes),
    image_reader_writer: "SimpleITKIO", transpose_forward: [0, 1, 2], transpose_backward: [0, 1, 2],
    configurations: {
      "3d_fullres": {
        data_identifier: "nnUNetPlans_3d_fullres", preprocessor_name: "DefaultPreprocessor", batch_size: batch, patch_size: patch,
        median_image_size_in_voxels: shape, spacing: target,
        normalization_schemes: schemes.map((scheme) => classOf[scheme]), use_mask_for_norm: schemes.map((scheme) => masked && scheme === "zscore"),
        resampling_fn_data: "resample_data_or_seg_to_shape", resampling_fn_data_kwargs: { is_seg: false, order: 3, ...ways },
        resampling_fn_seg: "resample_data_or_seg_to_shape", resampling_fn_seg_kwargs: { is_seg: true, order: 1, ...ways },
        resampling_fn_probabilities: "resample_data_or_seg_to_shape", resampling_fn_probabilities_kwargs: { is_seg: false, order: 1, ...ways },
        architecture: {
          network_class_name: "dynamic_network_architectures.architectures.unet.PlainConvUNet",
          arch_kwargs: {
            n_stages: strides.length, features_per_stage: featuresOf(strides.length), kernel_sizes: kernels, strides,
            n_conv_per_stage: strides.map(() => CONVOLUTIONS), n_conv_per_stage_decoder: strides.slice(1).map(() => CONVOLUTIONS),
          },
        },
        batch_dice: false,
      },
    },
    experiment_planner_used: "ExperimentPlanner", label_manager: "LabelManager",
    foreground_intensity_properties_per_channel: fingerprint.foreground_intensity_properties_per_channel,
  };
}

const classOf: Readonly<Record<Scheme, string>> = { ct: "CTNormalization", zscore: "ZScoreNormalization", none: "NoNormalization", unit: "RescaleTo01Normalization" };

function fit(spacing: Triple, shape: Triple, dataVoxels: number, classes: number, bytes: number): { readonly topology: Topology; readonly batch: number } {
  const reference = (REFERENCE * bytes) / REFERENCE_BYTES;
  // A cube in millimetres with the voxels of 256 x 256 x 256, no larger than the median image.
  const scale = 256 * Math.cbrt(spacing[0] * spacing[1] * spacing[2]);
  const begin = (axis: 0 | 1 | 2): number => Math.min(Math.round(scale / spacing[axis]), shape[axis]);
  let topology = topologyOf(spacing, [begin(0), begin(1), begin(2)]);
  while (featureValues(topology, classes) > reference) {
    const { patch, divisor } = topology;
    // Of the axes that can still shrink, the one that covers most of the median image.
    const shares = ([0, 1, 2] as const).filter((axis) => patch[axis] > divisor[axis]).sort((a, b) => patch[a] / shape[a] - patch[b] / shape[b]);
    const axis = shares.at(-1);
    if (axis === undefined) break;
    const lessBy = (n: number): Triple => [patch[0] - (axis === 0 ? n : 0), patch[1] - (axis === 1 ? n : 0), patch[2] - (axis === 2 ? n : 0)];
    // A smaller patch may be halved less often, and then needs to shrink by less.
    topology = topologyOf(spacing, lessBy(topologyOf(spacing, lessBy(divisor[axis])).divisor[axis]));
  }
  const wanted = Math.round((reference / featureValues(topology, classes)) * REFERENCE_BATCH);
  const [d, h, w] = topology.patch;
  return { topology, batch: Math.max(Math.min(wanted, Math.round((dataVoxels * MOST_OF_DATA) / (d * h * w))), REFERENCE_BATCH) };
}
