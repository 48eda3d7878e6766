// The bundled journeys: their text and capture, the same each time, and what tshark makes of every frame.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { toText } from "../../src/service/http/message.ts";
import { have } from "../support/have.ts";
import { STATELESS } from "../support/tshark.ts";
import { freshDatabase, labFile, opened } from "./support.ts";

const URL = "http://www.example.com/";
const labs = ["single", "apart", "containers"];

describe.each(labs)("%s", (lab) => {
  it("the same seed gives the same text and the same capture", async () => {
    const one = await opened(labFile(lab), URL, { engine: await freshDatabase() });
    const two = await opened(labFile(lab), URL, { engine: await freshDatabase() });
    expect(two.lines).toEqual(one.lines);
    expect(two.capture.equals(one.capture)).toBe(true);
    const other = await opened(labFile(lab), URL, { seed: 4711 });
    expect(other.capture.equals(one.capture)).toBe(false);
    expect(other.got).toBe("200");
  });

  it.skipIf(!have("tshark"))(
    "tshark: no frame malformed, no bad checksum, each protocol decoded as meant",
    async () => {
      const { capture } = await opened(labFile(lab), URL);
      const dir = mkdtempSync(join(tmpdir(), "wirepath-journey-"));
      try {
        const file = join(dir, "journey.pcapng");
        writeFileSync(file, capture);
        // a packet is seen at each device: each frame is read for itself
        const checks = STATELESS.flatMap((o) => ["-o", o]);
        const run = (filter: string, ...fields: string[]): string[] => {
          const wanted = fields.length === 0 ? [] : ["-T", "fields", ...fields.flatMap((f) => ["-e", f])];
          return execFileSync(
            "tshark",
            ["-n", ...checks, "-d", "tcp.port==8000,http", "-r", file, "-Y", filter, ...wanted],
            {
              encoding: "utf8",
              timeout: 60_000,
            },
          )
            .split("\n")
            .filter((l) => l !== "");
        };
        const bad = "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0";
        expect(run(bad)).toEqual([]);
        // all that carries data is of a protocol that it knows
        expect(run("(udp && !dns && !icmp) || (tcp.len > 0 && !http && !pgsql)")).toEqual([]);
        expect(new Set(run("dns && dns.flags.response == 0", "dns.qry.name"))).toEqual(new Set(["www.example.com"]));
        expect(new Set(run("http.request", "http.request.line")).size).toBeGreaterThan(0);
        expect(new Set(run("http.response", "http.response.code"))).toEqual(new Set(["200"]));
        // on one machine the database is asked over loopback, which is no device to capture at
        const asked = run("pgsql.query", "pgsql.query").some((q) => q.includes("SELECT id, name, body FROM posts"));
        expect(asked).toBe(lab !== "single");
        const interfaces = new Set(run("frame", "frame.interface_name"));
        expect(interfaces.has("pc:eth0")).toBe(true);
        if (lab === "containers") expect(interfaces.has("host:docker0")).toBe(true);
      } finally {
        rmSync(dir, { recursive: true });
      }
    },
  );
});

describe("https", () => {
  it("TLS is told from the outside, and the same page comes", async () => {
    const { got, lines, page } = await opened(labFile("containers"), "https://www.example.com/");
    expect(got).toBe("200");
    expect(toText(page!.body)).toContain("It came back");
    const text = lines.join("\n");
    expect(text).toContain("ClientHello for www.example.com");
    expect(text).toContain("ServerHello");
    expect(text).toContain("SELECT id, name, body FROM posts");
  });

  it("is told in the same words each time, though Node's TLS draws random numbers of its own", async () => {
    const one = await opened(labFile("apart"), "https://www.example.com/");
    const two = await opened(labFile("apart"), "https://www.example.com/");
    expect(two.lines).toEqual(one.lines);
  });

  it("a name that the certificate does not have", async () => {
    const { failure } = await opened(labFile("containers"), "https://198.51.100.20/");
    expect(failure!.code).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  });

  it.skipIf(!have("tshark"))("the capture holds the secrets: tshark reads the request", async () => {
    const { capture } = await opened(labFile("containers"), "https://www.example.com/");
    const dir = mkdtempSync(join(tmpdir(), "wirepath-journey-"));
    try {
      const file = join(dir, "journey.pcapng");
      writeFileSync(file, capture);
      const fields = ["-T", "fields", "-e", "http.host", "-Y", "tls && http.request"];
      const out = execFileSync("tshark", ["-n", "-r", file, ...fields], { encoding: "utf8", timeout: 60_000 });
      expect(out).toContain("www.example.com");
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe("what is told", () => {
  it("each server that is asked, each router's route, each translation, the processes, the query, the page", async () => {
    const { lines } = await opened(labFile("containers"), URL);
    const text = lines.join("\n");
    const inOrder = [
      "pc asks resolver (203.0.113.53): www.example.com A?",
      "nat -A POSTROUTING -s 192.168.1.0/24 -o wan -j MASQUERADE",
      /src 192\.168\.1\.10:\d+ -> 203\.0\.113\.10:\d+, ttl 64 -> 63/,
      "resolver asks root (198.41.0.4): www.example.com A?",
      "root answers resolver (203.0.113.53): ask the servers of com: a.gtld-servers.net 192.5.6.30",
      "resolver asks tld (192.5.6.30)",
      "resolver asks authoritative (192.0.2.53)",
      "example.com A 198.51.100.20, for 300 s (authoritative)",
      "pc opens a connection to host (198.51.100.20):80: SYN",
      "route 198.51.100.0/24 via 100.64.0.10 dev to-dc",
      "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.4:80",
      "route 172.17.0.0/16 dev docker0",
      "dst 198.51.100.20:80 -> 172.17.0.4:80, ttl 59 -> 58",
      "web accepts: SYN, ACK",
      "GET / HTTP/1.1",
      "web [nginx] passes GET / to 172.17.0.3:8000",
      "app [app] process 1 thread 1 takes GET / from 172.17.0.4",
      "app to db (172.17.0.2): logs in: user postgres, database postgres",
      "app to db (172.17.0.2): SELECT id, name, body FROM posts ORDER BY id DESC LIMIT $1",
      "db to app (172.17.0.3): 2 rows, SELECT 2",
      "web to home (203.0.113.10): HTTP/1.1 200 OK",
      "src 172.17.0.4:80 -> 198.51.100.20:80",
      /dst 203\.0\.113\.10:\d+ -> 192\.168\.1\.10:\d+/,
      "pc [browser] shows http://www.example.com/: 200 OK",
      "closes: FIN",
    ];
    let at = 0;
    for (const wanted of inOrder) {
      const rest = text.slice(at);
      const found = typeof wanted === "string" ? rest.indexOf(wanted) : rest.search(wanted);
      expect(found, `${String(wanted)} behind byte ${at}`).toBeGreaterThanOrEqual(0);
      at += found;
    }
  });

  it("verbose: the frame's bytes, and those that each hop changed", async () => {
    const { lines } = await opened(labFile("single"), URL, { verbose: true });
    const text = lines.join("\n");
    expect(text).toMatch(/0000 {2}02 [0-9a-f ]+ 08 00 45 00 {2}\S/);
    // a router: new addresses of the link, the time to live one less, the checksum one more
    expect(text).toMatch(/0016: 3f -> 3e/);
  });
});

describe("forms", () => {
  it("a form is posted, answered by a redirect, and the page shows it", async () => {
    const { page, lines } = await opened(labFile("containers"), "http://www.example.com/posts", {
      visit: { form: { name: "linus", body: "a <b>post</b>" } },
    });
    expect(page!.steps.map((s) => `${s.method} ${s.status} ${s.reused ? "kept" : "new"}`)).toEqual([
      "POST 303 new",
      "GET 200 kept",
    ]);
    expect(toText(page!.body)).toContain("<b>linus</b>: a &#60;b&#62;post&#60;/b&#62;");
    expect(lines.join("\n")).toContain("INSERT INTO posts (name, body) VALUES ($1, $2) RETURNING id");
  });

  it("JSON is posted, and answered with what was made", async () => {
    const { page } = await opened(labFile("apart"), "http://www.example.com/posts", {
      visit: { json: { name: "x", body: "'); DROP TABLE posts; --" } },
    });
    expect([page!.status, toText(page!.body)]).toEqual([201, '{"id":3}']);
  });
});
