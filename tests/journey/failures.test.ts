// Failures as a browser sees them, and whether the story names their cause.

import { describe, expect, it } from "vitest";
import { loopOf } from "../../src/socket/loop.ts";
import { AuthoritativeServer } from "../../src/service/dns/authoritative.ts";
import { Zone } from "../../src/service/dns/zone.ts";
import { programHost } from "../../src/service/program.ts";
import { type Journey, travel } from "../../src/node/journey.ts";
import type { Outcome } from "../../src/node/journey.ts";
import { drive } from "../../src/node/driver.ts";
import { labFile, opened, type Travelled } from "./support.ts";

const URL = "http://www.example.com/";

/** A browser and a server, a router between; no name servers, no database. */
const small = (services: string, netem = "delay 5ms"): string => `
journey: { from: pc }
nodes:
  pc:
    interfaces: { eth0: { addresses: [10.0.1.2/24] } }
    routes: ["default via 10.0.1.1"]
  router:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { eth0: { addresses: [10.0.1.1/24] }, eth1: { addresses: [10.0.2.1/24] } }
  server:
    interfaces: { eth0: { addresses: [10.0.2.2/24] } }
    routes: ["default via 10.0.2.1"]
    services: [${services}]
links:
  - { endpoints: ["pc:eth0", "router:eth0"], netem: "${netem}" }
  - { endpoints: ["router:eth1", "server:eth0"], netem: "${netem}" }
`;
const HERE = "http://10.0.2.2/";

function stop(j: Journey, node: string, name: string): void {
  j.lab.programs
    .get(node)!
    .find((p) => p.name === name)!
    .stop();
}

function why(t: Travelled): string {
  return t.causes.join("\n");
}

describe("the server's side", () => {
  it("a database that does not run: 500, and the refusal is told", async () => {
    const t = await opened(labFile("apart"), URL, { before: (j) => stop(j, "db", "postgres") });
    expect(t.got).toBe("500");
    expect(why(t)).toContain("app app: the database failed: connect ECONNREFUSED 10.0.2.10:5432");
    expect(why(t)).toContain("db resets app (10.0.1.10) - db (10.0.2.10):5432");
  });

  it("an application that does not run: 502; no server at all: refused", async () => {
    const t = await opened(labFile("apart"), URL, { before: (j) => stop(j, "app", "app") });
    expect(t.got).toBe("502");
    expect(why(t)).toContain("web proxy: upstream 10.0.1.10:8000: ECONNREFUSED");
    const nothing = await opened(small("{ app: { port: 8080 } }"), HERE, { postgres: false });
    expect([nothing.got, nothing.failure!.code]).toEqual(["ERR_CONNECTION_REFUSED", "ECONNREFUSED"]);
    expect(why(nothing)).toContain("server resets pc (10.0.1.2) - server (10.0.2.2):80");
  });

  it("an application that is too slow: 504 when the proxy's patience ends", async () => {
    const services =
      '{ app: { port: 8000, work: 90s } }, { proxy: { upstreams: ["127.0.0.1:8000"], read_timeout: 5s } }';
    const t = await opened(small(services), HERE, { postgres: false });
    expect(t.got).toBe("504");
    expect(why(t)).toContain("server proxy: upstream 127.0.0.1:8000: ETIMEOUT, no answer in time");
    const [step] = t.page!.steps;
    expect((step!.timing.firstByte - step!.timing.sent) / 1e9).toBeCloseTo(5.02, 2);
  });

  it("a process that dies with a request in its hands: reset", async () => {
    const t = await opened(small("{ app: { work: 10s } }"), HERE, {
      postgres: false,
      before: (j) => void j.lab.world.clock.after(1e9, () => stop(j, "server", "app")),
    });
    expect([t.got, t.failure!.code]).toEqual(["ERR_CONNECTION_RESET", "ECONNRESET"]);
    expect(why(t)).toContain("server resets");
  });

  it("a full listen queue: the kernel drops the SYN, the browser tries again and gives up", async () => {
    const lab = small("{ app: { processes: 1, threads: 1, backlog: 1, work: 1000s } }");
    const t = await opened(lab, HERE, {
      postgres: false,
      before: (j) => {
        // one is served, two wait: a queue of one holds one more than it says, as Linux's does
        for (let i = 0; i < 3; i++) j.browser.open(`${HERE}?${i}`, {}, () => {});
        j.lab.world.clock.advance(1e9);
      },
    });
    expect(t.failure).not.toBeNull();
    expect(t.got).toMatch(/TIMED_OUT/);
    expect(why(t)).toContain("TcpListenOverflow");
    expect(why(t)).toMatch(/pc sent TCP SYN .* again \(\d+ times\)/);
  });

  it("updates wait for each other's lock, reading does not", async () => {
    const { journey } = await opened(small("{ app: { work: 1ms, update: 100ms } }", "delay 1ms"), HERE, {
      postgres: false,
    });
    const { lab, browser } = journey;
    const { clock } = lab.world;
    const begun = clock.now;
    const times: number[] = [];
    let read = 0;
    await drive(lab.world, () => {
      return new Promise<void>((resolve) => {
        for (let i = 0; i < 4; i++) {
          browser.open(`${HERE}posts`, { json: { name: `n${i}`, body: "b" } }, (_f, page) => {
            expect(page!.status).toBe(201);
            times.push((clock.now - begun) / 1e6);
            if (times.length === 4) loopOf(lab.world).post({ turn: resolve });
          });
        }
        browser.open(HERE, {}, () => (read = (clock.now - begun) / 1e6));
      });
    });
    // a millisecond of the processor each on two processes, then a tenth of a second one after the other
    expect(times.map((t) => Math.round(t / 100))).toEqual([1, 2, 3, 4]);
    expect(read).toBeLessThan(20);
  });
});

describe("the way there", () => {
  it("a record that expired and is gone: the page as long as it is cached, NXDOMAIN after that", async () => {
    const t = await opened(labFile("single"), URL);
    expect(t.got).toBe("200");
    const { journey } = t;
    const { lab } = journey;
    stop(journey, "authoritative", "named");
    const zone = Zone.parse("@ 3600 SOA ns1 h 2 1 1 1 60\n@ 3600 NS ns1\nns1 3600 A 192.0.2.53\n", "example.com");
    new AuthoritativeServer({ zones: [zone] }).start(programHost(lab.nodes.get("authoritative")!));
    const again = async (seconds: number): Promise<Outcome> => {
      lab.world.clock.advance(lab.world.clock.now + seconds * 1e9);
      return travel(journey, `${URL}about.html`);
    };
    expect((await again(200)).page!.status).toBe(200);
    const gone = await again(120);
    expect([gone.failure!.error, gone.failure!.code]).toEqual(["ERR_NAME_NOT_RESOLVED", "ENOTFOUND"]);
  });

  it("a name that nobody has", async () => {
    const t = await opened(labFile("single"), "http://nothing.example.com/");
    expect([t.got, t.failure!.code]).toEqual(["ERR_NAME_NOT_RESOLVED", "ENOTFOUND"]);
    expect(why(t)).toContain("authoritative says: nothing.example.com A: NXDOMAIN (authoritative)");
  });

  it("a route that is gone: unreachable, and the router that knows no way says so", async () => {
    const t = await opened(labFile("single"), URL, {
      before: (j) => {
        const { fib } = j.lab.nodes.get("transit2")!;
        fib.command("route del 198.51.100.0/24");
        fib.command("route add unreachable 198.51.100.0/24");
      },
    });
    expect(t.got).toBe("ERR_ADDRESS_UNREACHABLE");
    expect(why(t)).toContain("transit2 dropped TCP SYN");
    expect(why(t)).toContain("transit2 says: host unreachable");
  });

  it("two routers that send it to each other: the time to live ends", async () => {
    const t = await opened(labFile("single"), URL, {
      before: (j) => j.lab.nodes.get("transit2")!.fib.command("route del 198.51.100.0/24"),
    });
    expect(t.got).toBe("ERR_ADDRESS_UNREACHABLE");
    expect(why(t)).toContain("TtlExceeded");
    expect(why(t)).toContain("says: time to live exceeded");
  });

  it("an uplink that loses a third: the page comes late, and what was lost and sent again is told", async () => {
    const lossy = labFile("single").replace(
      '"home:wan", "isp:to-home"], netem: "delay 4ms"',
      '"home:wan", "isp:to-home"], netem: "delay 4ms loss 33%"',
    );
    expect(lossy).toContain("loss 33%");
    const told: string[] = [];
    let late = 0;
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const t = await opened(lossy, URL, { seed });
      expect(t.got).toMatch(/^(200|ERR_NAME_NOT_RESOLVED)$/);
      if (t.causes.length > 0) told.push(why(t));
      if (t.journey.lab.world.clock.now > 3.5e9) late++;
    }
    expect(told.join("\n")).toContain("LinkLoss");
    expect(told.join("\n")).toMatch(/again/);
    expect(late).toBeGreaterThan(0);
  });

  it("a firewall that drops in silence: timed out", async () => {
    const lab = small("{ app: {} }").replace(
      "interfaces: { eth0: { addresses: [10.0.1.1/24] }",
      'iptables: "*filter\\n:FORWARD DROP\\nCOMMIT\\n"\n    interfaces: { eth0: { addresses: [10.0.1.1/24] }',
    );
    const t = await opened(lab, HERE, { postgres: false });
    expect([t.got, t.failure!.code]).toEqual(["ERR_CONNECTION_TIMED_OUT", "ETIMEDOUT"]);
    expect(why(t)).toMatch(/router dropped TCP SYN .*Netfilter/);
  });
});
