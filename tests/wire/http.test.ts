import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HttpEntry, HttpError, HttpEvent, HttpParser, HttpType } from "../../assembly/wire/httptypes.ts";
import type { Core } from "../../src/core/core.ts";
import { HttpReader, type HttpMessage } from "../../src/core/http.ts";
import { overBuilds } from "../support/cores.ts";
import { llhttp, type Reference } from "../support/llhttp.ts";
import { agreed, laxer, offsets, stricter, type Type } from "./http.cases.ts";

interface Outcome {
  verdict: "accept" | "reject" | "incomplete";
  messages: { message: HttpMessage; body: string }[];
  error: HttpError;
  offset: number;
  tunnel: string;
}

const bytesOf = (s: string): Uint8Array => Buffer.from(s, "latin1");
const textOf = (b: Uint8Array): string => Buffer.from(b).toString("latin1");

/** Feeds `pieces` to a fresh reader. */
function read(core: Core, type: Type, pieces: readonly Uint8Array[]): Outcome {
  const out: Outcome = { verdict: "accept", messages: [], error: HttpError.None, offset: -1, tunnel: "" };
  const reader = new HttpReader(
    core,
    type === "request" ? HttpType.Request : HttpType.Response,
    {
      begin: (message) => void out.messages.push({ message, body: "" }),
      body: (bytes) => void (out.messages.at(-1)!.body += textOf(bytes)),
      tunnel: (bytes) => void (out.tunnel += textOf(bytes)),
    },
    { nodeMethods: true },
  );
  for (const piece of pieces) if (reader.fault === null) reader.feed(piece);
  if (reader.fault !== null) {
    out.verdict = "reject";
    out.error = reader.fault.error;
    out.offset = reader.fault.offset;
  } else if (!reader.idle) out.verdict = "incomplete";
  reader.release();
  return out;
}

const once = (core: Core, type: Type, input: string): Outcome => read(core, type, [bytesOf(input)]);

/** The messages in the reference's shape. After a refusal only the complete ones are compared. */
function comparable(type: Type, o: Outcome): Reference["messages"] {
  return o.messages
    .filter(({ message: m }) => (o.verdict === "reject" ? m.complete : m.headersComplete))
    .map(({ message: m, body }) => ({
      start: `${type === "request" ? `${m.method} ${m.target}` : `${m.status} ${m.reason}`} ${m.version}`,
      headers: m.headers.map(([n, v]): [string, string] => [n, v]),
      trailers: m.complete ? m.trailers.map(([n, v]): [string, string] => [n, v]) : [],
      body,
      complete: m.complete,
    }));
}

function expected(r: Reference): Reference["messages"] {
  return r.verdict === "reject" ? r.messages.filter((m) => m.complete) : r.messages;
}

overBuilds("http", (make) => {
  const core = make();

  it("reads a request", () => {
    const o = once(core, "request", "PUT /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-E:\r\n\r\nabc");
    expect(o.verdict).toBe("accept");
    expect(o.messages).toEqual([
      {
        message: {
          method: "PUT",
          target: "/a?b",
          version: "1.1",
          status: null,
          reason: "",
          headers: [
            ["Host", "x"],
            ["Content-Length", "3"],
            ["X-E", ""],
          ],
          trailers: [],
          headersComplete: true,
          complete: true,
          persists: true,
        },
        body: "abc",
      },
    ]);
  });

  it("reads a response in chunks with trailers", () => {
    const o = once(
      core,
      "response",
      'HTTP/1.1 200 Fine day\r\nTransfer-Encoding: chunked\r\n\r\n3;x="y"\r\nabc\r\n2\r\nde\r\n0\r\nT: u \r\n\r\n',
    );
    expect(o.verdict).toBe("accept");
    expect(o.messages[0]).toMatchObject({
      message: { method: null, target: null, status: 200, reason: "Fine day", trailers: [["T", "u"]] },
      body: "abcde",
    });
  });

  it("hands bytes behind CONNECT, Upgrade and 101 to the tunnel", () => {
    expect(once(core, "request", "CONNECT a:443 HTTP/1.1\r\n\r\n\x16\x03\x01").tunnel).toBe("\x16\x03\x01");
    expect(
      once(core, "request", "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81").tunnel,
    ).toBe("\x81");
    expect(once(core, "response", "HTTP/1.1 101 Yes\r\n\r\n\x81\0").tunnel).toBe("\x81\0");
  });

  it("agrees with Node's parser on verdicts, heads, bodies and trailers", () => {
    for (const [type, input] of agreed) {
      const o = once(core, type, input);
      const r = llhttp(type, bytesOf(input));
      expect.soft([input, o.verdict, comparable(type, o)]).toEqual([input, r.verdict, expected(r)]);
    }
  });

  it("is stricter than Node's parser where the RFCs are", () => {
    for (const [type, input, offset, rule] of stricter) {
      const o = once(core, type, input);
      expect.soft([input, rule, o.verdict, o.offset]).toEqual([input, rule, "reject", offset]);
    }
  });

  it("accepts what the RFCs allow and Node's parser does not", () => {
    for (const [type, input, rule] of laxer) {
      expect.soft([input, rule, once(core, type, input).verdict]).toEqual([input, rule, "accept"]);
      expect.soft(llhttp(type, bytesOf(input)).verdict).toBe("reject");
    }
  });

  it("names the first byte that breaks the grammar", () => {
    for (const [type, input, offset] of offsets)
      expect.soft([input, once(core, type, input).offset]).toEqual([input, offset]);
  });

  const all = [...agreed, ...stricter, ...laxer, ...offsets];

  it("gives the same answer byte by byte", () => {
    for (const [type, input] of all) {
      const pieces = [...bytesOf(input)].map((b) => Uint8Array.of(b));
      expect.soft([input, read(core, type, pieces)]).toEqual([input, once(core, type, input)]);
    }
  });

  it("gives the same answer cut in two anywhere", () => {
    for (const [type, input] of all) {
      if (input.length > 300) continue;
      const whole = JSON.stringify(once(core, type, input));
      const b = bytesOf(input);
      for (let i = 1; i < b.length; i++) {
        if (JSON.stringify(read(core, type, [b.subarray(0, i), b.subarray(i)])) !== whole)
          expect.fail(`${JSON.stringify(input)} cut at ${i}`);
      }
    }
  });

  it("refuses at the offset and nowhere before", () => {
    for (const [type, input] of all) {
      const o = once(core, type, input);
      if (o.verdict !== "reject") continue;
      expect.soft([input, once(core, type, input.slice(0, o.offset)).verdict]).not.toEqual([input, "reject"]);
      expect.soft([input, once(core, type, input.slice(0, o.offset + 1)).offset]).toEqual([input, o.offset]);
    }
  });

  it("calls every cut of a message incomplete", () => {
    for (const [type, input] of [
      ["request", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"],
      ["request", 'POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4;a="b"\r\nabcd\r\n0\r\nT: u\r\n\r\n'],
      ["response", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"],
    ] as const) {
      for (let i = 1; i < input.length; i++)
        expect([i, once(core, type, input.slice(0, i)).verdict]).toEqual([i, "incomplete"]);
      expect(once(core, type, input).verdict).toBe("accept");
    }
  });

  /** Pieces of messages, to be joined into nearly right ones. */
  const pieces = [
    "GET ",
    "POST ",
    "CONNECT ",
    "/",
    "*",
    "a:80",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 N\r\n",
    "HTTP/1.0 404 \r\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    " ",
    "\0",
    "\x80",
    ":",
    ",",
    ";",
    "Host: a\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: ",
    "chunked",
    "gzip",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: upgrade\r\n",
    "Upgrade: x\r\n",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nT: u\r\n\r\n",
    "5;a=b\r\nhello\r\n",
    "abc",
    '"',
    "=",
    "1f",
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\n",
    "X: y z\r\n",
    "x",
  ];
  const made = fc.array(fc.constantFrom(...pieces), { maxLength: 14 }).map((a) => a.join(""));
  const mutated = fc
    .tuple(
      fc.constantFrom(...agreed.filter(([, s]) => s.length < 400)),
      fc.array(fc.tuple(fc.nat(400), fc.nat(3), fc.constantFrom(...pieces)), { maxLength: 3 }),
    )
    .map(([[type, s], edits]): [Type, string] => {
      for (const [at, cut, piece] of edits) {
        const i = at % (s.length + 1);
        s = s.slice(0, i) + piece + s.slice(i + cut);
      }
      return [type, s];
    });
  const inputs = fc.oneof(mutated, fc.tuple(fc.constantFrom<Type>("request", "response"), made));

  /** The refusals that `stricter` lists; any other must be Node's as well. */
  const own: ReadonlySet<HttpError> = new Set([
    HttpError.BareLf,
    HttpError.BareCr,
    HttpError.Target,
    HttpError.Version,
    HttpError.Method,
    HttpError.Reason,
    HttpError.CodingNotChunked,
    HttpError.CodingOldVersion,
    HttpError.CodingAfterChunked,
    HttpError.CodingInvalid,
    HttpError.ChunkExtension,
    HttpError.AfterClose,
  ]);

  it("never accepts what Node's parser refuses, and refuses more only for the reasons listed (property)", () => {
    fc.assert(
      fc.property(inputs, ([type, input]) => {
        const o = once(core, type, input);
        const r = llhttp(type, bytesOf(input));
        if (o.verdict === "reject") {
          // Node finds some faults a byte or two later, and none in content behind an Upgrade
          const late = r.verdict === "incomplete" && llhttp(type, bytesOf(`${input}X\r\n\r\n`)).verdict === "reject";
          if (r.verdict !== "reject" && !late && !/upgrade/i.test(input))
            expect([input, HttpError[o.error], own.has(o.error)]).toEqual([input, HttpError[o.error], true]);
          return;
        }
        // what of `laxer` the pieces can make: options in trailers, and schemes with more than letters
        if (r.verdict === "reject" && /0\r\n(.+\r\n)*Connection:| [A-Za-z]+[-+.0-9]/.test(input)) return;
        // a lone CR in front of a message is no message to Node
        if (input.endsWith("\r") && r.verdict === "accept") return;
        expect([input, o.verdict, comparable(type, o)]).toEqual([input, r.verdict, r.messages]);
      }),
      { seed: 9112, numRuns: 4000 },
    );
  });

  it("does not care how the bytes are cut (property)", () => {
    fc.assert(
      fc.property(inputs, fc.array(fc.nat(500), { maxLength: 6 }), ([type, input], cuts) => {
        const b = bytesOf(input);
        const at = [0, ...cuts.map((c) => c % (b.length + 1)), b.length].toSorted((x, y) => x - y);
        const cut = at.slice(1).map((end, i) => b.subarray(at[i], end));
        expect(read(core, type, cut)).toEqual(once(core, type, input));
      }),
      { seed: 9112, numRuns: 1000 },
    );
  });

  it("takes any bytes without a trap (property)", () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Type>("request", "response"),
        fc.uint8Array({ maxLength: 400 }),
        fc.nat(3),
        (type, noise, k) => {
          const start = [
            "",
            "GET / HTTP/1.1\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
          ][k]!;
          const o = read(core, type, [bytesOf(start), noise]);
          expect(o.offset).toBeLessThan(start.length + noise.length);
          expect(o.verdict === "reject").toBe(o.error !== HttpError.None);
        },
      ),
      { seed: 9112, numRuns: 2000 },
    );
  });

  it("writes nowhere but into the entries it was given", () => {
    const block = core.x.alloc(4096);
    core.u8.fill(0xa5, block, block + 4096);
    const input = bytesOf("GET / HTTP/1.1\r\nA: b\r\nC: d\r\nE: f\r\n\r\nGET /2 HTTP/1.1\r\nG: h\r\n\r\n");
    const [s, p, out] = [block + 64, block + 512, block + 2048];
    core.u8.set(input, p);
    core.x.httpInit(s, HttpType.Request, false, false);
    let names = 0;
    for (let taken = 0; taken < input.length;) {
      const n = core.x.httpFeed(s, p + taken, input.length - taken, out, 8);
      expect(n).toBeGreaterThan(0);
      taken += n;
      const events = core.u32[(s + HttpParser.Events) >> 2]!;
      expect(events).toBeLessThanOrEqual(8);
      for (let i = 0; i < events; i++)
        if (core.u32[(out + i * HttpEntry.Size) >> 2] === (HttpEvent.Name | HttpEvent.Last)) names++;
    }
    expect(names).toBe(4);
    const guards = [
      [block, s],
      [s + HttpParser.Size, p],
      [p + input.length, out],
      [out + 8 * HttpEntry.Size, block + 4096],
    ] as const;
    for (const [from, to] of guards) expect(core.u8.subarray(from, to).every((b) => b === 0xa5)).toBe(true);
    core.x.release(block, 4096);
  });

  describe("limits", () => {
    it("refuses a head above 64 KiB at its first byte too many", () => {
      const line = "GET / HTTP/1.1\r\n";
      const fits = `${line}A: ${"x".repeat(65536 - line.length - 7)}\r\n\r\n`;
      expect(fits.length).toBe(65536);
      expect(once(core, "request", fits).verdict).toBe("accept");
      const o = once(core, "request", fits.replace("A", "AA"));
      expect([o.verdict, o.error, o.offset]).toEqual(["reject", HttpError.TooLarge, 65536]);
    });

    it("counts each head, the trailers and each chunk's line for themselves", () => {
      const head = `GET / HTTP/1.1\r\nA: ${"x".repeat(40000)}\r\n\r\n`;
      expect(once(core, "request", head + head + head).verdict).toBe("accept");
      const ext = `1;${"e".repeat(40000)}\r\nx\r\n`;
      const post = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
      expect(once(core, "request", `${post}${ext}${ext}0\r\nT: ${"y".repeat(60000)}\r\n\r\n`).verdict).toBe("accept");
      expect(once(core, "request", `${post}1;${"e".repeat(70000)}`).error).toBe(HttpError.TooLarge);
      expect(once(core, "request", `${post}0\r\nT: ${"y".repeat(70000)}`).error).toBe(HttpError.TooLarge);
    });

    it("takes a smaller one", () => {
      const reader = new HttpReader(core, HttpType.Request, {});
      reader.setLimit(20);
      reader.feed(bytesOf("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
      expect(reader.fault).toEqual({ error: HttpError.TooLarge, offset: 20, reason: "head too large" });
      reader.release();
    });

    it("passes content of any length through without keeping it", () => {
      let got = 0;
      const reader = new HttpReader(core, HttpType.Request, { body: (b) => void (got += b.length) });
      const before = core.x.arenaUsed();
      reader.feed(bytesOf(`POST / HTTP/1.1\r\nContent-Length: ${2 ** 40}\r\n\r\n`));
      for (let i = 0; i < 20; i++) reader.feed(new Uint8Array(100_000));
      expect([got, reader.idle, core.x.arenaUsed()]).toEqual([2_000_000, false, before]);
      reader.release();
    });
  });
});
