// Whatever is typed, the REPL answers and goes on.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { commandNames } from "../../src/repl/shell.ts";
import { shellOf, twoHosts } from "./support.ts";

const words = [
  ...commandNames,
  "h1",
  "h2",
  "eth0",
  "lo",
  "ip",
  "route",
  "neigh",
  "addr",
  "link",
  "rule",
  "add",
  "del",
  "show",
  "get",
  "via",
  "dev",
  "default",
  "10.0.0.2",
  "10.0.0.0/24",
  "0",
  "1",
  "-1",
  "3",
  "1e9",
  "ping",
  "-c",
  "-W",
  "curl",
  "http://10.0.0.2/",
  "dig",
  "x.",
  "@10.0.0.2",
  "traceroute",
  "tcpdump",
  "-i",
  "icmp",
  "iptables",
  "-A",
  "INPUT",
  "-j",
  "DROP",
  "conntrack",
  "-L",
  "-F",
  "ss",
  "-tan",
  "bridge",
  "fdb",
  "sysctl",
  "net.ipv4.ip_forward=1",
  "tc",
  "qdisc",
  "nft",
  "list",
  "ruleset",
  "eth",
  "/",
  "tcp",
  "flags",
  "S",
  "dst",
  "hex",
  "00ff",
  '"x"',
  "&",
  "#",
  "down",
  "up",
  "until",
  "5ms",
  "drop",
  "host",
];
/** They take as long as they are told. */
const slow = new Set(["iperf", "pingall"]);

describe("bad lines", () => {
  it("of known words", () => {
    const { shell } = shellOf(twoHosts);
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...words.filter((w) => !slow.has(w))), { minLength: 1, maxLength: 7 }),
        (list) => {
          const line = list.join(" ");
          const outcome = shell.line(line);
          if (!outcome.ok) {
            expect(outcome.message).not.toBe("");
            expect(outcome.message).not.toContain("\n");
            expect(outcome.column).toBeGreaterThanOrEqual(1);
            expect(outcome.column).toBeLessThanOrEqual(line.length + 2);
          }
        },
      ),
      { numRuns: 400 },
    );
    shell.line("switch main");
    expect(shell.line("nodes")).toEqual({ ok: true, quit: false });
  }, 60_000);

  it("of any characters", () => {
    const { shell, out } = shellOf(twoHosts);
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (line) => {
        const outcome = shell.line(line);
        if (!outcome.ok) expect(outcome.message).not.toBe("");
      }),
      { numRuns: 300 },
    );
    shell.line("nodes");
    expect(out.at(-1)).toBe("h1 h2");
  });

  it("completes nodes, devices and words", () => {
    const { shell } = shellOf(twoHosts);
    expect(shell.complete("h")).toEqual([["hop ", "history ", "help ", "h1 ", "h2 "], "h"]);
    expect(shell.complete("h1 tc")[0]).toEqual(["tc ", "tcpdump "]);
    expect(shell.complete("h1 tcpdump -i e")[0]).toEqual(["eth0 "]);
    expect(shell.complete("help br")[0]).toEqual(["break "]);
  });
});
