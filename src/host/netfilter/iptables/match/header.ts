// src/host/netfilter/iptables/match/header.ts: fields of the headers: multiport, iprange, length, ttl, tos, dscp, ecn, tcpmss.

import { formatIpv4, parseIpv4 } from "../../../../core/address.ts";
import type { MatchMaker } from "../matches.ts";
import { parsePort } from "../names.ts";
import type { Fail, Match, Place } from "../rule.ts";
import type { Option } from "../words.ts";

const not = (inverted: boolean): string => (inverted ? " !" : "");
export const hex2 = (v: number): string => `0x${v.toString(16).padStart(2, "0")}`;

/** At most 15 ports, a range counting for two (XT_MULTI_PORTS). */
const mostPorts = 15;

const multiport: MatchMaker = (place, fail) => {
  if (![6, 17, 33, 132, 136].includes(place.proto) || place.protoInverted) {
    fail("match 'multiport' needs -p tcp, udp, udplite, sctp or dccp");
  }
  let which = "";
  let inverted = false;
  const from: number[] = [];
  const to: number[] = [];
  let text = "";
  return {
    option(o: Option) {
      const names: Record<string, string> = {
        "--sports": "sports",
        "--source-ports": "sports",
        "--dports": "dports",
        "--destination-ports": "dports",
        "--ports": "ports",
      };
      const name = names[o.name];
      if (name === undefined || which !== "") return false;
      which = name;
      inverted = o.invert;
      let used = 0;
      for (const part of o.value("ports").split(",")) {
        const [a, b] = part.split(":");
        const first = parsePort(a!);
        const last = b === undefined ? first : parsePort(b);
        if (first === null || last === null) o.fail(`invalid port or service '${part}'`);
        if (first > last) o.fail(`port range '${part}': the first port is above the last`);
        used += b === undefined ? 1 : 2;
        from.push(first);
        to.push(last);
        text += `${text === "" ? "" : ","}${b === undefined ? first : `${first}:${last}`}`;
      }
      if (used > mostPorts) o.fail("too many ports: 15 at most, a range counts for two");
      return true;
    },
    finish(missing): Match {
      if (which === "") missing("match 'multiport' needs --sports, --dports or --ports");
      const source = which !== "dports";
      const destination = which !== "sports";
      return {
        text: `-m multiport${not(inverted)} --${which} ${text}`,
        test(c) {
          if (c.fragOffset !== 0) return false;
          if (c.l4Len < 4) {
            c.hotdrop = true;
            return false;
          }
          for (let i = 0; i < from.length; i++) {
            const a = from[i]!;
            const b = to[i]!;
            if ((source && c.sport >= a && c.sport <= b) || (destination && c.dport >= a && c.dport <= b))
              return !inverted;
          }
          return inverted;
        },
      };
    },
  };
};

interface AddressRange {
  readonly min: number;
  readonly max: number;
  readonly inverted: boolean;
}

const iprange: MatchMaker = () => {
  let src: AddressRange | null = null;
  let dst: AddressRange | null = null;
  const read = (o: Option): AddressRange => {
    const word = o.value("address-address");
    const [a, b] = word.split("-");
    const min = parseIpv4(a!);
    const max = b === undefined ? min : parseIpv4(b);
    if (min === null || max === null) o.fail(`${o.name}: '${word}' is no range of IPv4 addresses`);
    if (min > max) o.fail(`${o.name}: '${word}': the first address is above the last`);
    return { min, max, inverted: o.invert };
  };
  const format = (name: string, r: AddressRange | null): string =>
    r === null ? "" : `${not(r.inverted)} --${name} ${formatIpv4(r.min)}-${formatIpv4(r.max)}`;
  const fits = (a: number, r: AddressRange | null): boolean => r === null || (a >= r.min && a <= r.max) !== r.inverted;
  return {
    option(o) {
      if (o.name === "--src-range") src = read(o);
      else if (o.name === "--dst-range") dst = read(o);
      else return false;
      return true;
    },
    finish(missing): Match {
      if (src === null && dst === null) missing("match 'iprange' needs --src-range or --dst-range");
      return {
        text: `-m iprange${format("src-range", src)}${format("dst-range", dst)}`,
        test: (c) => fits(c.src >>> 0, src) && fits(c.dst >>> 0, dst),
      };
    },
  };
};

/** `10`, `10:20`, `:20`, `10:`. */
export function numberRange(o: Option, max: number): { min: number; max: number } {
  const [a, b] = o.value("a number or min:max").split(":");
  const low = a === "" && b !== undefined ? 0 : o.numberOf(a!, 0, max);
  const high = b === undefined ? low : b === "" ? max : o.numberOf(b, 0, max);
  if (low > high) o.fail(`${o.name}: the range ends below its beginning`);
  return { min: low, max: high };
}

const length: MatchMaker = () => {
  let range: { min: number; max: number } | null = null;
  let inverted = false;
  return {
    option(o) {
      if (o.name !== "--length") return false;
      range = numberRange(o, 65535);
      inverted = o.invert;
      return true;
    },
    finish(missing: Fail): Match {
      const r = range as { min: number; max: number } | null;
      if (r === null) missing("match 'length' needs --length");
      const { min, max } = r;
      return {
        text: `-m length${not(inverted)} --length ${min === max ? min : `${min}:${max}`}`,
        test: (c) => (c.totalLen >= min && c.totalLen <= max) !== inverted,
      };
    },
  };
};

const ttl: MatchMaker = () => {
  let how = "";
  let value = 0;
  let inverted = false;
  return {
    option(o) {
      const names: Record<string, string> = { "--ttl": "eq", "--ttl-eq": "eq", "--ttl-lt": "lt", "--ttl-gt": "gt" };
      const name = names[o.name];
      if (name === undefined) return false;
      if (how !== "") o.fail("only one of --ttl-eq, --ttl-lt and --ttl-gt is allowed");
      how = name;
      if (name !== "eq") o.plain();
      inverted = o.invert;
      value = o.number(0, 255);
      return true;
    },
    finish(missing): Match {
      if (how === "") missing("match 'ttl' needs --ttl-eq, --ttl-lt or --ttl-gt");
      const text = `-m ttl${not(inverted)} --ttl-${how} ${value}`;
      if (how === "lt") return { text, test: (c) => c.ttl < value };
      if (how === "gt") return { text, test: (c) => c.ttl > value };
      return { text, test: (c) => (c.ttl === value) !== inverted };
    },
  };
};

const tosNames: Readonly<Record<string, number>> = {
  "minimize-delay": 0x10,
  "maximize-throughput": 0x08,
  "maximize-reliability": 0x04,
  "minimize-cost": 0x02,
  "normal-service": 0,
};

/** A name (the mask is 0x3f then), or `value[/mask]`. */
export function readTos(o: Option): { value: number; mask: number } {
  const word = o.value("a TOS name, or value[/mask]");
  const name = word.toLowerCase();
  if (Object.hasOwn(tosNames, name)) return { value: tosNames[name]!, mask: 0x3f };
  const [v, m] = word.split("/");
  return { value: o.numberOf(v!, 0, 255, "a TOS"), mask: m === undefined ? 255 : o.numberOf(m, 0, 255) };
}

const tos: MatchMaker = () => {
  let want = null as { value: number; mask: number } | null;
  let inverted = false;
  return {
    option(o) {
      if (o.name !== "--tos") return false;
      want = readTos(o);
      inverted = o.invert;
      return true;
    },
    finish(missing: Fail): Match {
      if (want === null) missing("match 'tos' needs --tos");
      const { value, mask } = want;
      return {
        text: `-m tos${not(inverted)} --tos ${hex2(value)}/${hex2(mask)}`,
        test: (c) => ((c.tos & mask) === value) !== inverted,
      };
    },
  };
};

const dscpClasses: Readonly<Record<string, number>> = {
  CS0: 0,
  CS1: 8,
  CS2: 16,
  CS3: 24,
  CS4: 32,
  CS5: 40,
  CS6: 48,
  CS7: 56,
  BE: 0,
  AF11: 10,
  AF12: 12,
  AF13: 14,
  AF21: 18,
  AF22: 20,
  AF23: 22,
  AF31: 26,
  AF32: 28,
  AF33: 30,
  AF41: 34,
  AF42: 36,
  AF43: 38,
  EF: 46,
};

export function dscpClass(o: Option): number {
  const word = o.value("a DiffServ class");
  const v = dscpClasses[word.toUpperCase()];
  if (v === undefined) o.fail(`${o.name}: '${word}' is none of ${Object.keys(dscpClasses).join(", ")}`);
  return v;
}

const dscp: MatchMaker = () => {
  let value = -1;
  let inverted = false;
  return {
    option(o) {
      if (o.name === "--dscp") value = o.number(0, 63);
      else if (o.name === "--dscp-class") value = dscpClass(o);
      else return false;
      inverted = o.invert;
      return true;
    },
    finish(missing): Match {
      if (value < 0) missing("match 'dscp' needs --dscp or --dscp-class");
      return {
        text: `-m dscp${not(inverted)} --dscp ${hex2(value)}`,
        test: (c) => (c.tos >> 2 === value) !== inverted,
      };
    },
  };
};

const ecn: MatchMaker = (place) => {
  let ect = -1;
  let ectInverted = false;
  /** 0 not asked, 1 set, 2 not set. */
  let ece = 0;
  let cwr = 0;
  return {
    option(o) {
      if (o.name === "--ecn-ip-ect") {
        ect = o.number(0, 3);
        ectInverted = o.invert;
      } else if (o.name === "--ecn-tcp-ece") ece = o.invert ? 2 : 1;
      else if (o.name === "--ecn-tcp-cwr") cwr = o.invert ? 2 : 1;
      else return false;
      return true;
    },
    finish(missing): Match {
      if (ect < 0 && ece === 0 && cwr === 0) missing("match 'ecn' needs --ecn-tcp-ece, --ecn-tcp-cwr or --ecn-ip-ect");
      if ((ece !== 0 || cwr !== 0) && (place.proto !== 6 || place.protoInverted))
        missing("match 'ecn': TCP flags need -p tcp");
      let text = "-m ecn";
      if (ece !== 0) text += `${not(ece === 2)} --ecn-tcp-ece`;
      if (cwr !== 0) text += `${not(cwr === 2)} --ecn-tcp-cwr`;
      if (ect >= 0) text += `${not(ectInverted)} --ecn-ip-ect ${ect}`;
      const { u8 } = place.host.world.core;
      return {
        text,
        test(c) {
          if (ect >= 0 && ((c.tos & 3) === ect) === ectInverted) return false;
          if (ece === 0 && cwr === 0) return true;
          if (c.l4Len < 20) return false;
          const flags = u8[c.l4 + 13]!;
          if (ece !== 0 && ((flags & 0x40) !== 0) !== (ece === 1)) return false;
          return cwr === 0 || ((flags & 0x80) !== 0) === (cwr === 1);
        },
      };
    },
  };
};

/** The MSS option of a segment whose header begins at `l4`: its value, -1 without one, -2 when the header is broken. */
function mssOf(place: Place, l4: number, l4Len: number): number {
  const { u8 } = place.host.world.core;
  if (l4Len < 20) return -2;
  const optLen = (u8[l4 + 12]! >> 4) * 4 - 20;
  if (optLen < 0 || l4Len < 20 + optLen) return -2;
  const at = l4 + 20;
  for (let i = 0; i < optLen;) {
    const kind = u8[at + i]!;
    if (kind === 2 && optLen - i >= 4 && u8[at + i + 1] === 4) return (u8[at + i + 2]! << 8) | u8[at + i + 3]!;
    if (kind < 2) i++;
    else i += (i + 1 < optLen ? u8[at + i + 1]! : 1) || 1;
  }
  return -1;
}

const tcpmss: MatchMaker = (place, fail) => {
  if (place.proto !== 6 || place.protoInverted) fail("match 'tcpmss' needs -p tcp");
  let range = null as { min: number; max: number } | null;
  let inverted = false;
  return {
    option(o) {
      if (o.name !== "--mss") return false;
      range = numberRange(o, 65535);
      inverted = o.invert;
      return true;
    },
    finish(missing: Fail): Match {
      if (range === null) missing("match 'tcpmss' needs --mss");
      const { min, max } = range;
      return {
        text: `-m tcpmss${not(inverted)} --mss ${min === max ? min : `${min}:${max}`}`,
        test(c) {
          const mss = mssOf(place, c.l4, c.l4Len);
          if (mss === -2) c.hotdrop = true;
          return mss >= 0 ? (mss >= min && mss <= max) !== inverted : mss === -1 && inverted;
        },
      };
    },
  };
};

export const headerMatches: Readonly<Record<string, MatchMaker>> = {
  multiport,
  iprange,
  length,
  ttl,
  tos,
  dscp,
  ecn,
  tcpmss,
};
