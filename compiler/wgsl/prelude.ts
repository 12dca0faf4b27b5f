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
 * erf in f32, of one value or of four. Below 1 a polynomial in x² fitted to 1.4e-9; above, the Chebyshev form of erfc in
 * Press et al., "Numerical Recipes" section 6.2, whose relative error is under 1.2e-7.
 */
export const erfWgsl = (name: string, type: "f32" | "vec4<f32>"): string => `fn ${name}(x: ${type}) -> ${type} {
  let u = x * x;
  let near = x * (1.128379166 + u * (-0.376126269 + u * (0.1128359746 + u * (-0.0268543288 + u * (0.005189311942 + u * (-0.0008018854983 + u * 0.0000788249708))))));
  let a = min(abs(x), ${type}(10.0));
  let t = 1.0 / (1.0 + 0.5 * a);
  let tail = t * exp(-a * a - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))));
  return select(near, sign(x) * (1.0 - tail), a >= ${type}(1.0));
}`;
