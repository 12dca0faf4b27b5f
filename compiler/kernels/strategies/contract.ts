// The strategy for sums of products for cards: a team of invocations computes a block of points and shares the factors in workgroup memory.

import { readsOf } from "../../ir/rewrite.ts";
import { invariant } from "../../report/diagnostic.ts";
import type { Block, Group, Kernel, Lanes, Multiplier, Schedule } from "../kernel.ts";
import type { Loops } from "../loops.ts";
import { four } from "../vector.ts";
import { contractionOf, deepest, points, type Contraction } from "./contraction.ts";
import { layoutBy, Matrices, sharedBytes, teamBy } from "./matrices.ts";
import { layoutOf, Registers, teamOf } from "./registers.ts";

type Contract = Extract<Schedule, { strategy: "contract" }>;

/** Blocks that are offered of each kind, at most. */
const offered = 4;
/** Fours of sums that one invocation keeps, at most. */
const registers = 16;
/** Costs per product: a load from workgroup memory, and from memory; and the product itself, of halves in matrix units. */
const cost = { staged: 0.5, load: 4, f32: 1, f16: 0.125 };

const blocks: readonly Block[] = [
  { rows: 64, columns: 64, height: 8, width: 8 }, { rows: 64, columns: 64, height: 4, width: 4 },
  { rows: 64, columns: 32, height: 8, width: 4 }, { rows: 32, columns: 64, height: 4, width: 8 },
  { rows: 32, columns: 32, height: 4, width: 4 }, { rows: 128, columns: 16, height: 8, width: 4 },
  { rows: 64, columns: 16, height: 4, width: 4 }, { rows: 16, columns: 64, height: 4, width: 4 }, { rows: 64, columns: 8, height: 4, width: 4 },
  { rows: 32, columns: 16, height: 4, width: 4 }, { rows: 16, columns: 16, height: 4, width: 4 },
];
/** Rows or columns of a block in matrix units, at most; subgroups of a team, at most. */
const [widest, mostSubgroups] = [128, 8];

/** What a block takes, in the cost of a product for each that is needed, and what is known of it on the way. */
interface Priced {
  readonly schedule: Contract;
  readonly price: number;
  /** Products done for each that is needed, and the share of the adapter that is busy. */
  readonly padded: number;
  readonly busy: number;
}

/** Blocks for a launch whose sums are products that a block of points shares, none for others: those to take unasked, and those to try. */
export function schedules(group: Group, lanes: Lanes): { readonly unasked: readonly Schedule[]; readonly more: readonly Schedule[] } {
  const { wanted, team } = lanes;
  const found = team && contractionOf(group);
  if (!found) return { unasked: [], more: [] };
  const priced = (schedule: Contract, size: number, depth: number): Priced => {
    const { block: b, by } = schedule;
    const [rows, columns, over] = [points(found.rows), points(found.columns), points(found.over)];
    const [down, across, chunks] = [Math.ceil(rows / b.rows), Math.ceil(columns / b.columns), Math.ceil(over / depth)];
    const padded = (down * b.rows * across * b.columns * chunks * depth) / (rows * columns * over);
    // An invocation that keeps many sums keeps a lane busier than one that keeps one.
    const busy = Math.min(1, (points(found.rest) * down * across * size) / wanted);
    const product = cost[by?.unit.component ?? "f32"];
    return { schedule, padded, busy, price: (padded / Math.sqrt(busy)) * (product + cost.staged * (1 / b.height + 1 / b.width) + cost.load * (1 / b.rows + 1 / b.columns)) };
  };
  const best = (all: readonly Priced[]): readonly Priced[] => [...all].sort((a, b) => a.price - b.price).slice(0, offered);
  const plain = blocks
    .filter((b) => teamOf(b) <= team.size && bytesOf(found, b) <= team.bytes && (b.height * b.width * found.sums.length) / four <= registers)
    .map((block) => priced({ strategy: "contract", block }, teamOf(block), layoutOf(found, block).depth));
  const units = best(multipliers(found, lanes).flatMap((by) => unitBlocks(by)
    .filter((b) => teamBy(b, by) <= team.size && sharedBytes(found, b, by) <= team.bytes && (b.height * b.width * found.sums.length) / by.subgroup / four <= registers)
    .map((block) => priced({ strategy: "contract", block, by }, teamBy(block, by), layoutBy(found, block, by.unit).depth))));
  const unasked = units.filter((u, i) => i === 0 && isUnasked(found, u));
  return { unasked: unasked.map((u) => u.schedule), more: [...units.filter((u) => !unasked.includes(u)), ...best(plain)].map((p) => p.schedule) };
}

/** Products per element of the factors and of the result up to which a card waits for memory, not for products: an estimate. */
const intensive = 16;
/** Most products done for each that is needed, and the smallest busy share of the adapter, with which units are taken unasked. */
const [mostPadded, leastBusy] = [2, 0.25];

/** Whether units should be faster than anything else: they multiply halves, products are what takes long, and there is enough to do. */
function isUnasked({ rows, columns, over }: Contraction, { schedule, padded, busy }: Priced): boolean {
  const perElement = 1 / (1 / points(rows) + 1 / points(columns) + 1 / points(over));
  return schedule.by?.unit.component === "f16" && perElement >= intensive && padded <= mostPadded && busy >= leastBusy;
}

/**
 * The units that may multiply these factors. Those for halves round what is no half yet, so they take only sums of which one factor was
 * stored as one: then the run asked for half precision, and the sum is none that must be exact. Lines of matrices of eights are aligned.
 */
function multipliers(found: Contraction, { team }: Lanes): readonly Multiplier[] {
  const halves = found.sums.every(({ sum }) => readsOf(sum.body).some((r) => r.tensor.half));
  const { units = [], subgroup = 1 } = team?.matrices ?? {};
  return units.filter((u) => (u.component === "f32" || halves) && [u.m, u.n, u.k].every((e) => e % 8 === 0) && u.k <= deepest).map((unit) => ({ unit, subgroup }));
}

function unitBlocks({ unit: { m, n } }: Multiplier): readonly Block[] {
  const counts = [4, 2, 1];
  return counts.flatMap((a) => counts.flatMap((b) => counts.flatMap((p) => counts.filter((q) => p * q <= mostSubgroups).map((q): Block => (
    { rows: p * a * m, columns: q * b * n, height: a * m, width: b * n })))))
    .filter((b) => b.rows <= widest && b.columns <= widest);
}

function bytesOf(found: Contraction, block: Block): number {
  const { left, right } = layoutOf(found, block);
  return 16 * (found.left.length * left.count * left.stride + found.right.length * right.count * right.stride);
}

export function lower(kernel: Kernel, { block, by }: Contract): Loops {
  const found = contractionOf(kernel);
  invariant(found, () => `${kernel.name} is no sum of products`);
  return (by ? new Matrices(kernel, found, block, by) : new Registers(kernel, found, block)).loops();
}
