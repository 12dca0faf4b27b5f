// Where the parts of a line chart lie, for whoever draws it: axes with round numbers, and lines.

/** A colour by its role, or that of a class. */
export type Hue = "accent" | "ink" | "soft" | "faint" | number;

/** A line; null where it has a gap. */
export interface Series {
  readonly name: string;
  readonly colour: Hue;
  readonly values: readonly (number | null)[];
}

/** Lines over steps. */
export interface Chart {
  readonly title: string;
  /** Steps, one per value. */
  readonly at: readonly number[];
  /** Steps of an epoch. */
  readonly steps: number;
  readonly series: readonly Series[];
  /** What the axis shows at least; it grows around the values otherwise. */
  readonly least?: number;
  readonly most?: number;
  /** Whether a logarithmic axis makes sense too. */
  readonly logarithmic?: boolean;
}

/** A place along an axis, in pixels, and its number. */
export interface Tick {
  readonly at: number;
  readonly text: string;
}

/** A chart in pixels, y downwards. */
export interface Layout {
  readonly box: { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };
  readonly across: readonly Tick[];
  readonly up: readonly Tick[];
  readonly lines: readonly { readonly name: string; readonly colour: Hue; readonly parts: readonly (readonly (readonly [number, number])[])[] }[];
  /** The values at the ends of the vertical axis; their decimal logarithms where it is logarithmic. */
  readonly low: number;
  readonly high: number;
}

/** Room around the box for the numbers. */
const MARGIN = { left: 64, right: 18, top: 12, bottom: 30 };

/** Lays a chart out in a picture of a size. */
export function layOut(chart: Chart, width: number, height: number, log: boolean, margin = MARGIN): Layout {
  const box = { left: margin.left, top: margin.top, right: width - margin.right, bottom: height - margin.bottom };
  const scaled = log ? Math.log10 : (value: number): number => value;
  const seen = chart.series.flatMap(({ values }) => values.filter((value) => value !== null && Number.isFinite(value) && (!log || value > 0))).map((value) => scaled(value ?? 0));
  const [low, high] = span(seen, log ? undefined : chart.least, log ? undefined : chart.most, log);
  const [first, last] = [Math.min(0, chart.at[0] ?? 0), Math.max(1, chart.at.at(-1) ?? 1)];
  const x = (step: number): number => box.left + ((step - first) / (last - first)) * (box.right - box.left);
  const y = (value: number): number => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
  const lines = chart.series.map(({ name, colour, values }) => {
    const parts: (readonly [number, number])[][] = [[]];
    values.forEach((value, n) => {
      if (value === null || !Number.isFinite(value) || (log && value <= 0)) parts.push([]);
      else parts.at(-1)?.push([x(chart.at[n] ?? 0), y(scaled(value))]);
    });
    return { name, colour, parts: parts.filter((part) => part.length > 0) };
  });
  const across = rounds(first, last, Math.max(2, Math.floor(width / 110))).filter(Number.isInteger).map((step) => ({ at: x(step), text: step.toLocaleString("en") }));
  const many = Math.max(2, Math.floor(height / 55));
  const up = (log ? decades(low, high, many) : rounds(low, high, many)).map((value) => ({ at: y(scaled(value)), text: numberText(value) }));
  return { box, across, up, lines, low, high };
}

/** The ends of an axis around values, a little apart from them. */
function span(values: readonly number[], least: number | undefined, most: number | undefined, log: boolean): readonly [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low > high) [low, high] = [0, 1];
  const flat = high - low <= 1e-9 * Math.max(1, Math.abs(high));
  const room = flat ? (log ? 0.1 : Math.abs(high) * 0.1 || 1) : (high - low) * 0.05;
  return [Math.min(least ?? Infinity, least === undefined ? low - room : low), Math.max(most ?? -Infinity, most === undefined ? high + room : high)];
}

/** Multiples of 1, 2 or 5 times a power of ten between two numbers, about `many`. */
function rounds(low: number, high: number, many: number): readonly number[] {
  const rough = (high - low) / many;
  const power = 10 ** Math.floor(Math.log10(rough));
  const gap = ([1, 2, 5, 10].find((one) => one * power >= rough * 0.999) ?? 10) * power;
  const from = Math.ceil(low / gap - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / gap + 1e-9) - from + 1) }, (_, n) => Number(((from + n) * gap).toPrecision(12)));
}

/** Powers of ten between 10^low and 10^high, with 2 and 5 times them where there are few; plain round numbers within one. */
function decades(low: number, high: number, many: number): readonly number[] {
  if (high - low < 0.6) return rounds(10 ** low, 10 ** high, many);
  const skip = Math.ceil((high - low) / many);
  const parts = high - low <= many / 3 ? [1, 2, 5] : [1];
  const all: number[] = [];
  for (let power = Math.floor(low); power <= high; power++) {
    if (power % skip === 0) for (const part of parts) all.push(Number(`${part}e${power}`));
  }
  return all.filter((value) => Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9);
}

/** A number as an axis or a tooltip shows it: at most four digits that count. */
export function numberText(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) return value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}
