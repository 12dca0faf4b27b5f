// What the values of a network say about classes: one value per class competes, one less means independent targets.

/**
 * Whether an output has values for the foreground classes only. Each is then a yes or no of its own, the probability is its
 * sigmoid, and a voxel that no class claims with more than a half is background.
 */
export function independent(channels: number, classes: number): boolean {
  return channels === classes - 1;
}

/**
 * What every class has for itself at the voxel `at` of logits [K, `size`], into `shares`: the softmax; of independent
 * targets the sigmoids, and a half for the background. The class with the largest share wins, the first of equals.
 */
export function sharesAt(logits: Float32Array, at: number, size: number, channels: number, classes: number, shares: Float64Array): void {
  if (independent(channels, classes)) {
    shares[0] = 0.5;
    for (let k = 0; k < channels; k++) shares[k + 1] = 1 / (1 + Math.exp(-(logits[k * size + at] ?? 0)));
    return;
  }
  let top = logits[at] ?? 0;
  for (let k = 1; k < channels; k++) {
    const value = logits[k * size + at] ?? 0;
    if (value > top) top = value;
  }
  let sum = 0;
  for (let k = 0; k < channels; k++) {
    const power = Math.exp((logits[k * size + at] ?? 0) - top);
    shares[k] = power;
    sum += power;
  }
  for (let k = 0; k < channels; k++) shares[k] = (shares[k] ?? 0) / sum;
}

/** As `sharesAt`, the logits themselves; that of the background of independent targets is 0. */
export function logitsAt(logits: Float32Array, at: number, size: number, channels: number, classes: number, shares: Float64Array): void {
  const shift = independent(channels, classes) ? 1 : 0;
  shares[0] = 0;
  for (let k = 0; k < channels; k++) shares[k + shift] = logits[k * size + at] ?? 0;
}

/** The winning class, voxel by voxel: logits [N, K, …] to [N, …]. */
export function decide(logits: Float32Array, samples: number, channels: number, classes: number): Uint8Array {
  const size = logits.length / (samples * channels);
  const out = new Uint8Array(samples * size);
  // Against a logit of 0 for the background a target wins where its sigmoid is more than a half.
  const alone = independent(channels, classes);
  const [first, shift] = alone ? [0, 1] : [1, 0];
  for (let sample = 0; sample < samples; sample++) {
    const base = sample * channels * size;
    for (let n = 0; n < size; n++) {
      let best = 0;
      let most = alone ? 0 : (logits[base + n] ?? 0);
      for (let k = first; k < channels; k++) {
        const value = logits[base + k * size + n] ?? 0;
        if (value > most) [best, most] = [k + shift, value];
      }
      out[sample * size + n] = best;
    }
  }
  return out;
}
