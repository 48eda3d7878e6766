// `iptables` commands, as a timeline gives them.

import { describe, expect, it } from "vitest";
import { Iptables } from "../../../src/host/netfilter/iptables/iptables.ts";
import { TextError } from "../../../src/host/text.ts";
import { coreOf } from "../../support/cores.ts";
import { FakeHost } from "./fake.ts";

const core = coreOf("release");

function after(...commands: string[]): string[] {
  const iptables = new Iptables(new FakeHost(core));
  for (const c of commands) iptables.command(c);
  return iptables
    .save(true)
    .split("\n")
    .filter((l) => /^(\[|:[A-Z])/.test(l) && !l.endsWith("ACCEPT [0:0]"));
}

describe("iptables", () => {
  it.each([
    [["-A INPUT -p tcp --dport 22 -j ACCEPT"], ["[0:0] -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"]],
    [
      ["-A INPUT -j DROP", "-I INPUT -s 1.2.3.4 -j ACCEPT", "--insert INPUT 2 -j RETURN"],
      ["[0:0] -A INPUT -s 1.2.3.4/32 -j ACCEPT", "[0:0] -A INPUT -j RETURN", "[0:0] -A INPUT -j DROP"],
    ],
    [["-A INPUT -j DROP", "-A INPUT -j ACCEPT", "-D INPUT 1"], ["[0:0] -A INPUT -j ACCEPT"]],
    [
      ["-A INPUT -p udp --dport 53 -j DROP", "-A INPUT -j ACCEPT", "-D INPUT -p udp -m udp --dport 53 -j DROP"],
      ["[0:0] -A INPUT -j ACCEPT"],
    ],
    [["-A INPUT -j DROP", "-R INPUT 1 -j ACCEPT"], ["[0:0] -A INPUT -j ACCEPT"]],
    [
      ["-N X", "-A FORWARD -j X", "-A X -j RETURN"],
      [":X - [0:0]", "[0:0] -A FORWARD -j X", "[0:0] -A X -j RETURN"],
    ],
    [["-N X", "-A X -j DROP", "-F X", "-X X"], []],
    [["-N X", "-N Y", "-X"], []],
    [["-P FORWARD DROP"], [":FORWARD DROP [0:0]"]],
    [["-A INPUT -c 5 60 -j DROP"], ["[5:60] -A INPUT -j DROP"]],
    [["-A INPUT -c 5 60 -j DROP", "-Z INPUT"], ["[0:0] -A INPUT -j DROP"]],
    [
      [
        "-t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8080",
        "iptables -w 5 -t nat -A POSTROUTING -j MASQUERADE",
      ],
      [
        "[0:0] -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8080",
        "[0:0] -A POSTROUTING -j MASQUERADE",
      ],
    ],
    [["-t nat -A POSTROUTING -j MASQUERADE", "-t nat -F"], []],
    [
      ["-A INPUT -s 1.1.1.1,2.2.2.2 -j DROP", "-C INPUT -s 2.2.2.2 -j DROP"],
      ["[0:0] -A INPUT -s 1.1.1.1/32 -j DROP", "[0:0] -A INPUT -s 2.2.2.2/32 -j DROP"],
    ],
  ])("%j", (commands, expected) => expect(after(...commands)).toEqual(expected));

  it.each([
    [["-D INPUT -j DROP"], 4, "no such rule"],
    [["-D INPUT 1"], 4, "there are 0 rules"],
    [["-A NONE -j DROP"], 4, "no chain 'NONE'"],
    [["-N INPUT"], 4, "exists already"],
    [["-N ACCEPT"], 4, "clashes with a target"],
    [["-N X", "-A INPUT -j X", "-X X"], 4, "is referenced by 'INPUT'"],
    [["-N X", "-A X -j DROP", "-X X"], 4, "is not empty"],
    [["-N X", "-N Y", "-A X -j Y", "-A Y -j X"], 1, "makes a loop"],
    [["-P INPUT MAYBE"], 10, "no policy"],
    [["-N X", "-P X DROP"], 4, "not built in"],
    [["-t raw -A INPUT -j DROP"], 11, "no chain 'INPUT'"],
    [["-t what -F"], 4, "unknown table 'what'"],
    [["-L"], 1, "command '-L' is not supported"],
    [[""], 1, "expected a command"],
    [["-A INPUT -m time --timestart 10:00 -j DROP"], 13, "match 'time' is not supported"],
    [["-A INPUT -m owner --uid-owner 0 -j DROP"], 13, "match 'owner' is not supported"],
    [["-A INPUT -m set --match-set a src -j DROP"], 13, "match 'set' is not supported"],
    [["-A INPUT -j SYNPROXY --mss 1460"], 13, "target 'SYNPROXY' is not supported"],
    [["-A FORWARD -p tcp -j REJECT --reject-with frobnicate"], 43, "'frobnicate' is none of"],
  ])("%j fails at column %d: %s", (commands, column, message) => {
    const iptables = new Iptables(new FakeHost(core));
    for (const c of commands.slice(0, -1)) iptables.command(c);
    const before = iptables.save(true);
    let error: unknown;
    try {
      iptables.command(commands.at(-1)!);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(TextError);
    const e = error as TextError;
    expect([e.line, e.column, e.message]).toEqual([1, column, expect.stringContaining(message)]);
    // nothing changed, but for a table that came into being
    expect(
      iptables
        .save(true)
        .split("\n")
        .filter((l) => l.startsWith("[")),
    ).toEqual(before.split("\n").filter((l) => l.startsWith("[")));
  });

  it("keeps tracking on exactly while a rule needs it", () => {
    const host = new FakeHost(core);
    const iptables = new Iptables(host);
    const used = (c: string): number => {
      iptables.command(c);
      return host.used;
    };
    expect(used("-A INPUT -j DROP")).toBe(0);
    expect(used("-A INPUT -m state --state NEW -j DROP")).toBe(1);
    expect(used("-t nat -A POSTROUTING -j MASQUERADE")).toBe(1);
    expect(used("-D INPUT 2")).toBe(1);
    expect(used("-t nat -F")).toBe(0);
  });

  it("limit in 32 bits: what overflows in the legacy backend is refused there only", () => {
    const iptables = new Iptables(new FakeHost(core));
    iptables.command("-A INPUT -m limit --limit 1/day -j ACCEPT");
    iptables.backend = "legacy";
    expect(() => iptables.command("-A INPUT -m limit --limit 1/day -j ACCEPT")).toThrow("overflow");
  });

  it("takes the backend from the comment that iptables-save writes", () => {
    const iptables = new Iptables(new FakeHost(core));
    const rules = "*filter\nCOMMIT\n";
    const backends = [
      "# Generated by iptables-save v1.8.9 on Sat",
      "# Generated by iptables-nft-save v1.8.9 (nf_tables) on Sat",
      "# Generated by iptables-save v1.8.9 (legacy)",
      "",
    ].map((c) => {
      iptables.load(`${c}\n${rules}`);
      return iptables.backend;
    });
    expect(backends).toEqual(["legacy", "nft", "legacy", "legacy"]);
  });
});
