// src/host/fib/table/faults.ts: what is wrong in a table that is read, and what was passed over.

/** A table cannot be read: where, and what was expected. */
export class TableError extends Error {
  constructor(
    /** `LINE:COLUMN` of a text, both from 1; `offset N` of a dump, in its uncompressed bytes, from 0. */
    readonly where: string,
    message: string,
  ) {
    super(message);
  }
}

/** Takes what is wrong: throws it, or counts it where the reader was told to be lenient. */
export class Faults {
  count = 0;
  first: TableError | null = null;
  /** What is right, but no part of an IPv4 unicast table: how many of each. */
  readonly passedOver = new Map<string, number>();

  constructor(private readonly lenient: boolean) {}

  add(fault: TableError): void {
    if (!this.lenient) throw fault;
    this.count++;
    this.first ??= fault;
  }

  passOver(what: string): void {
    this.passedOver.set(what, (this.passedOver.get(what) ?? 0) + 1);
  }
}
