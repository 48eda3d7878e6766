// tests/support/llhttp.ts: Node's own parser (llhttp without any lenient flag) as the reference for HTTP.

import { createRequire } from "node:module";

// the module that node:http itself uses; it has no types
const { HTTPParser, methods } = createRequire(import.meta.url)("node:_http_common") as {
  HTTPParser: { new (): Parser; REQUEST: number; RESPONSE: number } & Record<string, number>;
  methods: string[];
};

interface Parser {
  initialize(type: number, resource: object, maxHeaderSize: number, lenient: number): void;
  execute(bytes: Uint8Array): number | (Error & { bytesParsed: number; code: string });
  [callback: number]: unknown;
}

export interface Reference {
  verdict: "accept" | "reject" | "incomplete";
  /** The messages whose heads are complete. */
  messages: {
    start: string;
    headers: [string, string][];
    trailers: [string, string][];
    body: string;
    complete: boolean;
  }[];
  /** llhttp's own code for a refusal. */
  code: string | null;
}

const pairs = (flat: string[]): [string, string][] => {
  const out: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) out.push([flat[i]!, flat[i + 1]!]);
  return out;
};

/** What Node's parser makes of `bytes`, fed at once, on a fresh connection. */
export function llhttp(type: "request" | "response", bytes: Uint8Array): Reference {
  const p = new HTTPParser();
  p.initialize(type === "request" ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, 1 << 20, 0);
  const messages: Reference["messages"] = [];
  let begun = 0;
  let ended = 0;
  let early: string[] = [];
  let url = "";
  p[HTTPParser["kOnMessageBegin"]!] = () => {
    begun++;
    early = [];
    url = "";
  };
  p[HTTPParser["kOnHeaders"]!] = (flat: string[], part: string) => {
    if (messages.length === begun) messages.at(-1)!.trailers.push(...pairs(flat));
    else {
      early.push(...flat);
      url += part;
    }
  };
  p[HTTPParser["kOnHeadersComplete"]!] = (
    major: number,
    minor: number,
    flat: string[] | undefined,
    method: number,
    target: string | undefined,
    status: number,
    reason: string,
  ) => {
    const first = type === "request" ? `${methods[method] ?? "QUERY"} ${target ?? url}` : `${status} ${reason}`;
    const headers = pairs(flat ?? early);
    messages.push({ start: `${first} ${major}.${minor}`, headers, trailers: [], body: "", complete: false });
    return 0;
  };
  p[HTTPParser["kOnBody"]!] = (b: Buffer) => void (messages.at(-1)!.body += b.toString("latin1"));
  p[HTTPParser["kOnMessageComplete"]!] = () => {
    ended++;
    messages.at(-1)!.complete = true;
  };
  const r = p.execute(bytes);
  const code = r instanceof Error ? r.code : null;
  return { verdict: code !== null ? "reject" : ended === begun ? "accept" : "incomplete", messages, code };
}
