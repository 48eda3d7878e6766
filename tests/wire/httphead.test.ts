import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";
import { HttpEntry, HttpSpan } from "../../assembly/wire/httptypes.ts";
import { overBuilds } from "../support/cores.ts";

interface Sample {
  readonly input: string;
  readonly fields: Readonly<Record<string, readonly string[]>>;
}

const samples = readFileSync(new URL("../../fixtures/http-head.ndjson", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Sample);

const names: Readonly<Record<number, string>> = {
  [HttpSpan.Method]: "request.method",
  [HttpSpan.Uri]: "request.uri",
  [HttpSpan.RequestVersion]: "request.version",
  [HttpSpan.RequestLine]: "request.line",
  [HttpSpan.ResponseVersion]: "response.version",
  [HttpSpan.Code]: "response.code",
  [HttpSpan.Phrase]: "response.phrase",
  [HttpSpan.ResponseLine]: "response.line",
};

overBuilds("http head", (make) => {
  const core = make();
  const MAX = 64;
  const block = core.x.alloc(8192);
  const out = block + 4096;

  /** The spans' texts by field; the bytes around input and entries must stay as they were. */
  function spans(input: Uint8Array, max = MAX): Record<string, string[]> {
    core.u8.fill(0xa5, block, block + 8192);
    const p = block + 16;
    core.u8.set(input, p);
    const n = core.x.httpHead(p, input.length, out, max);
    expect(n).toBeLessThanOrEqual(max);
    const fields: Record<string, string[]> = {};
    for (let i = 0; i < n; i++) {
      const word = (out + i * HttpEntry.Size) >> 2;
      const [kind, at, len] = [core.u32[word]!, core.u32[word + 1]!, core.u32[word + 2]!];
      expect(at + len).toBeLessThanOrEqual(input.length);
      let text = Buffer.from(core.u8.subarray(p + at, p + at + len)).toString("latin1");
      // Wireshark shows the code as a number, 0 for no digits
      if (kind === HttpSpan.Code) text = String(parseInt(text, 10) || 0);
      (fields[names[kind]!] ??= []).push(text);
    }
    expect(Buffer.compare(core.u8.subarray(p, p + input.length), input)).toBe(0);
    for (const [from, to] of [
      [block, p],
      [p + input.length, out],
      [out + n * HttpEntry.Size, block + 8192],
    ] as const) {
      expect(core.u8.subarray(from, to).every((b) => b === 0xa5)).toBe(true);
    }
    return fields;
  }

  it("sees what Wireshark sees in a segment", () => {
    expect(samples.length).toBeGreaterThan(500);
    for (const { input, fields } of samples)
      expect.soft([input, spans(Buffer.from(input, "latin1"))]).toEqual([input, fields]);
  });

  it("gives spans inside the segment at every cut", () => {
    for (const { input } of samples.slice(0, 120)) {
      for (let n = 0; n < input.length; n++) expect(spans(Buffer.from(input.slice(0, n), "latin1"))).toBeDefined();
    }
  });

  it("stops when the entries are full", () => {
    const input = Buffer.from(`GET / HTTP/1.1\r\n${"A: b\r\n".repeat(50)}\r\n`);
    expect(spans(input, 5)["request.line"]).toEqual(["A: b\r\n", "A: b\r\n"]);
    expect(spans(input, 0)).toEqual({});
  });

  it("reads any bytes (property)", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("", "GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        fc.uint8Array({ maxLength: 300 }),
        (start, noise) => {
          const fields = spans(Buffer.concat([Buffer.from(start), noise]));
          expect(fields["request.method"]?.[0]).toBe(start.startsWith("GET") ? "GET" : fields["request.method"]?.[0]);
        },
      ),
      { seed: 1, numRuns: 500 },
    );
  });
});
