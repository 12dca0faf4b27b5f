// Functions that WGSL lacks, written once and put in front of the kernels that use them.

/** A whole number of 64 bits, low word first, as a real. The low word counts from -2³¹, so that small negative numbers keep their digits. */
export const narrowWgsl = `fn narrow(v: vec2<u32>) -> f32 {
  let low = bitcast<i32>(v.x);
  let high = bitcast<i32>(v.y) + select(0, 1, low < 0);
  return f32(high) * 4294967296.0 + f32(low);
}`;

/** Adds a whole number below 2⁶³ to element `i` of `buffer`, a pair of words; the carry goes to whoever made the low word overflow. */
export const gatherWgsl = (buffer: string): string => `fn gather(i: i32, v: f32) {
  let size = abs(v) * 2.3283064365386963e-10f;
  var high = u32(size);
  var low = u32((size - floor(size)) * 4294967296.0);
  if (v < 0.0) {
    low = ~low + 1u;
    high = ~high + select(0u, 1u, low == 0u);
  }
  let before = atomicAdd(&${buffer}[2 * i], low);
  high += select(0u, 1u, before + low < before);
  if (high != 0u) { atomicAdd(&${buffer}[2 * i + 1], high); }
}`;

/** A real, or four, as the nearest halves. A conversion may cut what is too large to the largest half: here it has no bound. */
export const halfWgsl = (name: string, of: "f32" | "vec4<f32>"): string => {
  const to = of.replace("f32", "f16");
  return `fn ${name}(v: ${of}) -> ${to} { return ${to}(select(v, v * 3e38, abs(v) >= ${of}(65520.0))); }`;
};

/**
 * erf in f32, of one value or of four, off by less than 1.5e-7 and never more than 1. Below 1 a polynomial in x² fitted to 1.4e-9; above, 1 less one
 * in |x| fitted to 3e-8 (both minimax, by weighted least squares), since `exp` and a division take longer than its terms. From 3.9 on erf is 1.
 */
export const erfWgsl = (name: string, type: "f32" | "vec4<f32>"): string => `fn ${name}(x: ${type}) -> ${type} {
  let u = x * x;
  let near = x * ${polynomial("u", [1.128379166, -0.376126269, 0.1128359746, -0.0268543288, 0.005189311942, -0.0008018854983, 0.0000788249708])};
  let t = min(abs(x), ${type}(3.9)) - 2.45;
  let tail = ${polynomial("t", [
    0.000530552224, -0.00278989857, 0.00683676447, -0.0102360455, 0.0102491713, -0.00697641407, 0.00299474008,
    -0.000429783357, -0.000418510059, 0.000306699869, -0.0000488104269, -0.0000265153802, 0.00000912477529,
  ])};
  return select(near, sign(x) * (1.0 - tail), abs(x) >= ${type}(1.0));
}`;

/** `c0 + x * (c1 + x * (…))` */
const polynomial = (x: string, coefficients: readonly number[]): string => coefficients.map(String).reduceRight((rest, c) => `(${c} + ${x} * ${rest})`);
