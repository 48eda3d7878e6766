// src/capture/filter/links.ts: where the headers lie: link types, and what vlan, mpls and pppoes shift.

import { type Condition, type Statement, and, never, not, or, test } from "./condition.ts";
import { FilterError } from "./error.ts";
import { etherProtocols } from "./names.ts";
import { Op } from "./program.ts";

/** Link types of capture files (https://www.tcpdump.org/linktypes.html) that filters know. */
export const LinkType = { Ethernet: 1, RawDlt: 12, Raw: 101, Sll: 113, Sll2: 276 } as const;

type Link = "ethernet" | "raw" | "sll" | "sll2" | "ppp";

/** The largest length field of an IEEE 802.3 frame; above it the field is a type. */
const MAX_LENGTH = 1500;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const AARP = 0x80f3;
const ATALK = 0x809b;
// LLC service access points
const STP = 0x42;
const IPX = 0xe0;
const NETBEUI = 0xf0;
const ISO = 0xfe;
/** Protocols of IS-IS and its kin in the byte behind LLC (ISO 9577). */
const CLNP = 0x81;
const ESIS = 0x82;
const ISIS = 0x83;

/** PPP's protocol numbers (IANA) for Ethernet types and access points. */
const pppTypes: ReadonlyMap<number, number> = new Map([
  [IPV4, 0x21],
  [IPV6, 0x57],
  [0x6003, 0x27],
  [ATALK, 0x29],
  [0x0600, 0x25],
  [ISO, 0x23],
  [STP, 0x31],
  [IPX, 0x2b],
]);

const overIp: ReadonlyMap<string, readonly [number, "ip" | "ip6" | "both"]> = new Map(
  Object.entries({
    sctp: [132, "both"],
    tcp: [6, "both"],
    udp: [17, "both"],
    icmp: [1, "ip"],
    igmp: [2, "ip"],
    igrp: [9, "ip"],
    pim: [103, "both"],
    vrrp: [112, "ip"],
    carp: [112, "ip"],
    icmp6: [58, "ip6"],
    ah: [51, "both"],
    esp: [50, "both"],
  } as const),
);
const overIso: ReadonlyMap<string, number> = new Map([
  ["esis", ESIS],
  ["isis", ISIS],
  ["clnp", CLNP],
]);

/** Offsets at one point of the expression. `vlan`, `mpls` and `pppoes` move them for what follows. */
export class Links {
  private link: Link;
  /** Offset of the link header, of its type field, of what the type announces, and of the network header in that. */
  header = 0;
  private type: number;
  private body: number;
  private net = 0;
  private labels = 0;

  constructor(linkType: number) {
    switch (linkType) {
      case LinkType.Ethernet:
        [this.link, this.type, this.body] = ["ethernet", 12, 14];
        break;
      case LinkType.Raw:
      case LinkType.RawDlt:
        [this.link, this.type, this.body] = ["raw", 0, 0];
        break;
      case LinkType.Sll:
        [this.link, this.type, this.body] = ["sll", 14, 16];
        break;
      case LinkType.Sll2:
        [this.link, this.type, this.body] = ["sll2", 0, 20];
        break;
      default:
        throw new Error(
          `filter: link type ${linkType} is not supported, expected 1 (Ethernet), 101 (raw IP), 113 or 276 (Linux cooked)`,
        );
    }
  }

  /** Offset of the network header. */
  get payload(): number {
    return this.body + this.net;
  }

  byteIs(at: number, value: number): Condition {
    return test([{ code: Op.LdB, k: at }], Op.Jeq, value);
  }

  private masked(code: number, at: number, mask: number, value: number): Condition {
    const load: Statement = { code, k: at };
    return test(mask === 0xffffffff ? [load] : [load, { code: Op.And, k: mask }], Op.Jeq, value);
  }

  private typeIs(value: number): Condition {
    return test([{ code: Op.LdH, k: this.type }], Op.Jeq, value);
  }

  private wordIs(at: number, value: number, mask = 0xffffffff): Condition {
    return this.masked(Op.LdW, at, mask, value);
  }

  private halfIs(at: number, value: number): Condition {
    return test([{ code: Op.LdH, k: at }], Op.Jeq, value);
  }

  /** True for frames that announce this Ethernet type, or this LLC access point (up to 1500). */
  linkType(type: number, at: number): Condition {
    if (this.labels > 0) return this.mplsType(type, at);
    switch (this.link) {
      case "raw":
        if (type === IPV4) return this.masked(Op.LdB, this.body, 0xf0, 0x40);
        if (type === IPV6) return this.masked(Op.LdB, this.body, 0xf0, 0x60);
        return never;
      case "ppp":
        return this.typeIs(pppTypes.get(type) ?? type);
      case "sll2":
        return this.typeIs(type);
      case "ethernet":
        return this.llcOrType(type, not(test([{ code: Op.LdH, k: this.type }], Op.Jgt, MAX_LENGTH)));
      default:
        // LINUX_SLL_P_802_2: an LLC header follows
        return this.llcOrType(type, this.typeIs(4));
    }
  }

  private llcOrType(type: number, llc: Condition): Condition {
    switch (type) {
      case ISO:
      case NETBEUI:
        return and(llc, this.halfIs(this.body, (type << 8) | type));
      case 0x06:
        return and(llc, this.halfIs(this.body, 0x0606));
      case IPX: {
        const snap = this.snap(0, 0x8137);
        if (this.link === "sll") {
          // LINUX_SLL_P_802_3: Novell's frames without LLC
          const inLlc = or(this.byteIs(this.body, IPX), snap);
          return or(this.typeIs(0x8137), or(this.typeIs(1), and(llc, inLlc)));
        }
        const raw = or(this.byteIs(this.body, IPX), this.halfIs(this.body, 0xffff));
        return or(this.typeIs(0x8137), and(llc, or(snap, raw)));
      }
      case ATALK:
        return or(this.typeIs(ATALK), and(llc, this.snap(0x080007, ATALK)));
      case AARP:
        return or(this.typeIs(AARP), and(llc, this.snap(0, AARP)));
      default:
        return type <= MAX_LENGTH ? and(llc, this.byteIs(this.body, type)) : this.typeIs(type);
    }
  }

  /** A SNAP header (IEEE 802) with this organisation and type. */
  private snap(oui: number, type: number): Condition {
    return and(
      this.wordIs(this.body + 4, (((oui & 0xffff) << 16) | type) >>> 0),
      this.wordIs(this.body, (0xaaaa0300 | (oui >>> 16)) >>> 0),
    );
  }

  /** Behind the last MPLS label (its bottom bit set) the IP version tells (RFC 3032). */
  private mplsType(type: number, at: number): Condition {
    if (type !== IPV4 && type !== IPV6) throw new FilterError(at, "behind 'mpls' only ip and ip6 can be told");
    return and(
      this.masked(Op.LdB, this.payload - 2, 1, 1),
      this.masked(Op.LdB, this.payload, 0xf0, type === IPV4 ? 0x40 : 0x60),
    );
  }

  /** A protocol's name alone. */
  protocol(name: string, at: number): Condition {
    const transport = overIp.get(name);
    if (transport !== undefined) {
      const [number, over] = transport;
      if (over === "both") return this.ipProtocol(number, at);
      return over === "ip" ? this.ipv4Protocol(number, at) : this.ipv6Protocol(number, at);
    }
    const osi = overIso.get(name);
    if (osi !== undefined) return this.isoProtocol(osi, at);
    const type = etherProtocols.get(name);
    if (name === "ether")
      throw new FilterError(at, "'ether' alone, expected 'ether host', 'ether proto' or 'ether[...]'");
    if (type === undefined) throw new FilterError(at, `'${name}' is not supported`);
    return this.linkType(type, at);
  }

  /** `proto N`: over IPv4 or IPv6. */
  ipProtocol(n: number, at: number): Condition {
    return or(this.ipv4Protocol(n, at), this.ipv6Protocol(n, at));
  }

  ipv4Protocol(n: number, at: number): Condition {
    return and(this.linkType(IPV4, at), this.byteIs(this.payload + 9, n));
  }

  /** The next header, or the one behind a fragment header (44, RFC 8200 §4.5). */
  ipv6Protocol(n: number, at: number): Condition {
    const next = this.payload + 6;
    const behind = and(this.byteIs(next, 44), this.byteIs(this.payload + 40, n));
    return and(this.linkType(IPV6, at), or(this.byteIs(next, n), behind));
  }

  isoProtocol(n: number, at: number): Condition {
    return and(this.linkType(ISO, at), this.byteIs(this.body + (this.link === "ethernet" ? 3 : 0), n));
  }

  /** Not a later fragment (RFC 791): only the first one has the ports. */
  firstFragment(): Condition {
    return not(test([{ code: Op.LdH, k: this.payload + 6 }], Op.Jset, 0x1fff));
  }

  /** An IPv4 address `offset` bytes into the header that `type` announces. */
  ipv4At(offset: number, value: number, mask: number): Condition {
    return this.wordIs(this.payload + offset, value, mask);
  }

  ipv6At(offset: number, value: readonly number[], mask: readonly number[]): Condition {
    const word = (i: number): Condition => this.wordIs(this.payload + offset + 4 * i, value[i]!, mask[i]!);
    return and(word(0), and(word(1), and(word(2), word(3))));
  }

  /** A MAC address in the link header. */
  macAt(offset: number, bytes: readonly number[]): Condition {
    const word = (bytes[2]! * 256 + bytes[3]!) * 65536 + bytes[4]! * 256 + bytes[5]!;
    const at = this.header + offset;
    return and(this.wordIs(at + 2, word), this.halfIs(at, bytes[0]! * 256 + bytes[1]!));
  }

  get hasMac(): boolean {
    return this.link === "ethernet";
  }

  get hasLabels(): boolean {
    return this.labels > 0;
  }

  get isSll(): boolean {
    return this.link === "sll";
  }

  get isSll2(): boolean {
    return this.link === "sll2";
  }

  /** IEEE 802.1Q: the tag, and 4 bytes more for all that follows in the expression. */
  vlan(id: number | null, at: number): Condition {
    if (this.labels > 0) throw new FilterError(at, "'vlan' behind 'mpls' cannot be told");
    if (this.link !== "ethernet") throw new FilterError(at, "'vlan' needs Ethernet");
    if (id !== null && id > 0xfff) throw new FilterError(at, `VLAN ${id}, expected at most 4095`);
    const tagged = or(this.typeIs(0x8100), this.typeIs(0x88a8), this.typeIs(0x9100));
    const c = id === null ? tagged : and(tagged, this.masked(Op.LdH, this.body, 0xfff, id));
    this.body += 4;
    this.type += 4;
    return c;
  }

  /** RFC 3032: a label, and 4 bytes more for all that follows. */
  mpls(label: number | null, at: number): Condition {
    let c: Condition;
    if (this.labels > 0) c = this.masked(Op.LdB, this.payload - 2, 1, 0);
    else if (this.link === "ethernet") c = this.linkType(0x8847, at);
    else if (this.link === "ppp") c = this.linkType(0x281, at);
    else throw new FilterError(at, "'mpls' needs Ethernet or PPP");
    if (label !== null) {
      if (label > 0xfffff) throw new FilterError(at, `label ${label}, expected at most 1048575`);
      c = and(c, this.wordIs(this.payload, (label << 12) >>> 0, 0xfffff000));
    }
    this.net += 4;
    this.labels++;
    return c;
  }

  /** RFC 2516: a session's frame; what follows sees the PPP packet inside. */
  pppoes(session: number | null, at: number): Condition {
    let c = this.linkType(0x8864, at);
    if (session !== null) {
      if (session > 0xffff) throw new FilterError(at, `session ${session}, expected at most 65535`);
      c = and(c, this.wordIs(this.payload, session, 0xffff));
    }
    this.header = this.payload + 6;
    this.link = "ppp";
    this.type = this.header;
    this.body = this.header + 2;
    this.net = 0;
    return c;
  }
}
