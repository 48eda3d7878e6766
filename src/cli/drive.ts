// src/cli/drive.ts: `wirepath drive`: a host stack driven from outside, a request and a reply a line.

import { writeSync } from "node:fs";
import { loadCore } from "../node/core.ts";
import { type Command, parseWords } from "./command.ts";
import { Session } from "./drive-session.ts";

const help = `usage: wirepath drive

A host with TCP, UDP, routing and NAT in virtual time, driven by JSON lines on stdin (protocol pdsut/1): reads one object
a line, writes one object a line, in lock step. Time moves in "advance" alone.

  {"op":"hello"}
  {"op":"reset","cfg":{"dev":[{"name":"tun0","kind":"ip","ip":"192.168.0.1","prefix":16,"mtu":1500}]}}
  {"op":"call","call":1,"fn":"socket","type":"dgram"}
  {"op":"call","call":2,"fn":"sendto","fd":3,"len":5,"flags":[],"ip":"192.168.0.2","port":9}
  {"op":"advance","to":1000000,"stop_on_tx":true}

Ends with its stdin: status 0.
`;

/** A longer line is no request. */
const maxLine = 64 * 1024 * 1024;
const NEWLINE = 10;

/** Cuts stdin into lines; of a line that is too long the rest is passed over. */
class Lines {
  private parts: Buffer[] = [];
  private length = 0;

  constructor(private readonly take: (line: string | null) => void) {}

  push(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from);
      const part = chunk.subarray(from, end < 0 ? chunk.length : end);
      this.length += part.length;
      if (this.length <= maxLine) this.parts.push(part);
      else this.parts = [];
      if (end < 0) return;
      this.finish();
      from = end + 1;
    }
  }

  /** What is there without an end is a line as well. */
  end(): void {
    if (this.length > 0) this.finish();
  }

  private finish(): void {
    const line = this.length > maxLine ? null : this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts);
    this.parts = [];
    this.length = 0;
    this.take(line === null ? null : line.toString("utf8"));
  }
}

/** Writes it all, whatever the pipe takes at once; false when nobody reads any more. */
function write(text: string): boolean {
  const bytes = Buffer.from(text);
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(1, bytes, at);
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException;
      if (code === "EAGAIN") continue;
      if (code === "EPIPE") return false;
      throw e;
    }
  }
  return true;
}

async function run(words: string[]): Promise<number> {
  parseWords(words, { options: {} });
  const session = new Session(loadCore);
  let out = "";
  const lines = new Lines((line) => {
    if (line === null) out += `${JSON.stringify({ error: `a line of more than ${maxLine} bytes` })}\n`;
    else if (line.trim() !== "") out += `${session.answer(line)}\n`;
  });
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    lines.push(chunk);
    if (out !== "" && !write(out)) return 0;
    out = "";
  }
  lines.end();
  if (out !== "") write(out);
  return 0;
}

export const command: Command = { help, run };
