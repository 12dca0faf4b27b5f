// Losses as published, written as plain loops over voxels in float64.

/** Logits [N, C, *S] and labels [N, *S], 255 where there is no annotation. */
export interface Batch {
  readonly samples: number;
  readonly channels: number;
  readonly size: number;
  readonly logits: Float64Array;
  readonly labels: Float64Array;
}

const ignored = 255;
const smooth = 1e-5;

const range = (n: number): readonly number[] => [...Array(n).keys()];
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

const logit = (b: Batch, n: number, k: number, v: number): number => b.logits[(n * b.channels + k) * b.size + v] ?? NaN;
const label = (b: Batch, n: number, v: number): number => b.labels[n * b.size + v] ?? NaN;

/** log of the sum of exponentials, minus a logit. */
function surprise(b: Batch, n: number, v: number, k: number): number {
  const all = range(b.channels).map((c) => logit(b, n, c, v));
  const top = Math.max(...all);
  return Math.log(sum(all.map((one) => Math.exp(one - top)))) + top - logit(b, n, k, v);
}

const share = (b: Batch, n: number, v: number, k: number): number => Math.exp(-surprise(b, n, v, k));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const voxelsOf = (b: Batch): readonly (readonly [number, number])[] => range(b.samples).flatMap((n) => range(b.size).map((v) => [n, v] as const));

/** Of each sample, or of all together, the sums that overlaps are made of. */
function overlaps(b: Batch, p: (n: number, v: number, k: number) => number, t: (n: number, v: number, k: number) => number, pooled: boolean): readonly (readonly { readonly hit: number; readonly p: number; readonly t: number; readonly pp: number }[])[] {
  const groups = pooled ? [range(b.samples)] : range(b.samples).map((n) => [n]);
  return groups.map((samples) => range(b.channels).map((k) => {
    const at = samples.flatMap((n) => range(b.size).map((v) => [p(n, v, k), t(n, v, k)] as const));
    return { hit: sum(at.map(([x, y]) => x * y)), p: sum(at.map(([x]) => x)), t: sum(at.map(([, y]) => y)), pp: sum(at.map(([x]) => x * x)) };
  }));
}

const one = (b: Batch) => (n: number, v: number, k: number): number => (label(b, n, v) === k ? 1 : 0);
const inside = (b: Batch, regions: readonly (readonly number[])[]) => (n: number, v: number, k: number): number => (regions[k]?.includes(label(b, n, v)) === true ? 1 : 0);

/** torch.nn.CrossEntropyLoss, with `ignore_index`. */
function crossEntropy(b: Batch, ignore: boolean): number {
  const kept = voxelsOf(b).filter(([n, v]) => !ignore || label(b, n, v) !== ignored);
  return kept.length === 0 ? 0 : mean(kept.map(([n, v]) => surprise(b, n, v, label(b, n, v))));
}

/** The same with `weight`. */
function weighted(b: Batch, weights: readonly number[]): number {
  const all = voxelsOf(b).map(([n, v]) => [weights[label(b, n, v)] ?? NaN, surprise(b, n, v, label(b, n, v))] as const);
  return sum(all.map(([w, e]) => w * e)) / sum(all.map(([w]) => w));
}

/** nnU-Net's TopKLoss: torch.topk of all voxels, those that are ignored as zeros. */
function worst(b: Batch, percent: number, ignore: boolean): number {
  const all = voxelsOf(b).map(([n, v]) => (ignore && label(b, n, v) === ignored ? 0 : surprise(b, n, v, label(b, n, v))));
  // Of fewer voxels than make one, torch's mean is not a number; the library takes one.
  return mean(all.sort((p, q) => q - p).slice(0, Math.max(1, Math.floor((all.length * percent) / 100))));
}

/** nnU-Net's soft Dice of the foreground. */
function soft(b: Batch, pooled: boolean, ignore: boolean): number {
  const counts = (n: number, v: number): number => (ignore && label(b, n, v) === ignored ? 0 : 1);
  const all = overlaps(b, (n, v, k) => counts(n, v) * share(b, n, v, k), one(b), pooled);
  return -mean(all.flatMap((group) => group.slice(1).map(({ hit, p, t }) => (2 * hit + smooth) / (p + t + smooth + 1e-8))));
}

/** MONAI's DiceLoss(softmax = True). */
function monai(b: Batch, squared: boolean, first: number): number {
  const all = overlaps(b, (n, v, k) => share(b, n, v, k), one(b), false);
  return mean(all.flatMap((group) => group.slice(first).map(({ hit, p, pp, t }) => 1 - (2 * hit + smooth) / ((squared ? pp : p) + t + smooth))));
}

/** MONAI's GeneralizedDiceLoss(softmax = True). */
function generalised(b: Batch): number {
  return mean(overlaps(b, (n, v, k) => share(b, n, v, k), one(b), false).map((group) => {
    const heaviest = Math.max(...group.map(({ t }) => (t === 0 ? 0 : 1 / t ** 2)));
    const weights = group.map(({ t }) => (t === 0 ? heaviest : 1 / t ** 2));
    return 1 - (2 * sum(group.map(({ hit }, k) => hit * (weights[k] ?? NaN))) + smooth) / (sum(group.map(({ p, t }, k) => (p + t) * (weights[k] ?? NaN))) + smooth);
  }));
}

/** MONAI's TverskyLoss(softmax = True), each to a power. */
function tversky(b: Batch, alpha: number, beta: number, power: number, first: number): number {
  const all = overlaps(b, (n, v, k) => share(b, n, v, k), one(b), false);
  return mean(all.flatMap((group) => group.slice(first).map(({ hit, p, t }) => Math.max(0, 1 - (hit + smooth) / (hit + alpha * (p - hit) + beta * (t - hit) + smooth)) ** power)));
}

/** MONAI's FocalLoss(use_softmax = True); ignored voxels are left out. */
function focal(b: Batch, gamma: number, alpha: number | undefined, ignore: boolean): number {
  const kept = voxelsOf(b).filter(([n, v]) => !ignore || label(b, n, v) !== ignored);
  const all = kept.map(([n, v]) => {
    const truth = label(b, n, v);
    return (alpha === undefined ? 1 : truth === 0 ? 1 - alpha : alpha) * (-Math.expm1(-surprise(b, n, v, truth))) ** gamma * surprise(b, n, v, truth);
  });
  return all.length === 0 ? 0 : mean(all) / b.channels;
}

/** MONAI's FocalLoss with sigmoids. */
function focalBce(b: Batch, regions: readonly (readonly number[])[], gamma: number, alpha: number | undefined): number {
  return mean(voxelsOf(b).flatMap(([n, v]) => regions.map((_, k) => {
    const yes = inside(b, regions)(n, v, k) === 1;
    const x = logit(b, n, k, v);
    const [right, cost] = yes ? [sigmoid(x), softplus(-x)] : [sigmoid(-x), softplus(x)];
    return (alpha === undefined ? 1 : yes ? alpha : 1 - alpha) * (1 - right) ** gamma * cost;
  })));
}

/** Div-attention's: weighted binary cross entropy and the Dice that counts a hit once more below; channel `k` asks for class `k + 1`. */
function penalised(b: Batch, gamma: number): number {
  const yes = (n: number, v: number, k: number): number => (label(b, n, v) === k + 1 ? 1 : 0);
  const entropy = mean(voxelsOf(b).flatMap(([n, v]) => range(b.channels).map((k) => {
    const x = logit(b, n, k, v);
    return yes(n, v, k) === 1 ? gamma * softplus(-x) : softplus(x);
  })));
  const all = overlaps(b, (n, v, k) => sigmoid(logit(b, n, k, v)), yes, false).flat();
  return entropy + mean(all.map(({ hit, p, t }) => 1 - (2 * hit + smooth) / (p + t + hit + smooth)));
}

/** The Dice of nnU-Net's DC_and_BCE_loss. */
function regionDice(b: Batch, regions: readonly (readonly number[])[], pooled: boolean, ignore: boolean): number {
  const counts = (n: number, v: number): number => (ignore && label(b, n, v) === ignored ? 0 : 1);
  const all = overlaps(b, (n, v, k) => counts(n, v) * sigmoid(logit(b, n, k, v)), inside(b, regions), pooled);
  return -mean(all.flat().map(({ hit, p, t }) => (2 * hit + smooth) / Math.max(p + t + smooth, 1e-8)));
}

/** Its binary cross entropy; what is ignored is left out of the sum and of the voxels, not of the regions, that divide it. */
function regionBce(b: Batch, regions: readonly (readonly number[])[], ignore: boolean): number {
  const kept = voxelsOf(b).filter(([n, v]) => !ignore || label(b, n, v) !== ignored);
  const total = sum(kept.flatMap(([n, v]) => regions.map((_, k) => softplus(logit(b, n, k, v)) - inside(b, regions)(n, v, k) * logit(b, n, k, v))));
  return ignore ? total / Math.max(kept.length, 1e-8) : total / (kept.length * regions.length);
}

/** All of them. */
export const voxelwise = { crossEntropy, weighted, worst, soft, monai, generalised, tversky, focal, focalBce, regionDice, regionBce, penalised } as const;
