// The augmentations of the library against plain computations and closed forms, in the interpreter.

import { describe, expect, it } from "vitest";
import { at, box, moved, results, toned, type Box } from "./augmented.ts";

const shape = [2, 2, 5, 6, 7];
const wild = box(shape, (n, c, z, y, x) => Math.sin(3 * n + 5 * c + 1.7 * z + 2.9 * y * y + 1.3 * x) * (1 + c) + 0.3);
const classes = box([2, 1, 5, 6, 7], (n, _, z, y, x) => (z * 3 + y * y + x + n) % 4);
const mean = (v: Iterable<number>): number => { const all = [...v]; return all.reduce((a, b) => a + b, 0) / all.length; };
const deviation = (v: Iterable<number>): number => { const all = [...v]; const mu = mean(all); return Math.sqrt(mean(all.map((x) => (x - mu) ** 2))); };
/** The voxels of a channel of a sample. */
const channel = ({ shape: s, values }: Box, n: number, c: number): Float64Array => {
  const size = s.slice(2).reduce((a, b) => a * b, 1);
  return values.subarray((n * (s[1] ?? 1) + c) * size, (n * (s[1] ?? 1) + c + 1) * size);
};
const each = (f: (n: number, c: number) => void): void => { for (const n of [0, 1]) for (const c of [0, 1]) f(n, c); };
function near(a: Iterable<number>, b: Iterable<number>, within = 1e-9): void {
  const [p, q] = [[...a], [...b]];
  expect(p.length).toBe(q.length);
  expect(Math.max(...p.map((v, i) => Math.abs(v - (q[i] ?? Number.NaN))))).toBeLessThan(within);
}

describe("a sample that is not chosen stays as it is, to the last bit", () => {
  it.each(["noise", "blur", "brightness", "offset", "contrast", "low_resolution", "gamma"])("%s", (op) => {
    expect(toned(`${op}(chance = 0)`, wild).values).toEqual(wild.values);
  });
  it.each(["spatial(turned = 0, zoomed = 0)", "spatial(turned = 0, zoomed = 0, order = 3)", "rotate(chance = 0)", "zoom(chance = 0)", "mirror(chance = 0)"])("%s", (call) => {
    const [image, label] = moved(call, wild, classes);
    near(image.values, wild.values, 1e-12);
    expect(label.values).toEqual(classes.values);
  });
  it("and of more than the patch, its middle", () => {
    const [image, label] = moved("spatial(turned = 0, zoomed = 0, to = [3, 3, 4])", wild, classes);
    const want = (b: Box): Box => box([2, b.shape[1] ?? 1, 3, 3, 4], (n, c, z, y, x) => at(b, [n, c, z + 1, y + 1, x + 1]));
    expect(image.values).toEqual(want(wild).values);
    expect(label.values).toEqual(want(classes).values);
  });
});

describe("looking up at places", () => {
  const places = box([2, 3, 4, 3, 3], (n, d, z, y, x) => (2.5 + d / 2) * (1 + Math.sin(n + 7 * z + 3 * y + x * x + 11 * d)) - 0.4);
  const weighed = (b: Box, n: number, c: number, p: readonly number[], taps: readonly number[], weight: (d: number) => number): readonly (readonly [number, number])[] => {
    const out: (readonly [number, number])[] = [];
    const low = p.map(Math.floor);
    for (const i of taps) for (const j of taps) for (const k of taps) {
      const where = [i, j, k].map((e, axis) => (low[axis] ?? 0) + e);
      out.push([at(b, [n, c, ...where]), where.reduce((w, q, axis) => w * weight((p[axis] ?? 0) - q), 1)]);
    }
    return out;
  };
  const place = (n: number, z: number, y: number, x: number): number[] => [0, 1, 2].map((d) => at(places, [n, d, z, y, x]));
  const linear = (d: number): number => 1 - Math.abs(d);
  /** Keys 1981, equation 15. */
  const keys = (d: number): number => { const s = Math.abs(d); return s < 1 ? 1.5 * s ** 3 - 2.5 * s ** 2 + 1 : s < 2 ? -0.5 * s ** 3 + 2.5 * s ** 2 - 4 * s + 2 : 0; };

  it("linear and cubic", () => {
    for (const [order, taps, weight] of [[1, [0, 1], linear], [3, [-1, 0, 1, 2], keys]] as const) {
      const [made] = results(`looked_up(x0, x1, order = ${order})`, [wild, places]);
      const want = box([2, 2, 4, 3, 3], (n, c, z, y, x) => weighed(wild, n, c, place(n, z, y, x), taps, weight).reduce((sum, [v, w]) => sum + v * w, 0));
      near(made?.values ?? [], want.values);
    }
  });

  it("labels are voted for, those without annotation among them", () => {
    const labels = box([2, 1, 5, 6, 7], (n, _, z, y, x) => ((z + y * y + x + n) % 3 === 0 ? 255 : Math.floor(x / 2)));
    const [made] = results("voted(x0, x1)", [labels, places]);
    const want = box([2, 1, 4, 3, 3], (n, _, z, y, x) => {
      const votes = new Map<number, number>();
      for (const [v, w] of weighed(labels, n, 0, place(n, z, y, x), [0, 1], linear)) votes.set(v, (votes.get(v) ?? 0) + w);
      return [...votes].reduce((best, one) => (one[1] > best[1] + 1e-12 || (Math.abs(one[1] - best[1]) <= 1e-12 && one[0] > best[0]) ? one : best))[0];
    });
    // Votes count in parts of 4096, so that a tie may fall to the higher label.
    const other = want.values.filter((v, i) => v !== made?.values[i]).length;
    expect(other).toBeLessThan(2);
    expect(new Set(made?.values).has(255)).toBe(true);
  });
});

describe("turning and zooming", () => {
  it("turns are rotations about one axis after the other", () => {
    const [made] = results("turns(x0)", [box([2, 3], (n, a) => (n === 0 ? (a === 1 ? 0.5 : 0) : 0.3 + 0.4 * a))]);
    const m = (n: number, i: number, j: number): number => made ? at(made, [n, i, j]) : Number.NaN;
    near([0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => m(0, i, j))), [Math.cos(0.5), 0, -Math.sin(0.5), 0, 1, 0, Math.sin(0.5), 0, Math.cos(0.5)]);
    const gram = [0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => [0, 1, 2].reduce((sum, k) => sum + m(1, i, k) * m(1, j, k), 0)));
    near(gram, [1, 0, 0, 0, 1, 0, 0, 0, 1]);
    const [flat] = results("turns(x0)", [box([1, 1], () => 0.7)]);
    near(flat?.values ?? [], [Math.cos(0.7), -Math.sin(0.7), Math.sin(0.7), Math.cos(0.7)]);
  });

  /** A ramp along each axis, as three channels: interpolated linearly, what comes out is the place looked at. */
  const ramp = box([6, 3, 12, 12, 12], (_, c, z, y, x) => [z, y, x][c] ?? 0);
  const none = box([6, 1, 12, 12, 12], () => 0);
  /** How the place looked at changes along each axis of the patch, and the place in the middle. */
  const slopes = (image: Box, n: number): number[][] => [0, 1, 2].map((c) => [0, 1, 2].map((axis) => {
    const [high, low] = [1, 0].map((k) => at(image, [n, c, ...[0, 1, 2].map((a) => (a === axis ? k + 1 : 1))]));
    return (high ?? 0) - (low ?? 0);
  }));

  it.each([1, 3])("a ramp is turned, no further than it may be, order %i", (order) => {
    const [image] = moved(`rotate([0, 0, 40], chance = 1, order = ${order}, to = [3, 3, 3])`, ramp, none);
    const angles = [0, 1, 2, 3, 4, 5].map((n) => {
      const m = slopes(image, n);
      const angle = Math.atan2(m[1]?.[0] ?? 0, m[0]?.[0] ?? 0);
      near(m.flat(), [Math.cos(angle), -Math.sin(angle), 0, Math.sin(angle), Math.cos(angle), 0, 0, 0, 1], 1e-9);
      // The middle of the patch is that of the image.
      expect([0, 1, 2].map((c) => at(image, [n, c, 1, 1, 1]))).toEqual([5, 5, 5]);
      return (angle * 180) / Math.PI;
    });
    expect(Math.max(...angles.map(Math.abs))).toBeLessThan(40);
    expect(deviation(angles)).toBeGreaterThan(8);
  });

  it("zooms by one factor or by one for each axis, half of the time below 1", () => {
    const wide = box([400, 3, 6, 6, 6], (_, c, z, y, x) => [z, y, x][c] ?? 0);
    const some = box([400, 1, 6, 6, 6], () => 0);
    for (const apart of [false, true]) {
      const [image] = moved(`zoom(chance = 0.8, apart = ${apart}, to = [3, 3, 3])`, wide, some);
      const factors = Array.from({ length: 400 }, (_, n) => {
        const m = slopes(image, n);
        near([m[0]?.[1] ?? 1, m[1]?.[2] ?? 1, m[2]?.[0] ?? 1], [0, 0, 0], 1e-9);
        return [0, 1, 2].map((i) => m[i]?.[i] ?? 0);
      });
      const hit = factors.filter(([a = 1]) => Math.abs(a - 1) > 1e-9);
      expect(Math.abs(hit.length / 400 - 0.8)).toBeLessThan(0.07);
      if (!apart) for (const [a = 0, b = 0, c = 0] of hit) near([a, a], [b, c], 1e-9);
      else expect(hit.filter(([a = 0, b = 0]) => Math.abs(a - b) < 1e-6).length).toBe(0);
      const first = hit.map(([a = 0]) => a);
      expect(Math.abs(first.filter((f) => f < 1).length / first.length - 0.5)).toBeLessThan(0.1);
      expect([Math.min(...first) > 0.7, Math.max(...first) < 1.4, Math.max(...first) > 1.35]).toEqual([true, true, true]);
    }
  });

  it("image and labels move alike, and only the axes that are named zoom", () => {
    const ball = box([4, 1, 9, 10, 11], (n, _, z, y, x) => ((z - 4) ** 2 + (y - 4 - n / 2) ** 2 + (x - 5) ** 2 < 12 ? 1 : 0));
    const [image, label] = moved("spatial(turned = 1, zoomed = 1)", ball, ball, { seed: 3 });
    const clear = [...image.values].flatMap((v, i) => (Math.abs(v - 0.5) > 1e-3 ? [[v > 0.5 ? 1 : 0, label.values[i]]] : []));
    expect(clear.length).toBeGreaterThan(3500);
    expect(clear.filter(([a, b]) => a !== b)).toEqual([]);
    expect([...label.values].filter((v, i) => v !== ball.values[i]).length).toBeGreaterThan(50);
    const [thick] = moved("zoom(1.3, 1.3, chance = 1, axes = [1, 2], to = [3, 3, 3])", ramp, none);
    near(slopes(thick, 0).flat(), [1, 0, 0, 0, 1.3, 0, 0, 0, 1.3]);
  });

  it("mirrors the axes that are named, and quarter turns turn in the plane", () => {
    const [both, labels] = moved("mirror(chance = 1)", wild, classes);
    const back = (b: Box): Box => box(b.shape, (n, c, z, y, x) => at(b, [n, c, 4 - z, 5 - y, 6 - x]));
    expect([both.values, labels.values]).toEqual([back(wild).values, back(classes).values]);
    const [one] = moved("mirror([1], chance = 1)", wild, classes);
    expect(one.values).toEqual(box(shape, (n, c, z, y, x) => at(wild, [n, c, z, 5 - y, x])).values);
    expect(moved("mirror([], chance = 1)", wild, classes)[0].values).toEqual(wild.values);
    const square = box([24, 1, 2, 3, 3], (_, c, z, y, x) => 9 * z + 3 * y + x + c);
    const [turned, alike] = moved("quarter_turns(chance = 0.75)", square, square);
    expect(turned.values).toEqual(alike.values);
    const ways = [[0, 1, 2, 3, 4, 5, 6, 7, 8], [6, 3, 0, 7, 4, 1, 8, 5, 2], [8, 7, 6, 5, 4, 3, 2, 1, 0], [2, 5, 8, 1, 4, 7, 0, 3, 6]].map(String);
    const seen = Array.from({ length: 24 }, (_, n) => ways.indexOf(String([...turned.values.subarray(n * 18, n * 18 + 9)])));
    expect(new Set(seen)).toEqual(new Set([0, 1, 2, 3]));
  });
});

describe("tones of a known strength", () => {
  it("noise is normal, of the deviation that was drawn, and new in every voxel", () => {
    const dark = box([3, 1, 20, 20, 20], () => 0);
    const made = toned("noise(most = 2, chance = 1)", dark, { seed: 4 });
    const strengths = [0, 1, 2].map((n) => {
      const values = channel(made, n, 0);
      const sd = deviation(values);
      expect(Math.abs(mean(values)) / sd).toBeLessThan(0.04);
      expect(Math.abs(mean([...values].map((v) => (v / sd) ** 4)) - 3)).toBeLessThan(0.25);
      expect(Math.abs(mean([...values].map((v, i) => (v * (values[i + 1] ?? 0)) / sd ** 2)))).toBeLessThan(0.04);
      return sd;
    });
    expect(strengths.every((s) => s > 0 && s < 2)).toBe(true);
    expect(new Set(strengths.map((s) => s.toFixed(2))).size).toBe(3);
  });

  it("brightness, offset and contrast", () => {
    near(toned("brightness(1.25, 1.25, chance = 1)", wild).values, wild.values.map((v) => 1.25 * v));
    const lighter = toned("offset(0.1, chance = 1)", wild);
    each((n) => { const by = channel(lighter, n, 0).map((v, i) => v - (channel(wild, n, 0)[i] ?? 0)); expect(deviation(by)).toBeLessThan(1e-9); expect(Math.abs(by[0] ?? 1)).toBeLessThan(0.1); });
    const made = toned("contrast(1.25, 1.25, chance = 1)", wild);
    each((n, c) => {
      const x = channel(wild, n, c);
      const [mu, low, high] = [mean(x), Math.min(...x), Math.max(...x)];
      near(channel(made, n, c), x.map((v) => Math.min(Math.max((v - mu) * 1.25 + mu, low), high)));
    });
  });

  it.each([false, true])("gamma, inverted: %s", (inverted) => {
    const made = toned(`gamma(1.5, 1.5, chance = 1, inverted = ${inverted})`, wild);
    each((n, c) => {
      const x = channel(wild, n, c).map((v) => (inverted ? -v : v));
      const low = Math.min(...x);
      const range = Math.max(...x) - low;
      const raised = x.map((v) => ((v - low) / (range + 1e-7)) ** 1.5 * range + low);
      const [mu, sd] = [mean(raised), deviation(raised)];
      const kept = raised.map((v) => ((v - mu) / (sd + 1e-8)) * deviation(x) + mean(x));
      near(channel(made, n, c), kept.map((v) => (inverted ? -v : v)), 1e-9);
    });
  });

  it("blur along all axes, and low resolution", () => {
    const sigma = 0.8;
    const reach = Math.floor(4 * sigma + 0.5);
    const taps = Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-0.5 * ((k - reach) / sigma) ** 2));
    const total = taps.reduce((a, b) => a + b, 0);
    const along = (b: Box, axis: number): Box => box(b.shape, (...i) => taps.reduce((sum, w, k) => {
      const j = i.map((v, a) => (a === axis ? Math.min(Math.max(v + k - reach, 0), (b.shape[a] ?? 1) - 1) : v));
      return sum + (w / total) * at(b, j);
    }, 0));
    near(toned(`blur(${sigma}, ${sigma}, chance = 1, each = 1)`, wild).values, along(along(along(wild, 2), 3), 4).values);
    for (const [axes, which] of [["", [2, 3, 4]], [", axes = [1, 2]", [3, 4]]] as const) {
      const cells = shape.map((n, a) => (which.includes(a as never) ? [0, 0, 3, 3, 4][a] ?? 1 : n));
      const coarse = box(cells, (...g) => at(wild, g.map((i, a) => Math.floor(((i + 0.5) * (shape[a] ?? 1)) / (cells[a] ?? 1)))));
      const want = box(shape, (n, c, ...s) => {
        const q = s.map((i, a) => Math.min(Math.max(((i + 0.5) * (cells[a + 2] ?? 1)) / (shape[a + 2] ?? 1) - 0.5, 0), (cells[a + 2] ?? 1) - 1));
        let sum = 0;
        for (const e of [0, 1]) for (const f of [0, 1]) for (const g of [0, 1]) {
          const corner = q.map((p, a) => Math.floor(p) + ([e, f, g][a] ?? 0));
          sum += at(coarse, [n, c, ...corner]) * q.reduce((w, p, a) => w * (1 - Math.abs(p - (corner[a] ?? 0))), 1);
        }
        return sum;
      });
      near(toned(`low_resolution(0.55, 0.55, chance = 1, each = 1${axes})`, wild).values, want.values);
    }
  });
});

describe("what is drawn", () => {
  const many = box([3000, 2, 1, 1, 2], (_, c, _z, _y, x) => 1 + c + x);
  it("goes by seed, step and sample alone", () => {
    const made = (when: object): number[] => [...toned("brightness(chance = 1)", many, when).values];
    expect(made({ seed: 1, step: 7 })).toEqual(made({ seed: 1, step: 7 }));
    expect(made({ seed: 1, step: 8 })).not.toEqual(made({ seed: 1, step: 7 }));
    expect(made({ seed: 2, step: 7 })).not.toEqual(made({ seed: 1, step: 7 }));
    const few = box([2, 2, 1, 1, 2], (_, c, _z, _y, x) => 1 + c + x);
    // A sample is the same in a batch of any size.
    expect([...toned("brightness(chance = 1)", few, { seed: 1, step: 7 }).values]).toEqual(made({ seed: 1, step: 7 }).slice(0, 8));
  });
  it("chances are those of samples, strengths even, channels apart", () => {
    const made = toned("brightness()", many, { seed: 5 });
    const factors = Array.from({ length: 3000 }, (_, n) => [0, 1].map((c) => at(made, [n, c, 0, 0, 0]) / (1 + c)));
    const hit = factors.filter(([a]) => a !== 1);
    expect(Math.abs(hit.length / 3000 - 0.15)).toBeLessThan(0.02);
    expect(hit.every(([a = 0, b = 0]) => a !== b && a > 0.75 && a < 1.25 && b > 0.75 && b < 1.25)).toBe(true);
    expect(Math.abs(mean(hit.map(([a = 0]) => a)) - 1)).toBeLessThan(0.03);
    const one = box([3000, 2, 1, 2, 2], (n, c, _z, y, x) => ((n + 7 * c + 3 * y + 5 * x) % 11) - 4 + Math.sin(n));
    const changed = (call: string, c: number): number => { const out = toned(call, one); return Array.from({ length: 3000 }, (_, n) => [...channel(out, n, c)].some((v, i) => v !== channel(one, n, c)[i])).filter(Boolean).length / 3000; };
    expect(Math.abs(changed("blur()", 1) - 0.1)).toBeLessThan(0.02);
    expect(Math.abs(changed("gamma()", 0) - 0.3)).toBeLessThan(0.03);
    expect(Math.abs(changed("noise()", 0) - 0.1)).toBeLessThan(0.02);
    expect(Math.abs(changed("contrast()", 1) - 0.15)).toBeLessThan(0.02);
  });
});
