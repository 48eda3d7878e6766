// A resolver among servers that are right, slow, gone, lame, or against it.

import { describe, expect, it } from "vitest";
import { type DnsDraft, type DnsMessage, type DnsRecord } from "../../../src/core/dns.ts";
import { packetBytes } from "../../../src/core/packet.ts";
import { parsePrefix } from "../../../src/core/address.ts";
import { MS, SECOND } from "../../../src/link/clock.ts";
import { parseNetem } from "../../../src/host/netemwords.ts";
import { Rank } from "../../../src/service/dns/cache.ts";
import { Zone } from "../../../src/service/dns/zone.ts";
import { DnsServer } from "../../../src/service/dns/server.ts";
import { dig, ip, network, type Net, resolved, resolver, serve, show, shown, until } from "../../support/dns.ts";

const ROOT = "10.0.0.1";
const TLD = "10.0.0.2";
const ONE = "10.0.0.3";
const TWO = "10.0.0.4";
const R = "10.8.8.8";
const C = "10.9.9.9";
const all = [ROOT, TLD, ONE, TWO, R, C];

const soa = (zone: string, ttl = 60, minimum = 60): string => `${zone} ${ttl} SOA ns m 1 2 3 4 ${minimum}\n`;
const rootZone = `${soa(".", 86400, 86400)}. 86400 NS ns.\nns. 86400 A ${ROOT}\ncom. 86400 NS ns.com.\nns.com. 86400 A ${TLD}\n`;
const comZone = (text: string): string => `${soa("@", 3600, 900)}@ 3600 NS ns\nns 3600 A ${TLD}\n${text}`;
const hints = { hints: [ip(ROOT)] };

/** The root and com; `com` holds the delegations below it. */
function internet(com: string, options: { netem?: string; seed?: number } = {}): Net {
  const net = network(all, options);
  serve(net, ROOT, { ".": rootZone });
  serve(net, TLD, { com: comZone(com) });
  return net;
}

const example = `example 3600 NS ns.example\nns.example 3600 A ${ONE}\n`;
const exampleZone = (text: string): string => `${soa("@", 600, 300)}@ 600 NS ns\nns 600 A ${ONE}\n${text}`;
const wait = (net: Net, seconds: number): void => net.world.clock.advance(net.world.clock.now + seconds * SECOND);
const answers = (m: { answers: readonly DnsRecord[] }): string[] => m.answers.map((r) => show(r));

/** A server that answers as it likes. */
function liar(net: Net, address: string, answer: (q: DnsMessage) => DnsDraft | null): DnsServer {
  return new DnsServer(net.host(address), (q, _, reply) => {
    const draft = answer(q);
    if (draft !== null) reply({ aa: true, questions: q.questions, ...draft });
  });
}

const a = (name: string, address: string, ttl = 600): DnsRecord => ({
  name,
  class: 1,
  ttl,
  type: "A",
  address: ip(address),
});
const ns = (name: string, target: string, ttl = 600): DnsRecord => ({ name, class: 1, ttl, type: "NS", target });

describe("what is known already", () => {
  it("is answered from the cache while its TTL lasts, and asked for again after that", () => {
    const net = internet(example);
    const old = serve(net, ONE, { "example.com": exampleZone("www 300 A 192.0.2.1\n") });
    const r = resolver(net, R, hints);
    const first = dig(net, C, R, "www.example.com", "A");
    expect(shown(first)).toEqual({
      rcode: "NOERROR",
      aa: false,
      answers: ["www.example.com 300 A 192.0.2.1"],
      authorities: [],
      additionals: [],
    });
    expect(first.ra).toBe(true);
    expect(r.queries).toBe(3);
    old.stop();
    serve(net, ONE, { "example.com": exampleZone("www 300 A 192.0.2.2\n") });
    wait(net, 100);
    expect(answers(dig(net, C, R, "WWW.example.com", "A"))).toEqual(["WWW.example.com 200 A 192.0.2.1"]);
    wait(net, 199);
    expect(answers(dig(net, C, R, "www.example.com", "A"))).toEqual(["www.example.com 1 A 192.0.2.1"]);
    expect(r.queries).toBe(3);
    wait(net, 1);
    expect(answers(dig(net, C, R, "www.example.com", "A"))).toEqual(["www.example.com 300 A 192.0.2.2"]);
    expect(r.queries).toBe(4);
  });

  it("is also that there is nothing, as long as RFC 2308 §5 says", () => {
    const net = internet(example);
    const old = serve(net, ONE, { "example.com": exampleZone("www 300 A 192.0.2.1\n") });
    const r = resolver(net, R, hints);
    expect(dig(net, C, R, "new.example.com", "A").rcode).toBe(3);
    expect(shown(dig(net, C, R, "www.example.com", "TXT"))).toMatchObject({ rcode: "NOERROR", answers: [] });
    const before = r.queries;
    wait(net, 100);
    // the name does not exist for any type, and its SOA's TTL runs down
    const nothing = dig(net, C, R, "new.example.com", "MX");
    expect(nothing.rcode).toBe(3);
    expect(nothing.authorities.map((s) => show(s))).toEqual([
      "example.com 200 SOA ns.example.com m.example.com 1 2 3 4 300",
    ]);
    expect(r.queries).toBe(before);
    // NODATA is of its type alone
    expect(answers(dig(net, C, R, "www.example.com", "A"))).toHaveLength(1);
    old.stop();
    serve(net, ONE, { "example.com": exampleZone("new 300 A 192.0.2.9\n") });
    wait(net, 190);
    expect(dig(net, C, R, "new.example.com", "A").rcode).toBe(3);
    wait(net, 20);
    expect(answers(dig(net, C, R, "new.example.com", "A"))).toEqual(["new.example.com 300 A 192.0.2.9"]);
  });

  it("is nothing with a TTL of 0, or with one whose highest bit is set (RFC 2181 §8)", () => {
    const net = internet(example);
    liar(net, ONE, (q) => {
      const ttl = q.questions[0]!.name.startsWith("zero") ? 0 : 0x80000001;
      return { answers: [a(q.questions[0]!.name, "192.0.2.1", ttl)] };
    });
    const r = resolver(net, R, hints);
    for (const name of ["zero.example.com", "high.example.com"]) {
      expect(dig(net, C, R, name, "A").answers).toHaveLength(1);
      const before = r.queries;
      expect(dig(net, C, R, name, "A").answers).toHaveLength(1);
      expect(r.queries).toBe(before + 1);
    }
  });

  it("is bounded: what was used least goes", () => {
    const net = internet(example);
    serve(net, ONE, { "example.com": exampleZone("* 300 A 192.0.2.1\n") });
    const r = resolver(net, R, { ...hints, cacheSize: 20 });
    for (let i = 0; i < 50; i++) resolved(net, r, `n${i}.example.com`, "A");
    expect(r.cache.size).toBe(20);
    expect(r.cache.get("n49.example.com", 1)).not.toBeNull();
    expect(r.cache.get("n1.example.com", 1)).toBeNull();
    // the delegation was used each time
    expect(r.cache.get("example.com", 2, Rank.Glue)).not.toBeNull();
  });
});

describe("questions", () => {
  it("that are equal and under way are one", () => {
    const net = internet(example, { netem: "delay 10ms" });
    serve(net, ONE, { "example.com": exampleZone("www 300 A 192.0.2.1\n") });
    const r = resolver(net, R, hints);
    let n = 0;
    for (let i = 0; i < 10; i++) r.resolve(i % 2 === 0 ? "www.example.com" : "WWW.Example.com", 1, () => n++);
    until(net, () => n === 10);
    expect(n).toBe(10);
    expect(r.queries).toBe(3);
    expect(r.coalesced).toBe(9);
  });

  it("come from random ports with random ids, the same for the same seed", () => {
    const run = (seed: number): string => {
      const net = internet(example, { seed });
      const seen: string[] = [];
      liar(net, ONE, (q) => ({ answers: [a(q.questions[0]!.name, "192.0.2.1")] }));
      net.lab.nodes.get("h4")!.byName.get("eth0")!.tap = (_, frame, out) => {
        const bytes = Buffer.from(packetBytes(net.world.core, frame));
        if (out && bytes[23] === 17) seen.push(`${bytes.readUInt16BE(34)} ${bytes.readUInt16BE(42)}`);
      };
      const r = resolver(net, R, { ...hints, mixedCase: true });
      for (let i = 0; i < 30; i++) resolved(net, r, `n${i}.example.com`, "A");
      expect(seen.length).toBeGreaterThanOrEqual(32);
      // each its own, but for chance
      expect(new Set(seen.map((s) => s.split(" ")[0])).size).toBeGreaterThan(seen.length - 4);
      expect(new Set(seen.map((s) => s.split(" ")[1])).size).toBeGreaterThan(seen.length - 4);
      return seen.join("\n");
    };
    expect(run(1)).toBe(run(1));
    expect(run(1)).not.toBe(run(2));
  });

  it("are refused to strangers, and where no recursion is desired", () => {
    const net = internet(example);
    serve(net, ONE, { "example.com": exampleZone("www 300 A 192.0.2.1\n") });
    resolver(net, R, { ...hints, allow: [parsePrefix("10.9.0.0/16")!] });
    expect(dig(net, C, R, "www.example.com", "A").rcode).toBe(0);
    expect(shown(dig(net, TWO, R, "www.example.com", "A"))).toMatchObject({ rcode: "REFUSED", answers: [] });
    const open = network(all);
    const s = resolver(open, R, hints);
    const socket = open.host(C).udp.open();
    const bytes = Uint8Array.of(0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 1, 0, 1);
    socket.send(bytes, 0, bytes.length, ip(R), 53);
    wait(open, 1);
    const room = new Uint8Array(100);
    socket.receive(room);
    expect(room[3]! & 15).toBe(5);
    expect(s.queries).toBe(0);
  });
});

describe("servers", () => {
  it("without glue are looked for; in a circle they end as SERVFAIL", () => {
    const net = internet(
      [
        example,
        "glueless 3600 NS ns.example",
        "left 3600 NS ns.right",
        "right 3600 NS ns.left",
        "self 3600 NS a.self",
        "half 3600 NS ns.left",
        "half 3600 NS ns.example\n",
      ].join("\n"),
    );
    const zone = exampleZone("www 300 A 192.0.2.1\n");
    serve(net, ONE, { "example.com": zone, "glueless.com": zone, "half.com": zone });
    const r = resolver(net, R, hints);
    expect(answers(dig(net, C, R, "www.glueless.com", "A"))).toEqual(["www.glueless.com 300 A 192.0.2.1"]);
    for (const name of ["www.left.com", "www.right.com", "www.self.com"]) {
      const before = net.world.clock.now;
      expect(dig(net, C, R, name, "A").rcode).toBe(2);
      expect(net.world.clock.now - before).toBeLessThan(SECOND);
    }
    expect(answers(dig(net, C, R, "www.half.com", "A"))).toHaveLength(1);
    expect(r.pending).toBe(0);
    expect(r.queries).toBeLessThan(40);
  });

  it("that do not serve the zone are passed over and remembered", () => {
    const net = internet(
      "two 3600 NS ns1.two\ntwo 3600 NS ns2.two\nns1.two 3600 A 10.0.0.3\nns2.two 3600 A 10.0.0.4\n",
      {
        netem: "delay 1ms",
      },
    );
    let asked = 0;
    liar(net, ONE, () => {
      asked++;
      // upward, to the root
      return { aa: false, authorities: [ns(".", "ns")] };
    });
    serve(net, TWO, { "two.com": `${soa("@")}@ 60 NS ns2\nns2 60 A ${TWO}\n* 5 A 192.0.2.4\n` });
    const r = resolver(net, R, hints);
    for (let i = 0; i < 30; i++) expect(dig(net, C, R, `n${i}.two.com`, "A").rcode).toBe(0);
    expect(asked).toBe(1);
    expect(r.servers.isLame(ip(ONE), "two.com")).toBe(true);
    expect(r.servers.isLame(ip(TWO), "two.com")).toBe(false);
  });

  it("that are near are preferred, the others tried now and then", () => {
    const net = internet(
      "two 3600 NS ns1.two\ntwo 3600 NS ns2.two\nns1.two 3600 A 10.0.0.3\nns2.two 3600 A 10.0.0.4\n",
      {
        netem: "delay 1ms",
      },
    );
    net.lab.links[2]!.setNetem(net.lab.nodes.get("h2")!.byName.get("eth0")!, parseNetem("delay 80ms"));
    const zone = `${soa("@")}@ 60 NS ns2\nns2 60 A ${TWO}\n* 5 A 192.0.2.4\n`;
    const count = [0, 0];
    const serving = [serve(net, ONE, { "two.com": zone }), serve(net, TWO, { "two.com": zone })];
    const r = resolver(net, R, hints);
    serving.forEach((s, i) => {
      const own = s.authority.answer.bind(s.authority);
      s.authority.answer = (q) => {
        count[i]!++;
        return own(q);
      };
    });
    for (let i = 0; i < 200; i++) resolved(net, r, `n${i}.two.com`, "A");
    expect(count[0]).toBeGreaterThanOrEqual(1);
    expect(count[1]).toBeGreaterThan(180);
  });

  it("that are dead cost time, not the answer; when all are, SERVFAIL comes within ten seconds and is remembered", () => {
    const net = internet(
      "two 3600 NS ns1.two\ntwo 3600 NS ns2.two\nns1.two 3600 A 192.0.2.250\nns2.two 3600 A 10.0.0.4\ndead 3600 NS ns.dead\nns.dead 3600 A 10.0.0.5\n",
    );
    serve(net, TWO, { "two.com": `${soa("@")}@ 60 NS ns2\nns2 60 A ${TWO}\n* 5 A 192.0.2.4\n` });
    resolver(net, R, hints);
    for (let i = 0; i < 20; i++) expect(dig(net, C, R, `n${i}.two.com`, "A").rcode).toBe(0);
    // nobody there takes it, and nobody says so
    const silent = network(all);
    serve(silent, ROOT, { ".": rootZone });
    serve(silent, TLD, { com: comZone(example) });
    liar(silent, ONE, () => null);
    const s = resolver(silent, R, hints);
    const from = silent.world.clock.now;
    expect(resolved(silent, s, "www.example.com", "A").rcode).toBe(2);
    const took = silent.world.clock.now - from;
    expect(took).toBeGreaterThan(5 * SECOND);
    expect(took).toBeLessThanOrEqual(10 * SECOND);
    const before = s.queries;
    expect(resolved(silent, s, "www.example.com", "A").rcode).toBe(2);
    expect(s.queries).toBe(before);
    wait(silent, 6);
    expect(resolved(silent, s, "www.example.com", "A").rcode).toBe(2);
    expect(s.queries).toBeGreaterThan(before);
  });

  it("that do not know EDNS are asked without, and that change letters over TCP", () => {
    const net = internet(example);
    const seen: string[] = [];
    liar(net, ONE, (q) => {
      const { name } = q.questions[0]!;
      const edns = q.additionals.length > 0;
      seen.push(edns ? "edns" : "plain");
      if (edns) return { rcode: 1, questions: [] };
      return {
        questions: [{ ...q.questions[0]!, name: name.toLowerCase() }],
        answers: [a(name.toLowerCase(), "192.0.2.1")],
      };
    });
    const r = resolver(net, R, { ...hints, mixedCase: true });
    expect(answers(resolved(net, r, "www.example.com", "A"))).toEqual(["www.example.com 600 A 192.0.2.1"]);
    expect(seen).toEqual(["edns", "plain", "plain"]);
    resolved(net, r, "other.example.com", "A");
    expect(seen.slice(3)).toEqual(["plain", "plain"]);
  });

  it("whose addresses were forgotten before their names are asked for above", () => {
    const net = internet(`short 3600 NS ns.short\nns.short 10 A ${ONE}\n`);
    serve(net, ONE, { "short.com": `${soa("@")}@ 3600 NS ns\nns 10 A ${ONE}\n* 5 A 192.0.2.1\n` });
    const r = resolver(net, R, hints);
    expect(resolved(net, r, "a.short.com", "A").rcode).toBe(0);
    wait(net, 100);
    expect(r.cache.get("short.com", 2, Rank.Glue)).not.toBeNull();
    expect(resolved(net, r, "b.short.com", "A").rcode).toBe(0);
  });

  it("that moved are found again when the old ones answer no more", () => {
    const net = network(all);
    serve(net, ROOT, { ".": rootZone });
    const before = serve(net, TLD, { com: comZone(example) });
    const old = serve(net, ONE, { "example.com": exampleZone("* 5 A 192.0.2.1\n") });
    const r = resolver(net, R, hints);
    expect(resolved(net, r, "a.example.com", "A").rcode).toBe(0);
    before.stop();
    old.stop();
    serve(net, TLD, { com: comZone(`example 3600 NS ns.example\nns.example 3600 A ${TWO}\n`) });
    serve(net, TWO, { "example.com": exampleZone("* 5 A 192.0.2.2\n") });
    expect(answers(resolved(net, r, "b.example.com", "A"))).toEqual(["b.example.com 5 A 192.0.2.2"]);
  });
});

describe("against", () => {
  it("loops and endless chains of aliases: SERVFAIL", () => {
    const net = internet(`${example}other 3600 NS ns.example\n`);
    const chain = Array.from({ length: 20 }, (_, i) => `c${i} 60 CNAME c${i + 1}\n`).join("");
    serve(net, ONE, {
      "example.com": exampleZone(`loop 60 CNAME pool\npool 60 CNAME loop\nout 60 CNAME out.other.com.\n${chain}`),
      "other.com": exampleZone("out 60 CNAME out.example.com.\n"),
    });
    const r = resolver(net, R, hints);
    for (const name of ["loop.example.com", "out.example.com", "c0.example.com"]) {
      expect(shown(dig(net, C, R, name, "A"))).toMatchObject({ rcode: "SERVFAIL", answers: [] });
    }
    expect(r.queries).toBeLessThan(60);
  });

  it("amplification: a delegation to a hundred names costs a few questions (NXNSAttack)", () => {
    const net = internet(`${example}victim 3600 NS ns.victim\nns.victim 3600 A ${TWO}\n`);
    let hit = 0;
    liar(net, TWO, () => {
      hit++;
      return { rcode: 3 };
    });
    liar(net, ONE, (q) => ({
      aa: false,
      authorities: Array.from({ length: 12 }, (_, i) =>
        ns(q.questions[0]!.name, `n${i}.${q.questions[0]!.name.split(".")[0]}.victim.com`),
      ),
    }));
    const r = resolver(net, R, hints);
    for (let i = 0; i < 5; i++) expect(resolved(net, r, `a${i}.example.com`, "A").rcode).toBe(2);
    expect(hit).toBeLessThanOrEqual(5 * 4);
    expect(r.queries).toBeLessThan(50);
  });

  it("delegations without end: the question's budget ends it", () => {
    const net = internet(example);
    liar(net, ONE, (q) => {
      const { name } = q.questions[0]!;
      // a server's name needs another server's name, and so on
      const n = Number(/\d+/.exec(name)?.[0] ?? 0) + 1;
      return { aa: false, authorities: [ns(name, `x${n}.x.example.com`)] };
    });
    const r = resolver(net, R, { ...hints, limits: { queries: 40 } });
    expect(resolved(net, r, "www.example.com", "A").rcode).toBe(2);
    expect(r.queries).toBeLessThanOrEqual(41);
    until(net, () => r.pending === 0);
    expect(r.pending).toBe(0);
  });

  it("records from outside the server's zone: they are not believed", () => {
    const net = internet(`${example}victim 3600 NS ns.victim\nns.victim 3600 A ${TWO}\n`);
    serve(net, TWO, { "victim.com": `${soa("@")}@ 60 NS ns\nns 60 A ${TWO}\nwww 60 A 192.0.2.80\n` });
    liar(net, ONE, (q) => ({
      answers: [
        a(q.questions[0]!.name, "192.0.2.1"),
        a("www.victim.com", "203.0.113.66"),
        { name: "alias.example.com", class: 1, ttl: 600, type: "CNAME", target: "www.victim.com" },
      ],
      authorities: [ns("victim.com", "ns.example.com"), ns("com", "ns.example.com")],
      additionals: [
        a("www.victim.com", "203.0.113.66"),
        a("ns.victim.com", "203.0.113.66"),
        a("ns.com", "203.0.113.66"),
      ],
    }));
    const r = resolver(net, R, hints);
    expect(answers(resolved(net, r, "www.example.com", "A"))).toEqual(["www.example.com 600 A 192.0.2.1"]);
    expect(answers(resolved(net, r, "www.victim.com", "A"))).toEqual(["www.victim.com 60 A 192.0.2.80"]);
    for (const { key, entry } of r.cache.list()) {
      for (const rec of entry.records) {
        if (rec.type === "A") expect(`${key} ${rec.address === ip("203.0.113.66")}`).toBe(`${key} false`);
      }
    }
    expect(r.cache.get("com", 2, Rank.Glue)!.records.map((x) => show(x, false))).toEqual(["com NS ns.com"]);
  });

  it("glue, and answers behind an alias, for names of others", () => {
    const net = internet(`${example}victim 3600 NS ns.victim\nns.victim 3600 A ${TWO}\n`);
    serve(net, TWO, { "victim.com": `${soa("@")}@ 60 NS ns\nns 60 A ${TWO}\nwww 60 A 192.0.2.80\n` });
    liar(net, ONE, (q) => {
      const { name } = q.questions[0]!;
      const evil = a("www.victim.com", "203.0.113.66");
      if (name === "www.example.com") {
        return { answers: [{ name, class: 1, ttl: 60, type: "CNAME", target: "www.victim.com" }, evil] };
      }
      return {
        aa: false,
        authorities: [ns("sub.example.com", "ns.victim.com")],
        additionals: [a("ns.victim.com", "203.0.113.66")],
      };
    });
    const r = resolver(net, R, hints);
    expect(answers(resolved(net, r, "www.example.com", "A"))[1]).toBe("www.victim.com 60 A 192.0.2.80");
    resolved(net, r, "x.sub.example.com", "A");
    expect(r.cache.get("ns.victim.com", 1, Rank.Glue)!.records.map((x) => show(x, false))).toEqual([
      `ns.victim.com A ${TWO}`,
    ]);
    // what is believed further stays when less is said later
    r.cache.put("k.test", 1, [a("k.test", "192.0.2.1")], Rank.Authoritative);
    r.cache.put("k.test", 1, [a("k.test", "192.0.2.2")], Rank.Glue);
    expect(r.cache.get("k.test", 1)!.records.map((x) => show(x, false))).toEqual(["k.test A 192.0.2.1"]);
  });

  it("glue: it finds servers, and is no answer (RFC 2181 §5.4.1)", () => {
    const net = internet(example);
    // the zone says otherwise than the glue above it
    serve(net, ONE, { "example.com": `${soa("@")}@ 60 NS ns\nns 60 A 192.0.2.53\nwww 60 A 192.0.2.1\n` });
    const r = resolver(net, R, hints);
    resolved(net, r, "www.example.com", "A");
    expect(r.cache.get("ns.example.com", 1)).toBeNull();
    expect(r.cache.get("ns.example.com", 1, Rank.Glue)).not.toBeNull();
    expect(answers(resolved(net, r, "ns.example.com", "A"))).toEqual(["ns.example.com 60 A 192.0.2.53"]);
  });

  it("a domain that was taken away and keeps itself alive", () => {
    const net = network(all);
    serve(net, ROOT, { ".": rootZone });
    const tld = serve(net, TLD, { com: comZone(`ghost 100 NS ns.ghost\nns.ghost 100 A ${ONE}\n`) });
    serve(net, ONE, { "ghost.com": `${soa("@", 86400)}@ 86400 NS ns\nns 86400 A ${ONE}\n* 1 A 192.0.2.1\n` });
    const r = resolver(net, R, hints);
    expect(resolved(net, r, "a.ghost.com", "A").rcode).toBe(0);
    tld.stop();
    serve(net, TLD, { com: comZone("") });
    // its own NS, with a TTL of a day, asked for again and again
    for (let i = 0; i < 9; i++) {
      wait(net, 10);
      expect(resolved(net, r, "ghost.com", "NS").rcode).toBe(0);
      expect(resolved(net, r, "ns.ghost.com", "A").rcode).toBe(0);
    }
    wait(net, 20);
    expect(resolved(net, r, "b.ghost.com", "A").rcode).toBe(3);
  });

  it("answers that nobody asked for", () => {
    const net = internet(example, { netem: "delay 50ms" });
    serve(net, ONE, { "example.com": exampleZone("www 300 A 192.0.2.1\n") });
    const r = resolver(net, R, hints);
    const result: string[] = [];
    r.resolve("www.example.com", 1, (x) => result.push(...answers(x)));
    // somebody else's datagrams, to every port that the resolver has open, with every answer but the right id
    const forger = net.host(TWO).udp.open();
    for (let t = 0; t < 20; t++) {
      net.world.clock.advance(net.world.clock.now + 20 * MS);
      for (const s of net.host(R).udp.sockets()) {
        forger.send(new Uint8Array(40), 0, 40, ip(R), s.localPort);
      }
    }
    until(net, () => result.length > 0);
    expect(result).toEqual(["www.example.com 300 A 192.0.2.1"]);
  });
});

describe("a resolver that forwards", () => {
  it("hands questions on, keeps the answers, and goes to the next where one is dead", () => {
    const net = internet(example);
    serve(net, ONE, { "example.com": exampleZone("www 300 CNAME web\nweb 300 A 192.0.2.1\nbig 1 TXT x\n") });
    const upstream = resolver(net, R, hints);
    const r = resolver(net, TWO, { forwards: [[".", [ip("192.0.2.99"), ip(R)]]] });
    expect(answers(dig(net, C, TWO, "www.example.com", "A"))).toEqual([
      "www.example.com 300 CNAME web.example.com",
      "web.example.com 300 A 192.0.2.1",
    ]);
    const before = upstream.queries;
    wait(net, 10);
    expect(answers(dig(net, C, TWO, "web.example.com", "A"))).toEqual(["web.example.com 290 A 192.0.2.1"]);
    expect(dig(net, C, TWO, "none.example.com", "A").rcode).toBe(3);
    expect(dig(net, C, TWO, "none.example.com", "A").rcode).toBe(3);
    expect(upstream.queries).toBe(before + 1);
    expect(r.pending).toBe(0);
  });

  it("sends one zone elsewhere, and answers its own", () => {
    const net = internet(example);
    serve(net, ONE, {
      "example.com": exampleZone("www 300 A 192.0.2.1\n"),
      "corp.internal": exampleZone("db 60 A 10.1.1.1\n"),
    });
    const own = Zone.parse(
      `${soa("@")}@ 60 NS ns\nns 60 A ${R}\nweb 60 A 10.2.0.5\nout 60 CNAME www.example.com.\n`,
      "vpc",
    );
    resolver(net, R, { ...hints, forwards: [["corp.internal", [ip(ONE)]]], zones: [own] });
    expect(answers(dig(net, C, R, "db.corp.internal", "A"))).toEqual(["db.corp.internal 60 A 10.1.1.1"]);
    expect(shown(dig(net, C, R, "web.vpc", "A"))).toMatchObject({ aa: true, answers: ["web.vpc 60 A 10.2.0.5"] });
    expect(answers(dig(net, C, R, "out.vpc", "A"))).toEqual([
      "out.vpc 60 CNAME www.example.com",
      "www.example.com 300 A 192.0.2.1",
    ]);
    expect(dig(net, C, R, "no.vpc", "A").rcode).toBe(3);
  });

  it("knows names that come and go", () => {
    const net = internet(example);
    serve(net, ONE, { "example.com": exampleZone("www 300 A 192.0.2.1\nto 300 CNAME db.\n") });
    resolver(net, R, hints);
    const containers = new Map([["db", "172.18.0.2"]]);
    const r = resolver(net, TWO, {
      forwards: [[".", [ip(R)]]],
      local: (name, type) => {
        const address = containers.get(name.toLowerCase());
        return address === undefined ? null : type === 1 ? [a(name, address)] : [];
      },
    });
    expect(answers(dig(net, C, TWO, "DB", "A"))).toEqual(["DB 600 A 172.18.0.2"]);
    expect(shown(dig(net, C, TWO, "db", "AAAA"))).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect(r.queries).toBe(0);
    expect(answers(dig(net, C, TWO, "to.example.com", "A"))).toHaveLength(2);
    expect(answers(dig(net, C, TWO, "www.example.com", "A"))).toHaveLength(1);
    containers.delete("db");
    expect(dig(net, C, TWO, "db", "A").rcode).toBe(3);
  });
});
