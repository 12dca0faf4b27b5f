// The name somebody probably meant: same letters in another case first, else the nearest within a third of its length.

/** The closest candidate, or undefined when none is close. */
export function nearest(wrong: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(wrong.length / 3)) + 1;
  for (const candidate of candidates) {
    if (candidate === wrong) continue;
    if (candidate.toLowerCase() === wrong.toLowerCase()) return candidate;
    const d = distance(wrong.toLowerCase(), candidate.toLowerCase(), least);
    if (d < least) {
      least = d;
      best = candidate;
    }
  }
  return best;
}

/** A label: `did you mean …?`, or what is said otherwise. */
export function suggest(wrong: string, candidates: Iterable<string>, otherwise: string): string {
  const found = nearest(wrong, candidates);
  return found === undefined ? otherwise : `did you mean \`${found}\`?`;
}

/** Edits to get from one word to the other, a swap of neighbours counting as one; `limit` when there are as many or more. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let d = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d = Math.min(d, (before[j - 2] ?? 0) + 1);
      next.push(d);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? limit;
}
