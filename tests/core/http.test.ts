import fc from "fast-check";
import { expect, it } from "vitest";
import {
  HttpReader,
  HttpType,
  requestHead,
  responseHead,
  type HttpField,
  type HttpMessage,
} from "../../src/core/http.ts";
import { overBuilds } from "../support/cores.ts";

const TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const text = (b: Uint8Array): string => Buffer.from(b).toString("latin1");

const token = fc.string({ unit: fc.constantFrom(...TOKEN), minLength: 1, maxLength: 12 });
const vchar = fc
  .integer({ min: 0x21, max: 0xff })
  .filter((c) => c !== 0x7f)
  .map((c) => String.fromCharCode(c));
const inner = fc.oneof(vchar, fc.constantFrom(" ", "\t"));
const value = fc.oneof(
  fc.constant(""),
  vchar,
  fc.tuple(vchar, fc.string({ unit: inner, maxLength: 20 }), vchar).map((v) => v.join("")),
);
// what frames the message is not for this test
const field = fc.tuple(
  token.map((t) => `X-${t}`),
  value,
);
const fields = fc.array(field, { maxLength: 8 });

overBuilds("http heads", (make) => {
  const core = make();

  /** The message that the head alone makes; null when it is refused or does not end there. */
  function head(type: HttpType, bytes: Uint8Array): HttpMessage | null {
    let message: HttpMessage | null = null;
    let end = false;
    const reader = new HttpReader(core, type, { head: (m) => void ((message = m), (end = true)) });
    reader.feed(bytes.subarray(0, -1));
    const early = end;
    reader.feed(bytes.subarray(-1));
    const good = reader.fault === null && !early;
    reader.release();
    return good ? message : null;
  }

  it("writes what RFC 9112 §2.1 shows", () => {
    const bytes = requestHead("GET", "/hello.txt", [
      ["User-Agent", "curl/7.64.1"],
      ["Host", "www.example.com"],
      ["Accept-Language", "en, mi"],
    ]);
    expect(text(bytes)).toBe(
      "GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\nAccept-Language: en, mi\r\n\r\n",
    );
    expect(text(responseHead(404, "", [], "1.0"))).toBe("HTTP/1.0 404 \r\n\r\n");
  });

  it("is read back as it was written (property)", () => {
    fc.assert(
      fc.property(
        token.filter((t) => t !== "CONNECT"),
        fc.string({ unit: fc.constantFrom(..."abz09-._~%?#&=/:@"), maxLength: 20 }),
        fields,
        (method, path, headers) => {
          const m = head(HttpType.Request, requestHead(method, `/${path}`, headers));
          expect(m).toMatchObject({ method, target: `/${path}`, version: "1.1", headers });
        },
      ),
      { seed: 1, numRuns: 300 },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 102, max: 999 }),
        fc.string({ unit: inner, maxLength: 20 }),
        fields,
        fc.constantFrom("1.0", "1.1"),
        (status, reason, headers, version) => {
          expect(head(HttpType.Response, responseHead(status, reason, headers, version))).toMatchObject({
            status,
            reason,
            version,
            headers,
          });
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  it("refuses what would be read as something else", () => {
    const field = (name: string, value: string) => () => requestHead("GET", "/", [[name, value]] satisfies HttpField[]);
    for (const value of ["a\r\nB: c", "a\nb", "a\rb", "a\0b", "\x7f", " a", "a ", "\ta", "a\u0100", "\u{1f600}"])
      expect(field("X", value), JSON.stringify(value)).toThrow("cannot be sent");
    for (const name of ["", "a b", "a:", "a\r\n", "\xe9", "(a)"])
      expect(field(name, "v"), name).toThrow("expected a token");
    for (const method of ["", "GET ", "GE T", "G\r\n"])
      expect(() => requestHead(method, "/", []), method).toThrow("expected a token");
    for (const target of ["", "/ ", "/a b", "/\r\n", "/\xe9", "/\0", "/\n"])
      expect(() => requestHead("GET", target, []), target).toThrow("expected visible ASCII");
    for (const reason of ["a\r\nb", "a\n", "\0", "\u0100"])
      expect(() => responseHead(200, reason, []), reason).toThrow("cannot be sent");
    for (const status of [99, 1000, 20.5, NaN, -1])
      expect(() => responseHead(status, "", []), String(status)).toThrow("expected 100 to 999");
    expect(() => requestHead("GET", "/", [], "2.0")).toThrow("expected 1.0 or 1.1");
  });
});
