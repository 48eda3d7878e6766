// src/host/netfilter/iptables/match/protocol.ts: tcp, udp and icmp (xt_tcpudp, ip_tables' icmp).

import type { Context } from "../../context.ts";
import { parsePort } from "../names.ts";
import { type Match, type Place, always } from "../rule.ts";
import type { Option } from "../words.ts";
import type { MatchMaker } from "../matches.ts";

export interface PortRange {
  readonly min: number;
  readonly max: number;
  readonly inverted: boolean;
}

const anyPort: PortRange = { min: 0, max: 65535, inverted: false };

/** `80`, `http`, `80:90`, `:90`, `80:`. */
export function portRange(text: string, o: Option, separator = ":"): { min: number; max: number } {
  const at = text.indexOf(separator);
  const one = (t: string, missing: number): number => {
    if (t === "" && at >= 0) return missing;
    const p = parsePort(t);
    if (p === null) o.fail(`invalid port or service '${t}'`);
    return p;
  };
  if (at < 0) {
    const p = one(text, 0);
    return { min: p, max: p };
  }
  const min = one(text.slice(0, at), 0);
  const max = one(text.slice(at + 1), 65535);
  return { min, max };
}

function isAny(r: PortRange): boolean {
  return r.min === 0 && r.max === 65535 && !r.inverted;
}

function formatPorts(name: string, r: PortRange): string {
  if (isAny(r)) return "";
  return `${r.inverted ? " !" : ""} --${name} ${r.min === r.max ? r.min : `${r.min}:${r.max}`}`;
}

function portMatches(port: number, r: PortRange): boolean {
  return (port >= r.min && port <= r.max) !== r.inverted;
}

function checkProtocol(place: Place, name: string, proto: number, fail: (message: string) => never): void {
  if (place.proto !== proto || place.protoInverted) fail(`match '${name}' needs -p ${name}`);
}

/** iptables-nft turns a refused range from 0 on into what is above it. */
function turned(r: PortRange): PortRange {
  return r.inverted && r.min === 0 && r.max !== 0 ? { min: r.max + 1, max: 65535, inverted: false } : r;
}

/** Reads `--sport` and `--dport` of tcp and udp. */
class Ports {
  constructor(private readonly ordered: boolean) {}

  source = anyPort;
  destination = anyPort;

  option(o: Option): boolean {
    const isSource = o.name === "--sport" || o.name === "--source-port";
    if (!isSource && o.name !== "--dport" && o.name !== "--destination-port") return false;
    if ((isSource ? this.source : this.destination) !== anyPort) o.fail(`${o.name} may be given once`);
    const text = o.value("a port or port:port");
    const r = { ...portRange(text, o), inverted: o.invert };
    // iptables asks of tcp's alone; such a range holds no port
    if (this.ordered && r.min > r.max) o.fail(`port range '${text}': the first port is above the last`);
    if (r.inverted && r.min === 0 && r.max === 65535) o.fail(`${o.name}: '!' before all ports matches nothing`);
    if (isSource) this.source = r;
    else this.destination = r;
    return true;
  }

  turn(): void {
    this.source = turned(this.source);
    this.destination = turned(this.destination);
  }

  get text(): string {
    return formatPorts("sport", this.source) + formatPorts("dport", this.destination);
  }
}

const flagNames = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

function parseFlags(text: string, o: Option): number {
  let bits = 0;
  for (const name of text.split(",")) {
    const i = flagNames.indexOf(name.toUpperCase());
    if (name.toUpperCase() === "ALL") bits |= 0x3f;
    else if (i >= 0) bits |= 1 << i;
    else if (name.toUpperCase() !== "NONE") o.fail(`unknown TCP flag '${name}'`);
  }
  return bits;
}

function formatFlags(bits: number): string {
  return bits === 0 ? "NONE" : flagNames.filter((_, i) => (bits & (1 << i)) !== 0).join(",");
}

/** Whether the TCP options hold `kind`; null when they are cut short (tcp_find_option). */
function hasOption(place: Place, c: Context, kind: number, length: number): boolean | null {
  if (length === 0) return false;
  if (c.l4Len < 20 + length) return null;
  const u8 = place.host.world.core.u8;
  const at = c.l4 + 20;
  for (let i = 0; i < length;) {
    const k = u8[at + i]!;
    if (k === kind) return true;
    if (k < 2) i++;
    else i += (i + 1 < length ? u8[at + i + 1]! : 1) || 1;
  }
  return false;
}

/** FIN, SYN, RST, ACK: flows are of segments that have the last of these alone (assembly/flowtable.ts). */
const KNOWN_FLAGS = 0x17;

const tcp: MatchMaker = (place, fail) => {
  checkProtocol(place, "tcp", 6, fail);
  const ports = new Ports(true);
  let mask = 0;
  let value = 0;
  let flagsInverted = false;
  let flagsGiven = false;
  let option = 0;
  let optionInverted = false;
  return {
    option(o) {
      switch (o.name) {
        case "--tcp-flags":
          mask = parseFlags(o.value("flags to look at"), o);
          value = parseFlags(o.value("flags that must be set"), o);
          break;
        case "--syn":
          mask = 0x17;
          value = 0x02;
          break;
        case "--tcp-option":
          if (option !== 0) o.fail("--tcp-option may be given once");
          option = o.number(1, 255);
          optionInverted = o.invert;
          return true;
        default:
          return ports.option(o);
      }
      if (flagsGiven) o.fail("only one of --syn and --tcp-flags is allowed");
      flagsGiven = true;
      flagsInverted = o.invert;
      return true;
    },
    finish(): Match {
      if (place.backend === "nft" && option === 0) ports.turn();
      let text = `-m tcp${ports.text}`;
      if (option !== 0) text += `${optionInverted ? " !" : ""} --tcp-option ${option}`;
      if (mask !== 0 || flagsInverted)
        text += `${flagsInverted ? " !" : ""} --tcp-flags ${formatFlags(mask)} ${formatFlags(value)}`;
      const { source, destination } = ports;
      const u8 = place.host.world.core.u8;
      const rareFlags = (mask & ~KNOWN_FLAGS) !== 0;
      const plain = isAny(source) && isAny(destination) && mask === 0 && value === 0 && !flagsInverted;
      if (place.backend === "nft" && option === 0 && !plain) {
        // flags under an empty mask are not compiled at all
        if (mask === 0) text = ports.text === "" ? "" : `-m tcp${ports.text}`;
        if (text === "") return { text, test: always };
        // iptables-nft compiles to payload loads: what is there is compared, what is not there does not match; of a
        // later fragment it is data that is there (nft_payload_fast_eval does not ask)
        const sourceLen = isAny(source) ? 0 : 2;
        const need = Math.max(sourceLen, isAny(destination) ? 0 : 4, mask !== 0 ? 14 : 0);
        return {
          text,
          keyed: true,
          rareFlags,
          test(c) {
            if (c.l4Len < need) return false;
            if (!portMatches(c.sport, source) || !portMatches(c.dport, destination)) return false;
            return mask === 0 || ((u8[c.l4 + 13]! & mask) === value) !== flagsInverted;
          },
        };
      }
      return {
        text,
        keyed: option === 0,
        rareFlags,
        test(c) {
          if (c.fragOffset !== 0) {
            // an offset of 8 bytes would overwrite the flags: always an attack
            if (c.fragOffset === 1) c.hotdrop = true;
            return false;
          }
          if (c.l4Len < 20) {
            c.hotdrop = true;
            return false;
          }
          if (!portMatches(c.sport, source) || !portMatches(c.dport, destination)) return false;
          if (((u8[c.l4 + 13]! & mask) === value) === flagsInverted) return false;
          if (option === 0) return true;
          const length = (u8[c.l4 + 12]! >> 4) * 4 - 20;
          const found = length < 0 ? null : hasOption(place, c, option, length);
          if (found === null) c.hotdrop = true;
          return found !== null && found !== optionInverted;
        },
      };
    },
  };
};

const udp: MatchMaker = (place, fail) => {
  checkProtocol(place, "udp", 17, fail);
  const ports = new Ports(false);
  return {
    option: (o) => ports.option(o),
    finish(): Match {
      if (place.backend === "nft") ports.turn();
      const text = `-m udp${ports.text}`;
      const { source, destination } = ports;
      if (place.backend === "nft" && !(isAny(source) && isAny(destination))) {
        const need = isAny(destination) ? 2 : 4;
        return {
          text,
          keyed: true,
          test: (c) => c.l4Len >= need && portMatches(c.sport, source) && portMatches(c.dport, destination),
        };
      }
      return {
        text,
        test(c) {
          if (c.fragOffset !== 0) return false;
          if (c.l4Len < 8) {
            c.hotdrop = true;
            return false;
          }
          return portMatches(c.sport, source) && portMatches(c.dport, destination);
        },
      };
    },
  };
};

/** Names of types and codes as `iptables -p icmp -h` lists them; a code of -1 stands for all. */
const icmpNames: Readonly<Record<string, readonly [number, number]>> = {
  any: [255, -1],
  "echo-reply": [0, -1],
  pong: [0, -1],
  "destination-unreachable": [3, -1],
  "network-unreachable": [3, 0],
  "host-unreachable": [3, 1],
  "protocol-unreachable": [3, 2],
  "port-unreachable": [3, 3],
  "fragmentation-needed": [3, 4],
  "source-route-failed": [3, 5],
  "network-unknown": [3, 6],
  "host-unknown": [3, 7],
  "network-prohibited": [3, 9],
  "host-prohibited": [3, 10],
  "tos-network-unreachable": [3, 11],
  "tos-host-unreachable": [3, 12],
  "communication-prohibited": [3, 13],
  "host-precedence-violation": [3, 14],
  "precedence-cutoff": [3, 15],
  "source-quench": [4, -1],
  redirect: [5, -1],
  "network-redirect": [5, 0],
  "host-redirect": [5, 1],
  "tos-network-redirect": [5, 2],
  "tos-host-redirect": [5, 3],
  "echo-request": [8, -1],
  ping: [8, -1],
  "router-advertisement": [9, -1],
  "router-solicitation": [10, -1],
  "time-exceeded": [11, -1],
  "ttl-exceeded": [11, -1],
  "ttl-zero-during-transit": [11, 0],
  "ttl-zero-during-reassembly": [11, 1],
  "parameter-problem": [12, -1],
  "ip-header-bad": [12, 0],
  "required-option-missing": [12, 1],
  "timestamp-request": [13, -1],
  "timestamp-reply": [14, -1],
  "address-mask-request": [17, -1],
  "address-mask-reply": [18, -1],
};

/** `echo-request` or the beginning of one name only, `8`, `3/1`. */
function parseIcmp(text: string, o: Option): readonly [number, number] {
  const name = text.toLowerCase();
  if (Object.hasOwn(icmpNames, name)) return icmpNames[name]!;
  if (/^[a-z]/.test(name)) {
    const found = Object.keys(icmpNames).filter((n) => n.startsWith(name));
    if (found.length > 1) o.fail(`ICMP type '${text}' could be ${found.join(" or ")}`);
    if (found.length === 1) return icmpNames[found[0]!]!;
    o.fail(`unknown ICMP type '${text}'`);
  }
  const [type, code] = text.split("/");
  return [
    o.numberOf(type!, 0, 255, "an ICMP type"),
    code === undefined ? -1 : o.numberOf(code, 0, 255, "an ICMP code"),
  ];
}

const icmp: MatchMaker = (place, fail) => {
  checkProtocol(place, "icmp", 1, fail);
  let type = 255;
  let code = -1;
  let inverted = false;
  let given = false;
  return {
    option(o) {
      if (o.name !== "--icmp-type") return false;
      if (given) o.fail("--icmp-type may be given once");
      given = true;
      [type, code] = parseIcmp(o.value("an ICMP type"), o);
      inverted = o.invert;
      return true;
    },
    finish(): Match {
      const u8 = place.host.world.core.u8;
      const what = type === 255 ? "any" : code < 0 ? String(type) : `${type}/${code}`;
      return {
        text: `-m icmp${inverted ? " !" : ""} --icmp-type ${what}`,
        test(c) {
          if (c.fragOffset !== 0) return false;
          if (c.l4Len < 8) {
            c.hotdrop = true;
            return false;
          }
          const hit = type === 255 || (u8[c.l4] === type && (code < 0 || u8[c.l4 + 1] === code));
          return hit !== inverted;
        },
      };
    },
  };
};

export const protocolMatches: Readonly<Record<string, MatchMaker>> = { tcp, udp, icmp };
