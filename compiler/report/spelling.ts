// "Did you mean": the nearest name, if one is near enough to be worth saying.

/** The candidate most like `name`: the same but for case, else within a third of its length in edits. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const all = [...candidates].filter((candidate) => candidate !== name);
  const same = all.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  if (same !== undefined) return same;
  let best: string | undefined;
  let bound = Math.max(1, Math.floor(name.length / 3));
  for (const candidate of all) {
    const steps = distance(name.toLowerCase(), candidate.toLowerCase(), bound);
    if (steps > bound || (steps === bound && best !== undefined)) continue;
    // One edit turns any one-letter name into any other; that is no likeness.
    if (steps >= Math.max(name.length, candidate.length)) continue;
    best = candidate;
    bound = steps;
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours; anything above `bound` counts as `bound + 1`. */
function distance(a: string, b: string, bound: number): number {
  if (Math.abs(a.length - b.length) > bound) return bound + 1;
  let older: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let steps = Math.min(change, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) steps = Math.min(steps, (older[j - 2] ?? 0) + 1);
      row.push(steps);
    }
    if (Math.min(...row) > bound) return bound + 1;
    older = last;
    last = row;
  }
  return last[b.length] ?? bound + 1;
}
