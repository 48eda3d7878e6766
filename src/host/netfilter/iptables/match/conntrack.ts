// src/host/netfilter/iptables/match/conntrack.ts: what connection tracking knows (xt_conntrack and its alias `state`).

import { Pkt } from "../../../../../assembly/layout.ts";
import type { Context } from "../../context.ts";
import type { Match } from "../rule.ts";
import type { Option } from "../words.ts";
import type { MatchMaker } from "../matches.ts";

/** XT_CONNTRACK_STATE_*, in the order that they are printed. */
const states: readonly (readonly [string, number])[] = [
  ["INVALID", 1], ["NEW", 1 << 3], ["RELATED", 1 << 2], ["ESTABLISHED", 1 << 1], ["UNTRACKED", 1 << 8],
  ["SNAT", 1 << 6], ["DNAT", 1 << 7],
];
const stateNat = (1 << 6) | (1 << 7);
/** IPS_*, in the order that they are printed. */
const statuses: readonly (readonly [string, number])[] = [
  ["EXPECTED", 1], ["SEEN_REPLY", 2], ["ASSURED", 4], ["CONFIRMED", 8], ["NONE", 0],
];
const IPS_SRC_NAT = 1 << 4;
const IPS_DST_NAT = 1 << 5;
/** enum ip_conntrack_info */
const IP_CT_IS_REPLY = 3;
const IP_CT_UNTRACKED = 7;

function parseBits(text: string, names: readonly (readonly [string, number])[], o: Option): number {
  let bits = 0;
  for (const word of text.split(",")) {
    const found = names.find(([n]) => n === word.toUpperCase());
    if (found === undefined) o.fail(`${o.name}: '${word}' is none of ${names.map(([n]) => n).join(", ")}`);
    bits |= found[1];
  }
  return bits;
}

function formatBits(bits: number, names: readonly (readonly [string, number])[]): string {
  const set = names.filter(([, b]) => (bits & b) !== 0).map(([n]) => n);
  return set.length === 0 ? "NONE" : set.join(",");
}

/** XT_CONNTRACK_STATE_BIT of the packet. */
export function stateBit(c: Context): number {
  const info = c.field(Pkt.CtInfo);
  if (c.field(Pkt.Ct) === 0) return info === IP_CT_UNTRACKED ? 1 << 8 : 1;
  return 1 << ((info % IP_CT_IS_REPLY) + 1);
}

const conntrack: MatchMaker = (place) => {
  const tracking = place.host.conntrack;
  let stateMask = 0;
  let stateInverted = false;
  let statusMask = -1;
  let statusInverted = false;
  return {
    option(o) {
      switch (o.name) {
        case "--ctstate":
          if (stateMask !== 0) o.fail("--ctstate may be given once");
          stateMask = parseBits(o.value("states"), states, o);
          stateInverted = o.invert;
          return true;
        case "--ctstatus":
          statusMask = parseBits(o.value("statuses"), statuses, o);
          statusInverted = o.invert;
          return true;
        default:
          return false;
      }
    },
    finish(fail): Match {
      if (stateMask === 0 && statusMask < 0) fail("match 'conntrack' needs at least one option");
      let text = "-m conntrack";
      if (stateMask !== 0) text += `${stateInverted ? " !" : ""} --ctstate ${formatBits(stateMask, states)}`;
      if (statusMask >= 0) text += `${statusInverted ? " !" : ""} --ctstatus ${formatBits(statusMask, statuses)}`;
      return {
        text,
        tracks: true,
        test(c) {
          const tracked = c.field(Pkt.Ct) !== 0;
          if (stateMask !== 0) {
            let bit = stateBit(c);
            if (tracked && (stateMask & stateNat) !== 0) {
              const status = tracking.status(c.frame);
              if ((status & IPS_SRC_NAT) !== 0) bit |= 1 << 6;
              if ((status & IPS_DST_NAT) !== 0) bit |= 1 << 7;
            }
            if (((stateMask & bit) !== 0) === stateInverted) return false;
          }
          if (!tracked) return stateMask !== 0;
          if (statusMask >= 0 && ((statusMask & tracking.status(c.frame)) !== 0) === statusInverted) return false;
          return true;
        },
      };
    },
  };
};

const state: MatchMaker = () => {
  let mask = 0;
  let inverted = false;
  const names = states.slice(0, 5);
  return {
    option(o) {
      if (o.name !== "--state") return false;
      if (mask !== 0) o.fail("--state may be given once");
      mask = parseBits(o.value("states"), names, o);
      inverted = o.invert;
      return true;
    },
    finish(fail): Match {
      if (mask === 0) fail("match 'state' needs --state");
      return {
        text: `-m state${inverted ? " !" : ""} --state ${formatBits(mask, names)}`,
        tracks: true,
        test: (c) => ((mask & stateBit(c)) !== 0) !== inverted,
      };
    },
  };
};

export const conntrackMatches: Readonly<Record<string, MatchMaker>> = { conntrack, state };
