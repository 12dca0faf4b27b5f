// nnU-Net's configurations for a data set: slices alone, whole volumes, and coarser volumes where a patch would see little of one.

import { CONVOLUTIONS, featuresOf, featureValues, topologyOf, type Topology } from "./topology.ts";
import type { Triple } from "./volume.ts";

/** One configuration of `plans.json`, the parts of it that say something here. Axes are D, H, W; those of `2d` H, W. */
export interface Configuration {
  readonly data_identifier: string;
  readonly preprocessor_name: string;
  readonly batch_size: number;
  readonly patch_size: readonly number[];
  readonly median_image_size_in_voxels: readonly number[];
  readonly spacing: readonly number[];
  readonly normalization_schemes: readonly string[];
  readonly use_mask_for_norm: readonly boolean[];
  readonly resampling_fn_data: string;
  readonly resampling_fn_data_kwargs: Readonly<Record<string, unknown>>;
  readonly resampling_fn_seg: string;
  readonly resampling_fn_seg_kwargs: Readonly<Record<string, unknown>>;
  readonly resampling_fn_probabilities: string;
  readonly resampling_fn_probabilities_kwargs: Readonly<Record<string, unknown>>;
  readonly architecture: { readonly network_class_name: string; readonly arch_kwargs: Readonly<Record<string, unknown>> & { readonly strides: Topology["strides"] } };
  readonly batch_dice: boolean;
  readonly next_stage?: string;
}

/** The configurations under nnU-Net's names. A set of single slices has `2d` alone. */
export interface Configurations {
  readonly "2d": Configuration;
  readonly "3d_lowres"?: Configuration;
  readonly "3d_fullres"?: Configuration;
  readonly "3d_cascade_fullres"?: { readonly inherits_from: string; readonly previous_stage: string };
}

/** What all configurations of a data set share. */
export interface Setting {
  readonly cases: number;
  readonly classes: number;
  /** Of the graphics card. */
  readonly bytes: number;
  readonly schemes: readonly string[];
  readonly masks: readonly boolean[];
}

/** Below this share of a median image in a patch a coarser configuration is looked for, */
const SEES_LITTLE = 0.25;
/** whose spacing grows by this factor at a time, */
const COARSER = 1.03;
/** and which is dropped where it has not at least so many times fewer voxels. */
const WORTH = 2;

const product = (of: readonly number[]): number => of.reduce((a, b) => a * b, 1);

/** All configurations for a spacing and the median shape [D, H, W] that images have at it. */
export function configurationsOf(spacing: Triple, shape: Triple, setting: Setting): Configurations {
  const voxels = product(shape) * setting.cases;
  const flat = { "2d": { ...configured("2d", spacing.slice(1), shape.slice(1), voxels, setting), batch_dice: true } };
  if (shape[0] === 1) return flat;
  const full = configured("3d_fullres", spacing, shape, voxels, setting);
  const low = coarser(full, shape, setting);
  if (low === undefined) return { ...flat, "3d_fullres": full };
  return {
    ...flat, "3d_lowres": { ...low, next_stage: "3d_cascade_fullres" }, "3d_fullres": { ...full, batch_dice: true },
    "3d_cascade_fullres": { inherits_from: "3d_fullres", previous_stage: "3d_lowres" },
  };
}

/** The least coarse configuration whose patch sees enough; undefined where the fine one does, or this one is hardly coarser. */
function coarser(full: Configuration, shape: Triple, setting: Setting): Configuration | undefined {
  let low = full;
  let spacing = full.spacing;
  let voxels = product(shape);
  while (product(low.patch_size) / voxels < SEES_LITTLE) {
    const most = Math.max(...spacing);
    // Axes that are much finer than the coarsest grow alone until they are not.
    const fine = spacing.some((step) => most / step > 2);
    spacing = spacing.map((step) => (fine && most / step <= 2 ? step : step * COARSER));
    const exact = shape.map((size, axis) => ((full.spacing[axis] ?? 1) / (spacing[axis] ?? 1)) * size);
    voxels = product(exact);
    low = configured("3d_lowres", spacing, exact.map(Math.round), voxels * setting.cases, setting);
  }
  return low === full || product(shape) / voxels < WORTH ? undefined : low;
}

function configured(name: string, spacing: readonly number[], shape: readonly number[], dataVoxels: number, { classes, bytes, schemes, masks }: Setting): Configuration {
  const { topology, batch } = fit(spacing, shape, dataVoxels, classes, bytes);
  const { strides, kernels, patch } = topology;
  const ways = { force_separate_z: null, order_z: 0 };
  return {
    data_identifier: `nnUNetPlans_${name}`, preprocessor_name: "DefaultPreprocessor", batch_size: batch, patch_size: patch,
    median_image_size_in_voxels: shape, spacing, normalization_schemes: schemes, use_mask_for_norm: masks,
    resampling_fn_data: "resample_data_or_seg_to_shape", resampling_fn_data_kwargs: { is_seg: false, order: 3, ...ways },
    resampling_fn_seg: "resample_data_or_seg_to_shape", resampling_fn_seg_kwargs: { is_seg: true, order: 1, ...ways },
    resampling_fn_probabilities: "resample_data_or_seg_to_shape", resampling_fn_probabilities_kwargs: { is_seg: false, order: 1, ...ways },
    architecture: {
      network_class_name: "dynamic_network_architectures.architectures.unet.PlainConvUNet",
      arch_kwargs: {
        n_stages: strides.length, features_per_stage: featuresOf(topology), kernel_sizes: kernels, strides,
        n_conv_per_stage: strides.map(() => CONVOLUTIONS), n_conv_per_stage_decoder: strides.slice(1).map(() => CONVOLUTIONS),
      },
    },
    batch_dice: false,
  };
}

/** nnU-Net's measure of memory for its U-Net at 8 GB, the batch it stands for, and the length of a first patch, by the number of axes. */
const references: Readonly<Record<number, { readonly values: number; readonly batch: number; readonly length: number }>> = {
  2: { values: 85_000_000, batch: 12, length: 2048 }, 3: { values: 560_000_000, batch: 2, length: 256 },
};
const REFERENCE_BYTES = 8e9;
const LEAST_BATCH = 2;
/** A batch covers no more than this share of all voxels of a data set. */
const MOST_OF_DATA = 0.05;

function fit(spacing: readonly number[], shape: readonly number[], dataVoxels: number, classes: number, bytes: number): { readonly topology: Topology; readonly batch: number } {
  const { values, batch, length } = references[spacing.length] ?? { values: 0, batch: 0, length: 0 };
  const reference = (values * bytes) / REFERENCE_BYTES;
  // A cube (or square) in millimetres with `length` voxels along each axis on the whole, no larger than the median image.
  const scale = length * product(spacing) ** (1 / spacing.length);
  let topology = topologyOf(spacing, spacing.map((step, axis) => Math.min(Math.round(scale / step), shape[axis] ?? 1)));
  const share = (axis: number): number => (topology.patch[axis] ?? 1) / (shape[axis] ?? 1);
  while ((featureValues(topology, classes) / batch) * LEAST_BATCH > reference) {
    const { patch, divisor } = topology;
    // Of the axes that can still shrink, the one that covers most of the median image.
    const axis = [...spacing.keys()].filter((one) => (patch[one] ?? 0) > (divisor[one] ?? 0)).sort((a, b) => share(a) - share(b)).at(-1);
    if (axis === undefined) break;
    const lessBy = (n: number): readonly number[] => patch.map((size, one) => (one === axis ? size - n : size));
    // A smaller patch may be halved less often, and then needs to shrink by less.
    topology = topologyOf(spacing, lessBy(topologyOf(spacing, lessBy(divisor[axis] ?? 1)).divisor[axis] ?? 1));
  }
  const wanted = Math.round((reference / featureValues(topology, classes)) * batch);
  return { topology, batch: Math.max(Math.min(wanted, Math.round((dataVoxels * MOST_OF_DATA) / product(topology.patch))), LEAST_BATCH) };
}
