// src/cli/repl.ts: `wirepath repl`: a lab on a terminal or from a script, stepped through forward and back.

import { readFileSync, writeFileSync } from "node:fs";
import { DEFAULT_SEED } from "../link/newworld.ts";
import { ansi, plain } from "../repl/view.ts";
import { Shell } from "../repl/shell.ts";
import { interactive, script } from "../repl/terminal.ts";
import { type Command, Failure, parseWords } from "./command.ts";

const help = `usage: wirepath repl LAB [--seed N] [-c LINE...]

A network that can be stepped through, forward and back, by event, hop or layer. At each step the packet is shown from
the application's data down to the bits, and 'why' says which rule, route or table entry decided. Knows Mininet's words
(nodes, net, pingall, iperf) and Linux's (h1 ip route, h1 ping h2, h1 tcpdump -i eth0). 'help' inside tells all.

  --seed N    of what hosts choose by chance (default ${DEFAULT_SEED})
  -c LINE     does this line and ends; may be given several times

Lines from a file or a pipe work the same, without colours:  wirepath repl LAB < script
A line that is wrong is said on stderr as stdin:LINE:COLUMN: what is wrong, what was expected; the next is done all the
same. Exit status: 0: every line worked; 1: one did not; 2: the lab cannot be built.
`;

/** Reads a lab; what is wrong with it is one line. */
export function openShell(path: string, seed: number, colours: boolean): Shell {
  return new Shell(path, readFileSync(path, "utf8"), seed, {
    style: colours ? ansi : plain,
    files: { read: (p) => readFileSync(p, "utf8"), write: (p, text) => writeFileSync(p, text) },
    print: (line) => void process.stdout.write(`${line}\n`),
  });
}

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: { seed: { type: "string" }, command: { type: "string", short: "c", multiple: true } },
  });
  if (positionals.length !== 1) throw new Failure("repl: expected one LAB file");
  const seed = values.seed === undefined ? DEFAULT_SEED : Number(values.seed);
  if (!Number.isInteger(seed)) throw new Failure(`--seed '${values.seed}': expected an integer`);
  const terminal = process.stdin.isTTY === true && values.command === undefined;
  const colours = process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined;
  const shell = openShell(positionals[0]!, seed, colours);
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  // what a program of the lab throws and nobody catches is the program's affair: it is said, and the next line is done
  let broken = false;
  process.on("uncaughtException", (e: Error) => {
    broken = true;
    say(`repl: a program of the lab failed: ${e.message.split("\n")[0]!}`);
  });
  if (terminal) return interactive(shell);
  const [lines, name] = values.command === undefined ? [process.stdin, "stdin"] : [values.command, "-c"];
  const status = await script(shell, lines, name, say);
  return broken ? 1 : status;
}

export const command: Command = { help, run };
