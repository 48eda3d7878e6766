// Rules that a property test makes up go through the installed iptables tools and through ours: both print the same.

import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Iptables } from "../../../src/host/netfilter/iptables/iptables.ts";
import { coreOf } from "../../support/cores.ts";
import { FakeHost } from "./fake.ts";

const ns = `wpnf${process.pid}`;

function run(words: string[], input = ""): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(words[0]!, words.slice(1), { input, encoding: "utf8" });
}

const there =
  process.getuid?.() === 0 &&
  run(["iptables-nft", "--version"]).status === 0 &&
  run(["iptables-legacy", "--version"]).status === 0 &&
  run(["ip", "-V"]).status === 0;
if (!there) process.stderr.write("live iptables: skipped, it needs root, iptables-nft, iptables-legacy and ip\n");

const port = fc.integer({ min: 0, max: 65535 });
const ports = fc.oneof(
  port.map(String),
  fc.tuple(port, port).map(([a, b]) => `${Math.min(a, b)}:${Math.max(a, b)}`),
);
const some = ports.filter((p) => p !== "0:65535");
const not = fc.constantFrom("", "! ");
const octet = fc.integer({ min: 0, max: 255 });
const address = fc.tuple(octet, octet, octet, octet).map((a) => a.join("."));
const network = fc.tuple(address, fc.integer({ min: 1, max: 32 })).map(([a, n]) => `${a}/${n}`);
const byte = octet.map(String);
const mark = fc.integer({ min: 0, max: 0xffffffff }).map((v) => `0x${v.toString(16)}`);
const flags = fc
  .subarray(["SYN", "ACK", "FIN", "RST", "PSH", "URG"])
  .map((f) => (f.length === 0 ? "NONE" : f.join(",")));
const text = fc.string({ unit: fc.constantFrom(..."ab \"'\\|-_.:/#$"), minLength: 1, maxLength: 12 });
const quoted = text.map((t) => `"${t.replace(/["\\]/g, "\\$&")}"`);
const say = (...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> => fc.tuple(...parts).map((p) => p.join(""));
const word = (s: string): fc.Arbitrary<string> => fc.constant(s);

const matches = fc.oneof(
  say(not, word("-s "), network),
  say(not, word("-d "), network),
  word("-i eth+"),
  word("! -o docker0"),
  say(word("-p tcp "), not, word("--dport "), some),
  say(word("-p udp --sport "), some, word(" "), not, word("--dport "), some),
  say(word("-p tcp "), not, word("--tcp-flags "), flags, word(" "), flags),
  say(word("-m mark "), not, word("--mark "), mark, word("/"), mark),
  say(word("-m connmark "), not, word("--mark "), mark),
  say(word("-m comment --comment "), quoted),
  say(word("-m ttl --ttl-lt "), byte),
  say(word("-m tos "), not, word("--tos "), byte, word("/"), byte),
  say(
    word("-m limit --limit "),
    fc.integer({ min: 1, max: 9000 }).map(String),
    fc.constantFrom("/sec", "/min", "/hour"),
  ),
  say(word("-m length "), not, word("--length "), port.map(String)),
  say(
    word("-m conntrack "),
    not,
    word("--ctstate "),
    fc
      .subarray(["NEW", "INVALID", "RELATED", "ESTABLISHED", "SNAT", "DNAT", "UNTRACKED"], { minLength: 1 })
      .map((s) => s.join(",")),
  ),
  say(
    word("-m addrtype "),
    not,
    word("--dst-type "),
    fc.subarray(["LOCAL", "UNICAST", "BROADCAST", "MULTICAST"], { minLength: 1 }).map((s) => s.join(",")),
  ),
  say(word("-m statistic --mode random --probability 0."), fc.integer({ min: 0, max: 99999 }).map(String)),
  say(word("-m string --algo bm --string "), quoted),
);
const targets = fc.oneof(
  word("-j ACCEPT"),
  word("-j DROP"),
  word("-j RETURN"),
  say(word("-j MARK --set-mark "), mark, word("/"), mark),
  say(word("-j CONNMARK --set-xmark "), mark, word("/"), mark),
  say(word("-j TOS --set-tos "), byte, word("/"), byte),
  say(word("-j LOG --log-prefix "), quoted),
  word("-j REJ"),
  word(""),
);
const rule = fc.tuple(matches, targets).map(([m, t]) => `-A FORWARD ${m} ${t.replace("REJ", "ACCEPT")}`.trimEnd());

describe.skipIf(!there)("the installed iptables prints what we print", () => {
  beforeAll(() => {
    expect(run(["ip", "netns", "add", ns]).status).toBe(0);
  });
  afterAll(() => {
    run(["ip", "netns", "del", ns]);
  });

  it.each(["nft", "legacy"] as const)(
    "%s",
    (backend) => {
      const rules = fc.sample(rule, { numRuns: 150, seed: 4711 });
      const loaded = `*mangle\n${rules.join("\n")}\nCOMMIT\n`;
      const restored = run(["ip", "netns", "exec", ns, `iptables-${backend}-restore`], loaded);
      expect(restored.stderr).toBe("");
      const theirs = run(["ip", "netns", "exec", ns, `iptables-${backend}-save`, "-t", "mangle"]).stdout;
      const lines = theirs.split("\n").filter((l) => l !== "" && !l.startsWith("#"));
      const iptables = new Iptables(new FakeHost(coreOf("release")));
      iptables.backend = backend;
      iptables.load(loaded);
      expect(iptables.save().trimEnd().split("\n")).toEqual(lines);
      // and what it printed comes back the same
      iptables.load(`${lines.join("\n")}\n`);
      expect(iptables.save().trimEnd().split("\n")).toEqual(lines);
      run(["ip", "netns", "exec", ns, `iptables-${backend}`, "-t", "mangle", "-F"]);
    },
    60_000,
  );
});
