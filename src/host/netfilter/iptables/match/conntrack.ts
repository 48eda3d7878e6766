// src/host/netfilter/iptables/match/conntrack.ts: what connection tracking knows (xt_conntrack and its alias `state`).

import { CtStatus } from "../../../../../assembly/conntracklayout.ts";
import { Pkt } from "../../../../../assembly/layout.ts";
import { formatIpv4 } from "../../../../core/address.ts";
import type { Context } from "../../context.ts";
import type { Tracking } from "../../host.ts";
import { parseProtocol } from "../names.ts";
import { formatMask, parseAddress } from "../address.ts";
import type { Match } from "../rule.ts";
import type { Option } from "../words.ts";
import type { MatchMaker } from "../matches.ts";
import { portRange } from "./protocol.ts";

/** XT_CONNTRACK_STATE_*, in the order that they are printed. */
const states: readonly (readonly [string, number])[] = [
  ["INVALID", 1],
  ["NEW", 1 << 3],
  ["RELATED", 1 << 2],
  ["ESTABLISHED", 1 << 1],
  ["UNTRACKED", 1 << 8],
  ["SNAT", 1 << 6],
  ["DNAT", 1 << 7],
];
const stateSnat = 1 << 6;
const stateDnat = 1 << 7;
/** IPS_*, in the order that they are printed. */
const statuses: readonly (readonly [string, number])[] = [
  ["EXPECTED", CtStatus.Expected],
  ["SEEN_REPLY", CtStatus.SeenReply],
  ["ASSURED", CtStatus.Assured],
  ["CONFIRMED", CtStatus.Confirmed],
  ["NONE", 0],
];
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
  return 2 << (info % 3);
}

type Test = (c: Context) => boolean;

/** One criterion: its option as printed, and what it asks. */
interface Criterion {
  readonly rank: number;
  readonly text: string;
  readonly test: Test;
}

const addresses: Readonly<Record<string, (t: Tracking, frame: number) => number>> = {
  ctorigsrc: (t, f) => t.tupleSrc(f, 0),
  ctorigdst: (t, f) => t.tupleDst(f, 0),
  ctreplsrc: (t, f) => t.tupleSrc(f, 1),
  ctrepldst: (t, f) => t.tupleDst(f, 1),
};
const ports: Readonly<Record<string, (t: Tracking, frame: number) => number>> = {
  ctorigsrcport: (t, f) => t.tupleSport(f, 0),
  ctorigdstport: (t, f) => t.tupleDport(f, 0),
  ctreplsrcport: (t, f) => t.tupleSport(f, 1),
  ctrepldstport: (t, f) => t.tupleDport(f, 1),
};
/** The order that iptables prints options in. */
const order = ["ctstate", "ctproto", ...Object.keys(addresses), ...Object.keys(ports), "ctstatus", "ctexpire", "ctdir"];

function withinRange(min: number, max: number): string {
  return min === max ? String(min) : `${min}:${max}`;
}

const conntrack: MatchMaker = (place) => {
  const t = place.host.conntrack;
  const criteria: Criterion[] = [];
  let stateMask = 0;
  let stateInverted = false;
  const read = (name: string, o: Option): { text: string; test: Test } | null => {
    const inverted = o.invert;
    if (name === "ctproto") {
      const word = o.value("a protocol");
      const proto = parseProtocol(word);
      if (proto === null || proto === 0) o.fail(`--ctproto: unknown protocol '${word}'`);
      return { text: String(proto), test: (c) => (t.protocol(c.frame) === proto) !== inverted };
    }
    if (Object.hasOwn(addresses, name)) {
      const word = o.value("an address");
      const a = parseAddress(word);
      if (a === null || !formatMask(a.mask).match(/^\/\d+$/)) o.fail(`${o.name}: '${word}' is no IPv4 network`);
      const get = addresses[name]!;
      const mask = a.mask | 0;
      const want = a.address | 0;
      return {
        text: formatIpv4(a.address) + (a.mask === 0xffffffff ? "" : formatMask(a.mask)),
        test: (c) => ((get(t, c.frame) & mask) === want) !== inverted,
      };
    }
    if (Object.hasOwn(ports, name)) {
      const { min, max } = portRange(o.value("a port or port:port"), o);
      const get = ports[name]!;
      return {
        text: withinRange(min, max),
        test(c) {
          const p = get(t, c.frame);
          return (p >= min && p <= max) !== inverted;
        },
      };
    }
    switch (name) {
      case "ctstatus": {
        const bits = parseBits(o.value("statuses"), statuses, o);
        return { text: formatBits(bits, statuses), test: (c) => ((bits & t.status(c.frame)) !== 0) !== inverted };
      }
      case "ctexpire": {
        const [a, b] = o.value("seconds or min:max").split(":");
        const min = a === "" ? 0 : o.numberOf(a!, 0, 0xffffffff);
        const max = b === undefined ? min : b === "" ? 0xffffffff : o.numberOf(b, 0, 0xffffffff);
        return {
          text: withinRange(min, max),
          test(c) {
            const left = t.expires(c.frame);
            return (left >= min && left <= max) !== inverted;
          },
        };
      }
      case "ctdir": {
        const word = o.plain().value("ORIGINAL or REPLY").toUpperCase();
        if (word !== "ORIGINAL" && word !== "REPLY") o.fail(`--ctdir: '${word}' is neither ORIGINAL nor REPLY`);
        const dir = word === "REPLY" ? 1 : 0;
        return { text: word, test: (c) => t.direction(c.frame) === dir };
      }
      default:
        return null;
    }
  };
  return {
    option(o) {
      const name = o.name.slice(2);
      if (!o.name.startsWith("--") || !order.includes(name)) return false;
      if (criteria.some((c) => c.rank === order.indexOf(name))) o.fail(`${o.name} may be given once`);
      const not = o.invert ? " !" : "";
      if (name === "ctstate") {
        stateMask = parseBits(o.value("states"), states, o);
        stateInverted = o.invert;
        criteria.push({ rank: 0, text: `${not} --ctstate ${formatBits(stateMask, states)}`, test: () => true });
        return true;
      }
      const made = read(name, o)!;
      criteria.push({ rank: order.indexOf(name), text: `${not} ${o.name} ${made.text}`, test: made.test });
      return true;
    },
    finish(fail): Match {
      if (criteria.length === 0) fail("match 'conntrack' needs at least one option");
      criteria.sort((a, b) => a.rank - b.rank);
      const tests = criteria.filter((c) => c.rank > 0).map((c) => c.test);
      const snat = (stateMask & stateSnat) !== 0;
      const dnat = (stateMask & stateDnat) !== 0;
      return {
        text: `-m conntrack${criteria.map((c) => c.text).join("")}`,
        tracks: true,
        keyed: tests.length === 0 && !snat && !dnat,
        test(c) {
          const tracked = c.field(Pkt.Ct) !== 0;
          if (stateMask !== 0) {
            let hit = (stateMask & stateBit(c)) !== 0;
            if (tracked && !hit && (snat || dnat)) {
              const status = t.status(c.frame);
              hit = (snat && (status & CtStatus.SrcNat) !== 0) || (dnat && (status & CtStatus.DstNat) !== 0);
            }
            if (hit === stateInverted) return false;
          }
          if (!tracked) return stateMask !== 0;
          for (let i = 0; i < tests.length; i++) if (!tests[i]!(c)) return false;
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
