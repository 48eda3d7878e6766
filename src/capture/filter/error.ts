// src/capture/filter/error.ts: how a filter's text is refused.

/** A filter that cannot be compiled. `at` is the offset of the offending word; the message counts columns from 1. */
export class FilterError extends Error {
  constructor(
    readonly at: number,
    message: string,
  ) {
    super(`filter: column ${at + 1}: ${message}`);
  }
}
