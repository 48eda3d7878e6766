// src/repl/terminal.ts: where lines come from: a terminal through node:repl, or a script.

import { homedir } from "node:os";
import { join } from "node:path";
import { start } from "node:repl";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Outcome } from "./shell.ts";

/** What understands lines. */
export interface LineReader {
  line(text: string): Outcome;
  readonly prompt: string;
  complete(line: string): [string[], string];
}

/** On a terminal, with history and completion; answers the exit status. */
export function interactive(shell: LineReader): Promise<number> {
  return new Promise((resolve) => {
    process.stdout.write("wirepath: 'help' tells what can be said, 'step' begins, 'quit' ends\n");
    const server = start({
      prompt: shell.prompt,
      ignoreUndefined: true,
      completer: (line: string) => shell.complete(line),
      eval: (text, _context, _file, callback) => {
        const outcome = shell.line(text);
        if (!outcome.ok)
          process.stdout.write(
            `${" ".repeat(Math.max(0, shell.prompt.length + outcome.column - 1))}^ ${outcome.message}\n`,
          );
        else if (outcome.quit) {
          server.close();
          return;
        }
        server.setPrompt(shell.prompt);
        callback(null, undefined);
      },
    });
    server.setupHistory(process.env["WIREPATH_HISTORY"] ?? join(homedir(), ".wirepath_history"), () => {});
    server.on("exit", () => resolve(0));
  });
}

/** Lines of a script, one after the other; answers 1 when one of them was wrong. */
export async function script(
  shell: LineReader,
  lines: Readable | readonly string[],
  name: string,
  say: (text: string) => void,
): Promise<number> {
  const source = Array.isArray(lines) ? lines : createInterface({ input: lines as Readable, crlfDelay: Infinity });
  let n = 0;
  let status = 0;
  for await (const text of source as AsyncIterable<string>) {
    n++;
    const outcome = shell.line(text);
    if (!outcome.ok) {
      status = 1;
      say(`${name}:${n}:${outcome.column}: ${outcome.message}`);
    } else if (outcome.quit) break;
  }
  return status;
}
