// src/cli/parse-http.ts: `wirepath parse-http`: the HTTP/1.x parser alone, over cases as JSON lines.

import type { Core } from "../core/core.ts";
import { HttpReader, HttpType, type HttpFault, type HttpMessage, type HttpSink } from "../core/http.ts";
import { loadCore } from "../node/core.ts";
import { readChunks } from "../node/files.ts";
import { type Command, Failure, parseWords } from "./command.ts";

const help = `usage: wirepath parse-http < CASES

Reads one case a line: {"id": any, "type": "request"|"response", "input": "HEX"}, each the first bytes of a
connection, and prints a line for each: the verdict (accept, reject, incomplete), the messages, and where the bytes
break the grammar.
As strict as Node's own server, its methods included, and where RFC 9112 is stricter, as strict as that.

  --one   feed the parser one byte at a time
`;

interface Case {
  readonly id: unknown;
  readonly type: "request" | "response";
  readonly input: Uint8Array;
}

function readCase(line: string, number: number): Case {
  const where = `stdin:${number}`;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Failure(`${where}: expected a JSON object`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Failure(`${where}: expected a JSON object`);
  const { id, type, input } = value as Record<string, unknown>;
  if (type !== "request" && type !== "response") throw new Failure(`${where}: type: expected "request" or "response"`);
  if (typeof input !== "string" || !/^(?:[0-9a-fA-F]{2})*$/.test(input)) {
    throw new Failure(`${where}: input: expected hexadecimal digits, two a byte`);
  }
  return { id: id ?? null, type, input: Buffer.from(input, "hex") };
}

/** A case's answer, as contracts of this command's output have it. */
export function parseCase(core: Core, type: Case["type"], input: Uint8Array, step: number): Record<string, unknown> {
  const messages: { message: HttpMessage; body: Uint8Array[] }[] = [];
  const sink: HttpSink = {
    begin: (message) => void messages.push({ message, body: [] }),
    body: (bytes) => void messages.at(-1)!.body.push(bytes),
  };
  const reader = new HttpReader(core, type === "request" ? HttpType.Request : HttpType.Response, sink, {
    nodeMethods: true,
  });
  try {
    for (let i = 0; i < input.length && reader.fault === null; i += step) reader.feed(input.subarray(i, i + step));
    const fault = reader.fault as HttpFault | null;
    return {
      verdict: fault !== null ? "reject" : reader.idle ? "accept" : "incomplete",
      messages: messages.map(({ message: m, body }) => ({
        method: m.method,
        target: m.target,
        version: m.version,
        status: m.status,
        reason: m.reason,
        headers: m.headers,
        body: Buffer.concat(body).toString("hex"),
        trailers: m.trailers,
        headers_complete: m.headersComplete,
        complete: m.complete,
      })),
      error: fault === null ? null : { offset: fault.offset, reason: fault.reason },
    };
  } finally {
    reader.release();
  }
}

/** The lines of stdin with their numbers; empty ones are passed over. */
async function* lines(): AsyncGenerator<[string, number]> {
  const decoder = new TextDecoder();
  let rest = "";
  let number = 0;
  for await (const chunk of readChunks("-")) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    for (const line of parts) {
      number++;
      if (line.trim() !== "") yield [line, number];
    }
  }
  rest += decoder.decode();
  if (rest.trim() !== "") yield [rest, number + 1];
}

async function run(words: string[]): Promise<number> {
  const { values } = parseWords(words, {
    options: { one: { type: "boolean" } },
    strict: true,
    allowPositionals: false,
  });
  const core = loadCore();
  for await (const [line, number] of lines()) {
    const c = readCase(line, number);
    const step = values.one === true ? 1 : Math.max(1, c.input.length);
    const answer = JSON.stringify({ id: c.id, ...parseCase(core, c.type, c.input, step) });
    if (!process.stdout.write(`${answer}\n`)) await new Promise((done) => process.stdout.once("drain", done));
  }
  return 0;
}

export const command: Command = { help, run };
