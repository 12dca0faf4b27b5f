// The reference cases of operators, and how each is written in the language.

import { existsSync, readFileSync } from "node:fs";
import { stored, type Stored } from "./stored.ts";

/** Where reference data lies. */
export const folder = process.env["GOLDEN_DIR"] ?? "../shared/golden";
/** Whether there is reference data. */
export const there = existsSync(`${folder}/ops.json`);
if (!there) console.warn(`skipped: no reference data in ${folder}`);

export interface Case {
  readonly op: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, number[]>>;
  readonly outputs: Readonly<Record<string, number[]>>;
}

const aids = `
op patchify(x: [N, C, *S], patch: size) -> y: [N, L, F] where L = product(S / patch), F = product(patch) * C {
  t[n, *g in 0..<S / patch, *p in 0..<patch, c] = x[n, c, *(g * patch + p)]
  y = reshape(t, [N, L, F])
}
op volume(x: [N, L, C], to: int[]) -> y: [N, C, *T] where T = to, L == product(to) {
  grid = reshape(x, [N, *T, C])
  y[n, c, *t] = grid[n, *t, c]
}
op standardize_last(x: [*A, L], eps: float) -> y: [*A, L] {
  mu[*a] = mean[l](x[*a, l])
  var[*a] = mean[l]((x[*a, l] - mu[*a]) ^ 2)
  y[*a, l] = (x[*a, l] - mu[*a]) * rsqrt(var[*a] + eps)
}
op scale_last(x: [*A, L], w: [L]) -> y: [*A, L] { y[*a, l] = x[*a, l] * w[l] }
op attend_tokens(q: [N, L, E], k: [N, L, E], v: [N, L, E], heads: int) -> y: [N, L, E] {
  each = E / heads
  score[n, h in 0..<heads, i, j in 0..<L] = rsqrt(each) * sum[e in 0..<each](q[n, i, h * each + e] * k[n, j, h * each + e])
  p = softmax_last(score)
  y[n, i, e] = sum[j](p[n, e / each, i, j] * v[n, j, e])
}
op rows(w: [R, C], from: int, to: int) -> y: [to - from, C] { y[r, c] = w[r + from, c] }
op deform(x: [N, C, *S], offset: [N, O, *S], w: [C, D, *K]) -> y: [N, C, *S] {
  shift = reshape(offset, [N, *K, rank(S), *S])
  y[n, c, *t] = sum[*k where *(t + k - 1 + shift[n, *k, axis, *t] > -1)](w[c, 0, *k] * x.zero.lerp[n, c, *(t + k - 1 + shift[n, *k, axis, *t])])
}
`;

/** The shapes of the ports, in order, for a case. */
const portNames = (c: Case): string[] => Object.keys(c.inputs);

function text(c: Case): string {
  const a = c.attrs;
  const list = (v: unknown): string => JSON.stringify(v);
  const bias = "b" in c.inputs ? " |> shift(b)" : "";
  const affine = "w" in c.inputs ? " |> scale(w) |> shift(b)" : "";
  const axis = a["axis"];
  switch (c.op) {
    case "conv3d": return `conv(x, w, stride = ${list(a["stride"])}, pad = ${list(a["padding"])}, dilation = ${list(a["dilation"])}, groups = ${a["groups"]})${bias}`;
    case "conv_transpose3d": return `conv_transpose(x, w, stride = ${list(a["stride"])}, pad = ${list(a["padding"])}, groups = ${a["groups"]})${bias}`;
    case "dynamic_conv3d": return `conv_each(x, w, stride = ${list(a["stride"])}, pad = ${list(a["padding"])})`;
    case "deform_conv3d": return "deform(x, offset, w) |> shift(b)";
    case "pad": return `pad(x, front = ${list(a["low"])}, back = ${list(a["high"])})`;
    case "instance_norm": return `norm(x, C, ${a["eps"]})${affine}`;
    case "group_norm": return `norm(x, ${a["groups"]}, ${a["eps"]})${affine}`;
    case "layer_norm": return axis === "channel" ? `standardize_channels(x, ${a["eps"]})${affine}` : `standardize_last(x, ${a["eps"]}) |> scale_last(w) |> add_last(b)`;
    case "global_response_norm": return "x + (x |> respond) * gamma + beta";
    case "gelu": return a["approximate"] === "tanh" ? "gelu_tanh(x)" : "gelu(x)";
    case "leaky_relu": return `max(x, ${a["slope"]} * x)`;
    case "relu": return "relu(x)";
    case "sigmoid": return `sigmoid(x / ${a["temperature"]})`;
    case "threshold": return `threshold(x, ${a["threshold"]}, ${a["value"]})`;
    case "abs": return "abs(x)";
    case "softmax": return axis === "channel" ? "softmax(x)" : axis === "space" ? "softmax_space(x)" : "softmax_last(x)";
    case "log_softmax": return "log_softmax(x)";
    case "l2_normalize": return `l2_normalize(x, ${a["eps"]})`;
    case "adaptive_avg_pool": return `adaptive_mean(x, ${list(a["size"])})`;
    case "max_pool": return `max_pool(x, ${a["kernel"]}, ${a["stride"]})`;
    case "avg_pool": return `mean_pool(x, ${a["kernel"]}, ${a["stride"]}, ${a["padding"]})`;
    case "reduce": return a["kind"] === "mean" ? "channel_mean(x)" : "channel_max(x)";
    case "interpolate":
      return a["mode"] === "nearest" ? `resize_nearest(x, ${list(a["size"])})` : a["align_corners"] ? `resize_corners(x, ${list(a["size"])})` : `resize(x, ${list(a["size"])})`;
    case "matmul": return a["transpose_b"] ? "matmul_transposed(a, b)" : "matmul(a, b)";
    case "linear": return "linear(x, w) |> add_last(b)";
    case "self_attention":
      return `attend_tokens(linear(x, rows(wqkv, 0, 12)), linear(x, rows(wqkv, 12, 24)), linear(x, rows(wqkv, 24, 36)), ${a["heads"]}) |> linear(wo) |> add_last(bo)`;
    case "concat": return "concat(concat(a, b), c)";
    case "slice": return axis === 1 ? `channels(x, ${a["start"]}, ${a["stop"]})` : `crop(x, [0, ${a["start"]}, 0], [3, ${Number(a["stop"]) - Number(a["start"])}, 4])`;
    case "permute": return c.inputs["x"]?.length === 5 ? "channels_last(x)" : "volume(x, [2, 3, 2])";
    case "reshape": return `reshape(x, ${list(a["shape"])})`;
    case "patchify": return `patchify(x, ${list(a["patch"])})`;
    case "mul": {
      if ("s" in c.inputs) return "1 + scale_samples(x, s)"; // as the switches of SEDyConv use it
      if ("a" in c.inputs) return "a * b * w";
      return c.inputs["g"]?.length === 1 ? "scale(x, g)" : "x * g";
    }
    case "add": return "p" in c.inputs ? "x + p" : "a + b";
    case "sub": return "a - b";
    case "cross_entropy": return "cross_entropy(x, y)";
    case "soft_dice": return `soft_dice(x, y, batch = ${a["batch_dice"]})`;
    case "dice_ce": return `dice_ce(x, y, batch = ${a["batch_dice"]})`;
    case "dice_ce_monai": return `dice_monai(x, y, squared = ${a["squared_pred"]}, above = ${a["smooth_nr"]}, below = ${a["smooth_dr"]}) + cross_entropy(x, y)`;
    case "weighted_bce": return `weighted_bce(x, y, gamma = ${a["gamma"]})`;
    case "div_dice": return `penalised_dice(x, y, eps = ${a["eps"]})`;
    default: throw new Error(`no text for ${c.op}`);
  }
}

const respond = `
op respond(x: [N, C, *S]) -> y: [N, C, *S] {
  energy[n, c] = sqrt(sum[*s](x[n, c, *s] ^ 2))
  y[n, c, *s] = x[n, c, *s] * energy[n, c] / (mean[k](energy[n, k]) + 1e-6)
}
block Norm(x: [N, C, *S], groups: int, eps: float) { (mu, var) = moments(x, groups)
  return standardize(x, mu, var, eps) }
`;

/** The text of a case: a block `Case` with the case's inputs as ports. */
export function sourceOf(c: Case): string {
  const ports = portNames(c).map((n) => `${n}: [${c.inputs[n]?.map((d, i) => (n === "x" && i === 1 ? "C" : String(d))).join(", ")}]`);
  return `${aids}${respond}block Case(${ports.join(", ")}) = ${text(c).replace("norm(x,", "Norm(x,")}\n`;
}

/** The cases by name. */
export const cases: Readonly<Record<string, Case>> = there ? (JSON.parse(readFileSync(`${folder}/ops.json`, "utf8")) as { cases: Record<string, Case> }).cases : {};
/** Their tensors, as `case/in/x`, `case/out/y`, `case/gout/y` (the upstream gradient), `case/gin/x`. */
export const data: ReadonlyMap<string, Stored> = there ? stored(`${folder}/ops.safetensors`) : new Map<string, Stored>();
