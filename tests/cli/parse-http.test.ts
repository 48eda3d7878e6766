import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

function parseHttp(stdin: string, ...words: string[]): { status: number | null; lines: unknown[]; stderr: string } {
  const r = spawnSync(process.execPath, ["--import", "tsx", main, "parse-http", ...words], {
    input: stdin,
    encoding: "utf8",
  });
  return {
    status: r.status,
    lines: r.stdout
      .split("\n")
      .filter((l) => l !== "")
      .map((l) => JSON.parse(l) as unknown),
    stderr: r.stderr,
  };
}

const line = (id: unknown, type: string, input: string): string =>
  `${JSON.stringify({ id, type, input: Buffer.from(input, "latin1").toString("hex") })}\n`;

describe("parse-http", () => {
  const cases =
    line(
      1,
      "request",
      "PUT /url HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: \xe9\r\n\r\nGET / HTTP/1.1\r\n",
    ) +
    "\n" +
    line({ any: [null] }, "response", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") +
    line("bad", "request", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n") +
    line(null, "request", "");
  const answers = [
    {
      id: 1,
      verdict: "incomplete",
      messages: [
        {
          method: "PUT",
          target: "/url",
          version: "1.1",
          status: null,
          reason: "",
          headers: [["Transfer-Encoding", "chunked"]],
          body: "6869",
          trailers: [["T", "\xe9"]],
          headers_complete: true,
          complete: true,
        },
        {
          method: "GET",
          target: "/",
          version: "1.1",
          status: null,
          reason: "",
          headers: [],
          body: "",
          trailers: [],
          headers_complete: false,
          complete: false,
        },
      ],
      error: null,
    },
    {
      id: { any: [null] },
      verdict: "accept",
      messages: [
        {
          method: null,
          target: null,
          version: "1.1",
          status: 200,
          reason: "OK",
          headers: [["Content-Length", "0"]],
          body: "",
          trailers: [],
          headers_complete: true,
          complete: true,
        },
      ],
      error: null,
    },
    {
      id: "bad",
      verdict: "reject",
      messages: [
        {
          method: "GET",
          target: "/",
          version: "1.1",
          status: null,
          reason: "",
          headers: [],
          body: "",
          trailers: [],
          headers_complete: false,
          complete: false,
        },
      ],
      error: { offset: 20, reason: "LF without CR in front" },
    },
    { id: null, verdict: "accept", messages: [], error: null },
  ];

  it("answers a line for a line, in order", () => {
    expect(parseHttp(cases)).toEqual({ status: 0, lines: answers, stderr: "" });
    expect(parseHttp(cases.trimEnd(), "--one")).toEqual({ status: 0, lines: answers, stderr: "" });
  });

  it("says what is wrong with its input, and where", () => {
    for (const [stdin, stderr] of [
      ["{\n", "wirepath: stdin:1: expected a JSON object\n"],
      [`${line(1, "request", "")}[]\n`, "wirepath: stdin:2: expected a JSON object\n"],
      ['{"type":"both","input":""}\n', 'wirepath: stdin:1: type: expected "request" or "response"\n'],
      ['{"type":"request","input":"0"}\n', "wirepath: stdin:1: input: expected hexadecimal digits, two a byte\n"],
      ['{"type":"request"}', "wirepath: stdin:1: input: expected hexadecimal digits, two a byte\n"],
    ] as const) {
      const r = parseHttp(stdin);
      expect([r.status, r.stderr]).toEqual([2, stderr]);
    }
  });
});
