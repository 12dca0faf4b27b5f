// Where the definitions of a text lie, found by its layout without parsing it.

/** A stretch of a text, by offsets; `end` does not belong to it. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

const definition = /^(?:(?:fn|op|block|network|data|dial) (\w+)|(\w+) =)/;

/**
 * The part of each definition, its comments included, by name. In a formatted text a line that begins with a word begins a definition and all
 * other lines go on with one. Undefined where a text is laid out otherwise or holds something else.
 */
export function partsOf(text: string): ReadonlyMap<string, Part> | undefined {
  const parts = new Map<string, Part>();
  let name: string | undefined;
  let [start, codeEnd] = [0, 0];
  const close = (): void => {
    if (name !== undefined && !parts.has(name)) parts.set(name, { start, end: codeEnd });
  };
  for (let at = 0, end = 0; at < text.length; at = end) {
    end = (text.indexOf("\n", at) + 1) || text.length;
    const line = text.slice(at, end);
    if (line.startsWith("//") || line.trim() === "") continue;
    if (/^[ ({[)}\]]/.test(line)) {
      if (name === undefined) return undefined;
    } else {
      const found = definition.exec(line);
      if (found === null) return undefined;
      close();
      [name, start] = [found[1] ?? found[2], codeEnd];
    }
    codeEnd = end;
  }
  close();
  return parts;
}
