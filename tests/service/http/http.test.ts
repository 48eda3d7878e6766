// The HTTP server, client and browser against each other, against hostile bytes, and against Node's own over the same packets.

import { createServer, get } from "node:http";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drive } from "../../../src/node/driver.ts";
import { gzipCodec } from "../../../src/node/gzip.ts";
import { runOn } from "../../../src/node/program.ts";
import { StaticFiles, pathOf } from "../../../src/service/http/files.ts";
import { field, httpDate, type HttpHandler, type HttpRequest, toText } from "../../../src/service/http/message.ts";
import { CookieJar } from "../../../src/service/http/cookies.ts";
import { ReverseProxy } from "../../../src/service/http/proxy.ts";
import { HttpServer } from "../../../src/service/http/server.ts";
import { listenTcp } from "../../../src/service/stream.ts";
import { routed } from "../../support/hosts.ts";
import { pair } from "./support.ts";

const HERE = "http://www.example.com/";
const hello: HttpHandler = (q, reply) => reply({ status: 200, body: `${q.method} ${q.target} ${toText(q.body)}` });

describe("the server", () => {
  it("answers what is pipelined in order, whatever pieces it comes in, and closes when asked", () => {
    const p = pair();
    // answers come the other way round
    const handler: HttpHandler = (q, reply) => {
      const wait = q.target === "/a" ? 50e6 : 1e6;
      p.world.clock.after(wait, () => reply({ status: 200, body: q.target }));
    };
    new HttpServer("web", { port: 80 }, handler).start(p.server);
    const bytes =
      "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (const piece of [1, 7, 1000]) {
      const { text, closed } = p.raw(bytes, piece);
      expect(closed).toBe(true);
      expect(text.match(/\r\n\r\n\/[abc]/g)).toEqual(["\r\n\r\n/a", "\r\n\r\n/b", "\r\n\r\n/c"]);
      expect(text.match(/Connection: close/g)).toHaveLength(1);
    }
  });

  it.each([
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["GET / HTTP/1.1\nHost: a\n\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
    ["GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(20000)}\r\n\r\n`, 431],
    [`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n${"z".repeat(1100000)}`, 413],
  ])("refuses what breaks RFC 9112 (%#)", (bytes, status) => {
    const p = pair();
    const asked: HttpRequest[] = [];
    new HttpServer("web", { port: 80 }, (q) => asked.push(q)).start(p.server);
    const { text, closed } = p.raw(bytes);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect([closed, asked.length]).toEqual([true, 0]);
  });

  it("a head that does not come: 408; an idle connection: closed; HEAD: no content; Expect: 100", () => {
    const p = pair();
    const s = new HttpServer("web", { port: 80, requestTimeout: 1e9, keepAlive: 1e9 }, hello);
    s.start(p.server);
    expect(p.raw("GET / HT").text).toMatch(/^HTTP\/1\.1 408 /);
    expect(p.raw("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")).toMatchObject({ closed: true });
    const head = p.raw("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n").text;
    expect(head).toMatch(/Content-Length: 8\r\n\r\n$/);
    const expects = p.raw("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", 70).text;
    expect(expects).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    expect(p.raw("GET / HTTP/1.0\r\n\r\n").text).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(s.connections.size).toBe(0);
  });

  it("survives any bytes (property)", () => {
    const p = pair();
    const s = new HttpServer("web", { port: 80, requestTimeout: 1e9, keepAlive: 1e9 }, hello);
    s.start(p.server);
    const word = fc.constantFrom(
      "GET ",
      "POST ",
      "/ ",
      "HTTP/1.1",
      "\r\n",
      "Host: a",
      "Content-Length: 5",
      "\0",
      ":",
      "\n",
    );
    const bytes = fc.oneof(
      fc.array(word, { maxLength: 12 }).map((w) => w.join("")),
      fc.string({ maxLength: 60 }),
    );
    fc.assert(
      fc.property(bytes, fc.integer({ min: 1, max: 30 }), (b, piece) => {
        const { text } = p.raw(b, piece);
        expect(text === "" || /^HTTP\/1\.1 \d{3} /.test(text)).toBe(true);
        expect(s.connections.size).toBe(0);
      }),
      { numRuns: 60 },
    );
    expect(p.open(HERE).page!.status).toBe(200);
  });

  it("stops: connections are reset, the port is free", () => {
    const p = pair();
    const s = new HttpServer("web", { port: 80 }, () => {});
    s.start(p.server);
    expect(() => new HttpServer("other", { port: 80 }, hello).start(p.server)).toThrow("EADDRINUSE");
    p.world.clock.after(1e9, () => s.stop());
    expect(p.open(HERE).failure!.code).toBe("ECONNRESET");
    new HttpServer("other", { port: 80 }, hello).start(p.server);
    expect(p.open(HERE).page!.status).toBe(200);
  });
});

describe("the browser", () => {
  it("redirects: 303 turns POST to GET, 307 keeps it, circles end", () => {
    const p = pair();
    const seen: string[] = [];
    new HttpServer("web", { port: 80 }, (q, reply) => {
      seen.push(`${q.method} ${q.target} ${toText(q.body)}`);
      const to: Record<string, [number, string]> = {
        "/303": [303, "/end"],
        "/307": [307, "end?x"],
        "/round": [302, "/round"],
      };
      const [status, location] = to[q.target] ?? [200, ""];
      reply({ status, headers: location === "" ? [] : [["Location", location]], body: "done" });
    }).start(p.server);
    expect(p.open(`${HERE}303`, { form: { a: "1 &" } }).page!.url).toBe(`${HERE}end`);
    expect(p.open(`${HERE}307`, { json: [1] }).page!.url).toBe(`${HERE}end?x`);
    expect(seen).toEqual(["POST /303 a=1+%26", "GET /end ", "POST /307 [1]", "POST /end?x [1]"]);
    expect(p.open(`${HERE}round`).failure!.error).toBe("ERR_TOO_MANY_REDIRECTS");
    // all of it on one connection
    expect(p.browser.client.connections).toBe(1);
  });

  it("gzip is decoded; what is none is an error", () => {
    const p = pair();
    new HttpServer("web", { port: 80 }, (q, reply) => {
      expect(field(q.headers, "accept-encoding")).toBe("gzip");
      const headers = [["Content-Encoding", "gzip"]] as const;
      if (q.target === "/bad") return reply({ status: 200, headers, body: "no gzip" });
      gzipCodec.gzip(new TextEncoder().encode("x".repeat(5000)), (body) => reply({ status: 200, headers, body }));
    }).start(p.server);
    expect(toText(p.open(HERE).page!.body)).toBe("x".repeat(5000));
    expect(p.open(`${HERE}bad`).failure!.error).toBe("ERR_CONTENT_DECODING_FAILED");
  });

  it("cookies come back where they belong", () => {
    const p = pair();
    const seen: (string | null)[] = [];
    new HttpServer("web", { port: 80 }, (q, reply) => {
      seen.push(field(q.headers, "cookie"));
      reply({
        status: 200,
        headers: [
          ["Set-Cookie", "a=1; Path=/"],
          ["Set-Cookie", "b=2; Path=/in; Max-Age=5"],
          ["Set-Cookie", "c=3; Domain=com"],
        ],
      });
    }).start(p.server);
    for (const path of ["", "in/x", "inside"]) p.open(HERE + path);
    p.run(6);
    p.open(`${HERE}in/x`);
    p.open("http://other.example.com/");
    expect(seen).toEqual([null, "b=2; a=1", "a=1", "a=1", null]);
  });

  it("a kept connection that the server closed meanwhile is made anew; an answer that breaks off is an error", () => {
    const p = pair();
    new HttpServer("web", { port: 80, keepAlive: 1e9 }, hello).start(p.server);
    expect(p.open(HERE).page!.steps[0]!.reused).toBe(false);
    expect(p.open(HERE).page!.steps[0]!.reused).toBe(true);
    p.run(5);
    expect(p.open(HERE).page!.steps[0]!.reused).toBe(false);
    const q = pair();
    const answers = [
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
      "SSH-2.0-x\r\n",
      "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    ];
    const acceptor = listenTcp(q.server, { address: 0, port: 80, backlog: 5 }, () => {
      const s = acceptor.accept()!;
      s.owner = {
        ended: () => {},
        failed: () => {},
        data: () => {
          s.send(Uint8Array.from(answers.shift()!, (c) => c.charCodeAt(0)));
          s.finish();
        },
      };
    });
    expect(q.open(HERE).failure!.code).toBe("ECONNRESET");
    expect(q.open(HERE).failure!.code).toBe("EBADRESPONSE");
    expect(toText(q.open(HERE).page!.body)).toBe("until the end");
  });

  it("what is no URL", () => {
    const p = pair();
    expect(() => p.browser.open("ftp://a/", {}, () => {})).toThrow("expected http or https, not ftp:");
    expect(() => p.browser.open("http://", {}, () => {})).toThrow("'http://' is no URL");
    expect(p.open("http://nobody.test/").failure).toMatchObject({ error: "ERR_NAME_NOT_RESOLVED", code: "ENOTFOUND" });
  });
});

describe("cookies", () => {
  it("are refused where they would reach too far (RFC 6265 §5.3)", () => {
    const jar = new CookieJar();
    const url = new URL("http://a.example.com/x/y");
    for (const line of ["=v", "novalue", "a=1; Domain=other.com", "a=1; Domain=com", "a=\x01", "s=1; Secure"])
      jar.take(line, url, 0);
    expect(jar.size).toBe(0);
    jar.take("up=1; Domain=.example.com", url, 0);
    jar.take("gone=1; Max-Age=0", url, 0);
    jar.take("old=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT", url, 5e9);
    expect(jar.give(new URL("http://b.example.com/x/z"), 0)).toBe("up=1");
    expect(jar.give(new URL("http://example.org/x/"), 0)).toBe("");
  });
});

describe("files", () => {
  const files = new StaticFiles(
    [
      ["/index.html", "<h1>home</h1>"],
      ["/a.txt", "0123456789"],
      ["/d/index.html", "d"],
    ],
    1_577_836_800_000_000_000n,
  );
  const ask = (target: string, headers: [string, string][] = [], method = "GET") =>
    files.answer({
      method,
      target,
      headers,
      body: new Uint8Array(0),
      client: { address: 0, port: 0 },
      local: { address: 0, port: 0 },
    });

  it("types, validators, ranges, what is not there", () => {
    const a = ask("/a.txt");
    expect([a.status, field(a.headers!, "content-type")]).toEqual([200, "text/plain; charset=utf-8"]);
    expect(field(a.headers!, "last-modified")).toBe("Wed, 01 Jan 2020 00:00:00 GMT");
    const etag = field(a.headers!, "etag")!;
    expect(ask("/a.txt", [["If-None-Match", `"x", W/${etag}`]]).status).toBe(304);
    expect(ask("/a.txt", [["If-Modified-Since", "Wed, 01 Jan 2020 00:00:00 GMT"]]).status).toBe(304);
    expect(ask("/").status).toBe(200);
    expect(ask("/d")).toMatchObject({ status: 301, headers: [["Location", "/d/"]] });
    expect(ask("/nothing").status).toBe(404);
    expect(ask("/a.txt", [], "PUT").status).toBe(405);
    const range = (r: string): unknown[] => {
      const x = ask("/a.txt", [["Range", r]]);
      return [x.status, toText(x.body as Uint8Array)];
    };
    expect(range("bytes=2-4")).toEqual([206, "234"]);
    expect(range("bytes=-3")).toEqual([206, "789"]);
    expect(range("bytes=8-")).toEqual([206, "89"]);
    expect(range("bytes=0-1,3-4")).toEqual([200, "0123456789"]);
    expect(ask("/a.txt", [["Range", "bytes=10-"]]).status).toBe(416);
  });

  it("a path never leaves its root (property)", () => {
    expect(pathOf("/a/../b/./c/?x#y")).toBe("/b/c/");
    expect([pathOf("/../etc/passwd"), pathOf("/%2e%2e/x"), pathOf("*"), pathOf("/%zz"), pathOf("/a%00")]).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
    fc.assert(
      fc.property(fc.array(fc.constantFrom("..", ".", "a", "", "%2e%2e", "%2f"), { maxLength: 8 }), (parts) => {
        const path = pathOf(`/${parts.join("/")}`);
        if (path !== null) expect(path.split("/").includes("..") && !path.includes("%")).toBe(false);
      }),
    );
  });

  it("dates as RFC 9110 has them", () => {
    expect(httpDate(784_111_777_000_000_000n)).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
  });
});

describe("the proxy", () => {
  it("takes turns, passes over who is down, tells who asked, and never repeats a POST", () => {
    const p = pair();
    const seen: string[] = [];
    const back = (port: number): HttpServer => {
      const s = new HttpServer(`back${port}`, { port }, (q, reply) => {
        seen.push(
          `${port} ${q.method} ${field(q.headers, "x-forwarded-for")} ${field(q.headers, "host")} ${field(q.headers, "x-hop")}`,
        );
        reply({ status: 200, body: String(port) });
      });
      s.start(p.server);
      return s;
    };
    const [one] = [back(8001), back(8002)];
    const upstreams = [8001, 8002].map((port) => ({ host: "127.0.0.1", port }));
    new ReverseProxy({ port: 80, upstreams, files: new StaticFiles([["/s.css", "s"]]) }).start(p.server);
    const hop = {
      headers: [
        ["Connection", "x-hop"],
        ["X-Hop", "1"],
      ] as const,
    };
    expect([0, 1, 2].map(() => toText(p.open(HERE, hop).page!.body))).toEqual(["8001", "8002", "8001"]);
    expect(seen[0]).toBe("8001 GET 10.0.1.2 www.example.com null");
    expect(toText(p.open(`${HERE}s.css`).page!.body)).toBe("s");
    expect(seen).toHaveLength(3);
    one!.stop();
    expect([0, 1, 2].map(() => toText(p.open(HERE).page!.body))).toEqual(["8002", "8002", "8002"]);
  });
});

describe("beside Node's own", () => {
  it("our browser reads node:http's answers, node:http ours, over the same packets", async () => {
    const { lab, client, server } = routed("delay 2ms");
    const { Browser } = await import("../../../src/service/http/browser.ts");
    await drive(lab.world, async () => {
      await runOn(server, async () => {
        const s = createServer((q, r) => {
          let body = "";
          q.on("data", (b) => (body += String(b)));
          // chunked
          q.on("end", () => {
            r.write(`${q.method} ${body} `);
            setTimeout(() => r.end("late"), 20);
          });
        });
        await new Promise<void>((resolve) => s.listen(8080, resolve));
      });
      new HttpServer("ours", { port: 80 }, hello).start(server);
      const names = { resolve4: (_: string, cb: (e: null, a: string[]) => void): void => cb(null, ["10.0.2.2"]) };
      const browser = new Browser(client, { names });
      const text = await new Promise<string>((resolve) =>
        browser.open("http://server:8080/", { form: { a: "b" } }, (_f, page) => resolve(toText(page!.body))),
      );
      expect(text).toBe("POST a=b late");
      const theirs = await runOn(client, () => {
        return new Promise<string>((resolve) => {
          get("http://server/x", (r) => {
            let all = "";
            r.on("data", (b) => (all += String(b))).on("end", () => resolve(all));
          });
        });
      });
      expect(theirs).toBe("GET /x ");
    });
  });
});
