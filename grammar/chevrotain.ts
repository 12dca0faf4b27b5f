// Chevrotain out of its one file: to load its modules one by one takes a quarter of a second.

type Chevrotain = typeof import("chevrotain");

/** The package's one file; its modules, where it has no such file. */
async function loaded(): Promise<Chevrotain> {
  try {
    return (await import(new URL("../chevrotain.min.mjs", import.meta.resolve("chevrotain")).href)) as Chevrotain;
  } catch {
    return import("chevrotain");
  }
}

export const { createToken, createTokenInstance, CstParser, EOF, generateCstDts, Lexer, serializeGrammar, tokenMatcher } = await loaded();
