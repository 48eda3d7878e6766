// A walk that is remembered must be the walk: same verdicts and same counters as when every packet walks.

import fc from "fast-check";
import { expect, it } from "vitest";
import { Hook } from "../../../src/host/netfilter/hooks.ts";
import { Iptables } from "../../../src/host/netfilter/iptables/iptables.ts";
import { coreOf } from "../../support/cores.ts";
import { FakeHost, icmp, ip, tcp, udp } from "./fake.ts";

const condition = fc.constantFrom(
  "",
  "-s 10.0.0.0/31",
  "! -d 10.0.0.2/32",
  "-i lan",
  "-o lan",
  "-p udp -m udp --dport 1:2",
  "-p udp -m udp ! --sport 2",
  "-p tcp -m tcp --dport 2 --tcp-flags SYN,ACK SYN",
  "-p tcp -m tcp --tcp-option 2",
  "-p icmp -m icmp --icmp-type 8",
  "-f",
  "-m length --length 28:32",
  "-m ttl --ttl-lt 2",
  "-m statistic --mode nth --every 2 --packet 0",
  "-m comment --comment x",
  "-m tos --tos 0x10/0xff",
);
const rule = fc.tuple(
  fc.constantFrom("FORWARD", "A", "B"),
  condition,
  fc.constantFrom("ACCEPT", "DROP", "RETURN", "jump", "goto", "MARK --set-xmark 0x1/0xffffffff", ""),
);

function text(rules: readonly (readonly [string, string, string])[], policy: string): string {
  const below: Record<string, string> = { FORWARD: "A", A: "B" };
  const lines = rules.map(([chain, what, target]) => {
    let then = target === "" ? "" : `-j ${target}`;
    if (target === "jump" || target === "goto") {
      const next = below[chain];
      then = next === undefined ? "-j RETURN" : `-${target[0]} ${next}`;
    }
    return `-A ${chain} ${what} ${then}`;
  });
  return `*mangle\n:FORWARD ${policy} [0:0]\n:A - [0:0]\n:B - [0:0]\n${lines.join("\n")}\nCOMMIT\n`;
}

const spec = fc.record({
  src: fc.constantFrom(0x0a000001, 0x0a000002),
  dst: fc.constantFrom(0x0a000002, 0x0a000003),
  ttl: fc.constantFrom(1, 64),
});
const port = fc.integer({ min: 1, max: 3 });
const packet = fc.oneof(
  fc.tuple(port, port, fc.integer({ min: 0, max: 6 }), spec).map(([a, b, n, s]) =>
    udp(
      a,
      b,
      Array.from({ length: n }, () => 1),
      s,
    ),
  ),
  fc.tuple(port, port, fc.constantFrom(2, 16, 18, 24), spec).map(([a, b, flags, s]) => tcp(a, b, flags, s)),
  fc.tuple(fc.constantFrom(0, 8), spec).map(([type, s]) => icmp(type, 0, [0, 1, 0, 1], s)),
  spec.map((s) => ip({ ...s, proto: 17, frag: 0x2001, payload: [0, 1, 0, 2, 0, 9, 0, 0] } as never)),
);

it("gives every packet the verdict and every rule the count that walking gives", () => {
  const make = (rules: string) => {
    const host = new FakeHost(coreOf("release"));
    const devices = [host.device("lan"), host.device("wan")] as const;
    const iptables = new Iptables(host);
    iptables.load(rules);
    return { host, devices, iptables };
  };
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 8 }),
      fc.constantFrom("ACCEPT", "DROP"),
      fc.array(fc.tuple(packet, fc.boolean()), { maxLength: 24 }),
      (rules, policy, packets) => {
        const remembering = make(text(rules, policy));
        const walking = make(text(rules, policy));
        for (const [bytes, back] of [...packets, ...packets]) {
          const verdict = (of: typeof walking): boolean => {
            const [lan, wan] = of.devices;
            return of.host.run(Hook.Forward, bytes, back ? wan : lan, back ? lan : wan) !== null;
          };
          walking.iptables.changed(); // forgets
          expect(verdict(remembering)).toBe(verdict(walking));
        }
        expect(remembering.iptables.save(true)).toBe(walking.iptables.save(true));
      },
    ),
    { numRuns: 150 },
  );
});
