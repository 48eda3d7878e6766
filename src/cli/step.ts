// src/cli/step.ts: `wirepath step`: the REPL on a capture's packets; on a lab it is `wirepath repl`.

import { type Captured, CaptureShell } from "../repl/capture.ts";
import { copyPacket, readCapture } from "../capture/reader.ts";
import { readChunks } from "../node/files.ts";
import { interactive, script } from "../repl/terminal.ts";
import { ansi, plain } from "../repl/view.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import { command as repl } from "./repl.ts";

const help = `usage: wirepath step CAPTURE [-c LINE...]
       wirepath step LAB.yaml ...             (as wirepath repl)

The packets of a capture (pcap or pcapng), forward and back, each by layers from the application's data down to the bits,
each byte with its field, value and meaning. 'help' inside tells the words; a script on stdin works as for repl.

  -c LINE     does this line and ends; may be given several times
`;

/** More packets than anybody steps through; what is behind them is left out. */
const MOST = 200_000;

/** Reads a capture's packets into memory. */
export async function readPackets(path: string): Promise<{ packets: Captured[]; more: boolean }> {
  const packets: Captured[] = [];
  for await (const r of readCapture(readChunks(path))) {
    while (r.next()) {
      if (packets.length === MOST) return { packets, more: true };
      packets.push({ ...copyPacket(r), iface: r.interfaces[r.interfaceId]?.name ?? "" });
    }
  }
  return { packets, more: false };
}

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: { command: { type: "string", short: "c", multiple: true }, seed: { type: "string" } },
  });
  if (positionals.length !== 1) throw new Failure("step: expected one CAPTURE or one LAB file");
  if (/\.ya?ml$/.test(positionals[0]!)) return repl.run(words);
  if (values.seed !== undefined) throw new Failure("--seed is for labs");
  const { packets, more } = await readPackets(positionals[0]!);
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  if (more) say(`step: only the first ${MOST} packets`);
  const colours = process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined;
  const shell = new CaptureShell(packets, colours ? ansi : plain, (line) => void process.stdout.write(`${line}\n`));
  if (values.command !== undefined) return script(shell, values.command, "-c", say);
  if (process.stdin.isTTY === true) return interactive(shell);
  return script(shell, process.stdin, "stdin", say);
}

export const command: Command = { help, run };
