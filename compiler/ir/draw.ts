// Reproducible random numbers: a pure function of seed, step, site and index, the same here and in the kernels.

/** One round of the PCG-RXS-M-XS hash on 32 bits (Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 2020). */
export function pcg(x: number): number {
  const state = (Math.imul(x, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

/** Uniform in [0, 1), in steps of 2^-24. */
export function drawValue(seed: number, step: number, site: number, at: number): number {
  return (pcg((at ^ pcg((site ^ pcg((step ^ pcg(seed >>> 0)) >>> 0)) >>> 0)) >>> 0) >>> 8) / 16777216;
}

/** The same in WGSL, as the function `draw(seed, step, site, at)`. */
export const drawWgsl = `fn pcg(x: u32) -> u32 {
  let s = x * 747796405u + 2891336453u;
  let w = ((s >> ((s >> 28u) + 4u)) ^ s) * 277803737u;
  return (w >> 22u) ^ w;
}
fn draw(seed: u32, step: u32, site: u32, at: i32) -> f32 {
  return f32(pcg(u32(at) ^ pcg(site ^ pcg(step ^ pcg(seed)))) >> 8u) / 16777216.0;
}
`;
