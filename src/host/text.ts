// src/host/text.ts: errors in text that a user wrote: routes, rules, chains.

/** Where (1-based, in the text that was given), what is wrong, what was expected. */
export class TextError extends Error {
  constructor(
    readonly line: number,
    readonly column: number,
    message: string,
  ) {
    super(message);
  }
}
