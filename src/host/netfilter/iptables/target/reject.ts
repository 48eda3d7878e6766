// src/host/netfilter/iptables/target/reject.ts: REJECT (ipt_REJECT).

import { Drop } from "../../../../../assembly/drop.ts";
import { Outcome, type Target, hookBit } from "../rule.ts";
import type { Option } from "../words.ts";
import type { TargetMaker } from "../targets.ts";

/** `--reject-with` words and the codes of destination unreachable. */
const kinds: readonly (readonly [name: string, alias: string, code: number])[] = [
  ["icmp-net-unreachable", "net-unreach", 0],
  ["icmp-host-unreachable", "host-unreach", 1],
  ["icmp-proto-unreachable", "proto-unreach", 2],
  ["icmp-port-unreachable", "port-unreach", 3],
  ["icmp-net-prohibited", "net-prohib", 9],
  ["icmp-host-prohibited", "host-prohib", 10],
  ["tcp-reset", "tcp-rst", -1],
  ["icmp-admin-prohibited", "admin-prohib", 13],
];

const reject: TargetMaker = (place, fail) => {
  if (place.table !== "filter") fail("target 'REJECT' is only valid in the filter table");
  let kind = kinds[3]!;
  return {
    option(o: Option) {
      if (o.name !== "--reject-with") return false;
      const word = o.plain().value("a kind of rejection").toLowerCase();
      const found: (typeof kinds)[number] | undefined = kinds.find(
        ([name, alias]) => name.startsWith(word) || alias.startsWith(word),
      );
      if (found === undefined) o.fail(`--reject-with: '${word}' is none of ${kinds.map(([n]) => n).join(", ")}`);
      kind = found;
      return true;
    },
    finish(missing): Target {
      const [name, , code] = kind;
      const { host } = place;
      if (code < 0 && (place.proto !== 6 || place.protoInverted))
        missing("REJECT --reject-with tcp-reset needs -p tcp");
      return {
        text: `REJECT --reject-with ${name}`,
        hooks: hookBit.input | hookBit.forward | hookBit.output,
        run(c) {
          if (code < 0) place.reject.reset(c.frame);
          else place.reject.unreachable(c.frame, code);
          host.hooks.dropReason = Drop.NetfilterReject;
          return Outcome.Drop;
        },
      };
    },
  };
};

export const rejectTargets: Readonly<Record<string, TargetMaker>> = { REJECT: reject };
