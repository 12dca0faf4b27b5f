// The long explanation of a code, read from its text in `codes/`; the texts are handed in.

/** A code's page, taken apart. */
export interface Explanation {
  readonly code: string;
  readonly title: string;
  readonly text: string;
  /** The `.net` example that draws the message, and the one that does not; some codes are not about `.net` texts. */
  readonly wrong: string | undefined;
  readonly right: string | undefined;
}

/** Takes a page apart: `# CODE: title`, prose, then a wrong and a right example in `net` fences. */
export function readExplanation(page: string): Explanation | undefined {
  const head = /^# ([NWI]\d{4}): (.+)$/m.exec(page);
  if (head?.[1] === undefined || head[2] === undefined) return undefined;
  const [wrong, right] = [...page.matchAll(/^```net\n([\s\S]*?)^```$/gm)].map((fence) => fence[1]);
  return { code: head[1], title: head[2], text: page.trimEnd(), wrong, right };
}

/** Every code with its title, in order. */
export function listCodes(pages: ReadonlyMap<string, string>): readonly Explanation[] {
  const all = [...pages.values()].flatMap((page) => readExplanation(page) ?? []);
  return all.sort((a, b) => (a.code < b.code ? -1 : 1));
}
