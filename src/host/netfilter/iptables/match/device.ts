// src/host/netfilter/iptables/match/device.ts: where a packet comes from and what the host thinks of its addresses:
// addrtype, mark, comment.

import { Pkt } from "../../../../../assembly/layout.ts";
import { type Match, always, hookBit } from "../rule.ts";
import { type Option, hex, saveString } from "../words.ts";
import type { MatchMaker } from "../matches.ts";

/** RTN_* by number. */
const typeNames = [
  "UNSPEC",
  "UNICAST",
  "LOCAL",
  "BROADCAST",
  "ANYCAST",
  "MULTICAST",
  "BLACKHOLE",
  "UNREACHABLE",
  "PROHIBIT",
  "THROW",
  "NAT",
  "XRESOLVE",
];

function parseTypes(o: Option): number {
  let bits = 0;
  for (const word of o.value("address types").split(",")) {
    const i = typeNames.indexOf(word.toUpperCase());
    if (i < 0) o.fail(`${o.name}: '${word}' is none of ${typeNames.join(", ")}`);
    bits |= 1 << i;
  }
  return bits;
}

function formatTypes(bits: number): string {
  return typeNames.filter((_, i) => (bits & (1 << i)) !== 0).join(",");
}

const addrtype: MatchMaker = (place) => {
  const fib = place.host.fib;
  let source = 0;
  let sourceInverted = false;
  let destination = 0;
  let destinationInverted = false;
  let limitIn = false;
  let limitOut = false;
  return {
    option(o) {
      switch (o.name) {
        case "--src-type":
          if (source !== 0) o.fail("--src-type may be given once");
          source = parseTypes(o);
          sourceInverted = o.invert;
          return true;
        case "--dst-type":
          if (destination !== 0) o.fail("--dst-type may be given once");
          destination = parseTypes(o);
          destinationInverted = o.invert;
          return true;
        case "--limit-iface-in":
          limitIn = o.plain() !== null;
          return true;
        case "--limit-iface-out":
          limitOut = o.plain() !== null;
          return true;
        default:
          return false;
      }
    },
    finish(fail): Match {
      if (source === 0 && destination === 0) fail("match 'addrtype' needs --src-type or --dst-type");
      if (limitIn && limitOut) fail("both incoming and outgoing interface limitation cannot be selected");
      let text = "-m addrtype";
      if (source !== 0) text += `${sourceInverted ? " !" : ""} --src-type ${formatTypes(source)}`;
      if (destination !== 0) text += `${destinationInverted ? " !" : ""} --dst-type ${formatTypes(destination)}`;
      if (limitIn) text += " --limit-iface-in";
      if (limitOut) text += " --limit-iface-out";
      const { prerouting, input, forward, output, postrouting } = hookBit;
      return {
        text,
        keyed: true,
        hooks: limitIn ? prerouting | input | forward : limitOut ? forward | output | postrouting : -1,
        test(c) {
          const dev = limitIn ? c.input : limitOut ? c.output : null;
          if (source !== 0 && ((source & (1 << fib.addrType(c.src >>> 0, dev))) !== 0) === sourceInverted) return false;
          if (destination === 0) return true;
          return ((destination & (1 << fib.addrType(c.dst >>> 0, dev))) !== 0) !== destinationInverted;
        },
      };
    },
  };
};

/** ` --mark 0x1/0xf`: the mask is left out when it is all ones. */
export function formatMark(value: number, mask: number): string {
  return mask >>> 0 === 0xffffffff ? hex(value) : `${hex(value)}/${hex(mask)}`;
}

const mark: MatchMaker = () => {
  let value = 0;
  let mask = 0;
  let inverted = false;
  let given = false;
  return {
    option(o) {
      if (o.name !== "--mark") return false;
      if (given) return false;
      given = true;
      ({ value, mask } = o.masked());
      inverted = o.invert;
      return true;
    },
    finish(fail): Match {
      if (!given) fail("match 'mark' needs --mark");
      return {
        text: `-m mark${inverted ? " !" : ""} --mark ${formatMark(value, mask)}`,
        test: (c) => (((c.field(Pkt.Mark) & mask) | 0) === (value | 0)) !== inverted,
      };
    },
  };
};

const comment: MatchMaker = () => {
  let text = "";
  let given = false;
  return {
    option(o) {
      if (o.name !== "--comment") return false;
      given = true;
      text = o.plain().value("a comment");
      if (text.length > 255) o.fail("a comment may have 255 characters at most");
      return true;
    },
    finish(fail): Match {
      if (!given) fail("match 'comment' needs --comment");
      return { text: `-m comment --comment ${saveString(text)}`, test: always };
    },
  };
};

export const deviceMatches: Readonly<Record<string, MatchMaker>> = { addrtype, mark, comment };
