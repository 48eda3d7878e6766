import { expect, it } from "vitest";
import { HttpAnswers, HttpReader, HttpType } from "../../src/core/http.ts";
import { overBuilds } from "../support/cores.ts";

const bytesOf = (s: string): Uint8Array => Buffer.from(s, "latin1");
const textOf = (b: Uint8Array): string => Buffer.from(b).toString("latin1");

overBuilds("http reader", (make) => {
  const core = make();

  it("takes any method when it is not to be as narrow as Node", () => {
    const seen: (string | null)[] = [];
    const reader = new HttpReader(core, HttpType.Request, { head: (m) => void seen.push(m.method) });
    reader.feed(bytesOf("BREW /pot HTTP/1.1\r\n\r\nget / HTTP/1.1\r\n\r\nCONNECTX /a HTTP/1.1\r\n\r\n"));
    expect([seen, reader.fault]).toEqual([["BREW", "get", "CONNECTX"], null]);
    reader.release();
  });

  it("pauses behind each message, and learns what the next response answers", () => {
    const done: (number | null)[] = [];
    const tunnel: string[] = [];
    const reader = new HttpReader(
      core,
      HttpType.Response,
      { complete: (m) => void done.push(m.status), tunnel: (b) => void tunnel.push(textOf(b)) },
      { pause: true },
    );
    const wire = bytesOf(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab\r\nHTTP/1.1 200 OK\r\n\r\nxyz",
    );
    let at = 0;
    reader.setAnswers(HttpAnswers.Head);
    at += reader.feed(wire.subarray(at));
    expect([done, at]).toEqual([[100], 25]);
    at += reader.feed(wire.subarray(at));
    expect([done, at]).toEqual([[100, 200], 66]);
    reader.setAnswers(HttpAnswers.Other);
    at += reader.feed(wire.subarray(at));
    expect(done).toEqual([100, 200, 200]);
    reader.setAnswers(HttpAnswers.Connect);
    at += reader.feed(wire.subarray(at));
    expect([done, tunnel, at]).toEqual([[100, 200, 200, 200], ["xyz"], wire.length]);
    reader.release();
  });

  it("pauses behind content as well, in the middle of a crowd of events", () => {
    const fields = "A: b\r\n".repeat(50);
    const one = `POST / HTTP/1.1\r\n${fields}Content-Length: 1\r\n\r\nx`;
    const reader = new HttpReader(core, HttpType.Request, {}, { pause: true });
    const wire = bytesOf(one.repeat(3));
    let at = 0;
    for (let i = 1; i <= 3; i++) {
      at += reader.feed(wire.subarray(at));
      expect([at, reader.message!.headers.length, reader.message!.complete]).toEqual([i * one.length, 51, true]);
    }
    reader.release();
  });

  it("lets a response last until the close", () => {
    const done: string[] = [];
    let body = "";
    const reader = new HttpReader(core, HttpType.Response, {
      body: (b) => void (body += textOf(b)),
      complete: (m) => void done.push(`${m.status}`),
    });
    reader.feed(bytesOf("HTTP/1.1 200 OK\r\n\r\nabc"));
    expect([reader.idle, done]).toEqual([false, []]);
    expect(reader.finish()).toBe(true);
    expect([body, done, reader.idle, reader.message!.persists]).toEqual(["abc", ["200"], true, false]);
    reader.release();
  });

  it("says that the close cut a message off", () => {
    for (const [type, input, whole] of [
      [HttpType.Response, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false],
      [HttpType.Response, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", false],
      [HttpType.Request, "GET / HTTP/1.1\r\n", false],
      [HttpType.Request, "GET / HTTP/1.1\r\n\r\n", true],
      [HttpType.Request, "", true],
      [HttpType.Request, "X\0", false],
    ] as const) {
      const reader = new HttpReader(core, type, {});
      reader.feed(bytesOf(input));
      expect([input, reader.finish()]).toEqual([input, whole]);
      reader.release();
    }
  });

  it("cannot be fed from its own sink", () => {
    const reader: HttpReader = new HttpReader(core, HttpType.Request, { head: () => void reader.feed(bytesOf("x")) });
    expect(() => reader.feed(bytesOf("GET / HTTP/1.1\r\n\r\n"))).toThrow("cannot be fed from its own sink");
    reader.release();
  });

  it("gives its memory back", () => {
    const reader = new HttpReader(core, HttpType.Request, {});
    reader.release();
    const used = core.x.arenaUsed();
    for (let i = 0; i < 100; i++) new HttpReader(core, HttpType.Request, {}).release();
    expect(core.x.arenaUsed()).toBe(used);
  });
});
