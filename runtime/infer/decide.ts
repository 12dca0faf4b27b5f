// What the values of a network say about classes: one value per class competes, one less means independent targets, which may overlap.

/**
 * Whether an output has values for the foreground classes only. Each is then a yes or no of its own, the probability is its
 * sigmoid, and a voxel that no class claims with more than a half is background.
 */
export function independent(channels: number, classes: number): boolean {
  return channels === classes - 1;
}

/**
 * Lays the logits of `count` voxels side by side by class, into `votes` [classes, count]. They lie from `from` on in
 * `logits` [channels, size]. The background of independent targets has a logit of 0, which a sigmoid of more than a half beats.
 */
export function votesOf(logits: Float32Array, size: number, channels: number, classes: number, from: number, count: number, votes: Float64Array): void {
  const shift = independent(channels, classes) ? 1 : 0;
  votes.fill(0, 0, shift * count);
  for (let k = 0; k < channels; k++) {
    votes.set(logits.subarray(k * size + from, k * size + from + count), (k + shift) * count);
  }
}

/** Logits [classes, count] to probabilities, in place: their softmax, or of independent targets the sigmoids, a half for the background. */
export function toShares(votes: Float64Array, count: number, classes: number, alone: boolean): void {
  if (alone) {
    for (let at = 0; at < classes * count; at++) votes[at] = 1 / (1 + Math.exp(-(votes[at] ?? 0)));
    return;
  }
  const top = votes.slice(0, count);
  for (let at = count, n = 0; at < classes * count; at++, n = n + 1 === count ? 0 : n + 1) if ((votes[at] ?? 0) > (top[n] ?? 0)) top[n] = votes[at] ?? 0;
  const sum = new Float64Array(count);
  for (let at = 0, n = 0; at < classes * count; at++, n = n + 1 === count ? 0 : n + 1) {
    const power = Math.exp((votes[at] ?? 0) - (top[n] ?? 0));
    votes[at] = power;
    sum[n] = (sum[n] ?? 0) + power;
  }
  for (let at = 0, n = 0; at < classes * count; at++, n = n + 1 === count ? 0 : n + 1) votes[at] = (votes[at] ?? 0) / (sum[n] ?? 1);
}

/** What each target writes into a label map where it holds, the later over the earlier, so that they may overlap. */
export type Written = readonly number[];

/**
 * The class with the largest of the votes [classes, count], voxel by voxel, into `labels` at `to`; the first of equals. Where targets
 * may overlap, each that has more votes than the background holds, and what is `written` for the last of them counts.
 */
export function winners(votes: Float64Array, count: number, classes: number, labels: Uint8Array, to = 0, written?: Written): void {
  if (written !== undefined) {
    labels.fill(0, to, to + count);
    written.forEach((value, k) => {
      for (let n = 0, at = (k + 1) * count; n < count; n++, at++) if ((votes[at] ?? 0) > (votes[n] ?? 0)) labels[to + n] = value;
    });
    return;
  }
  for (let n = 0; n < count; n++) {
    let best = 0;
    let most = votes[n] ?? 0;
    for (let k = 1, at = n + count; k < classes; k++, at += count) {
      const vote = votes[at] ?? 0;
      if (vote > most) [best, most] = [k, vote];
    }
    labels[to + n] = best;
  }
}

/** Voxels that are decided at a time. */
const STRETCH = 4096;

/** The winning class, or what is `written` for overlapping targets, voxel by voxel: logits [N, K, …] to [N, …]. */
export function decide(logits: Float32Array, samples: number, channels: number, classes: number, written?: Written): Uint8Array {
  const size = logits.length / (samples * channels);
  const out = new Uint8Array(samples * size);
  const votes = new Float64Array(classes * STRETCH);
  for (let sample = 0; sample < samples; sample++) {
    const own = logits.subarray(sample * channels * size, (sample + 1) * channels * size);
    for (let from = 0; from < size; from += STRETCH) {
      const count = Math.min(STRETCH, size - from);
      votesOf(own, size, channels, classes, from, count, votes);
      winners(votes, count, classes, out, sample * size + from, written);
    }
  }
  return out;
}
