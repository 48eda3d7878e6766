// src/cli/command.ts: what a command is, and how it fails.

import { type ParseArgsConfig, parseArgs } from "node:util";

export interface Command {
  /** Printed by `--help`. */
  readonly help: string;
  /** The exit status. */
  run(words: string[]): Promise<number>;
}

/** A command that cannot run: one line on stderr, status 2. */
export class Failure extends Error {}

/** node:util's parseArgs; a wrong word is a `Failure`. */
export function parseWords<T extends ParseArgsConfig>(words: string[], config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs<T>({ ...config, args: words });
  } catch (e) {
    throw new Failure((e as Error).message);
  }
}
