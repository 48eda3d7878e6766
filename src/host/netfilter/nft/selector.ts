// src/host/netfilter/nft/selector.ts: what rules can read of a packet: headers, meta, ct, fib, numgen, hashes.

import { Pkt } from "../../../../assembly/layout.ts";
import { Flow } from "../../fib/flow.ts";
import { Result } from "../../fib/tables.ts";
import { RouteType } from "../../fib/route.ts";
import type { Context } from "../context.ts";
import type { FirewallHost } from "../host.ts";
import { type Reader, show } from "./lexer.ts";
import type { Value } from "./lookup.ts";
import { type DataType, types } from "./types.ts";

export interface Selector {
  readonly text: string;
  readonly type: DataType;
  /** -1: the packet does not have it, and the rule ends here (NFT_BREAK). */
  readonly get: (c: Context) => Value;
  readonly tracks?: boolean;
}

type Get = (c: Context) => number;

/** Fields of the IPv4 header. */
const ipFields: Readonly<Record<string, readonly [DataType, Get]>> = {
  saddr: [types.ipv4_addr, (c) => c.src >>> 0],
  daddr: [types.ipv4_addr, (c) => c.dst >>> 0],
  protocol: [types.inet_proto, (c) => c.proto],
  ttl: [types.integer1, (c) => c.ttl],
  dscp: [types.dscp, (c) => c.tos >> 2],
  ecn: [types.ecn, (c) => c.tos & 3],
  length: [types.integer2, (c) => c.totalLen],
  version: [types.integer1, () => 4],
  hdrlength: [types.integer1, (c) => c.headerLen >> 2],
  "frag-off": [types.integer2, (c) => c.frag],
};

/** Where a field stands in a transport header: offset and size in bytes. */
const transport: Readonly<Record<string, Readonly<Record<string, readonly [DataType, number, number]>>>> = {
  tcp: {
    sport: [types.inet_service, 0, 2],
    dport: [types.inet_service, 2, 2],
    sequence: [types.integer, 4, 4],
    ackseq: [types.integer, 8, 4],
    flags: [types.tcp_flag, 13, 1],
    window: [types.integer2, 14, 2],
    checksum: [types.integer2, 16, 2],
    urgptr: [types.integer2, 18, 2],
  },
  udp: {
    sport: [types.inet_service, 0, 2],
    dport: [types.inet_service, 2, 2],
    length: [types.integer2, 4, 2],
    checksum: [types.integer2, 6, 2],
  },
  icmp: {
    type: [types.icmp_type, 0, 1],
    code: [types.icmp_code, 1, 1],
    checksum: [types.integer2, 2, 2],
    mtu: [types.integer2, 6, 2],
  },
  th: { sport: [types.inet_service, 0, 2], dport: [types.inet_service, 2, 2] },
};
const protocols: Readonly<Record<string, number>> = { tcp: 6, udp: 17, icmp: 1, th: 0 };

const PT_LOOPBACK = 5;

export class Selectors {
  constructor(
    private readonly host: FirewallHost,
    private readonly family: "ip" | "inet",
  ) {}

  /** Reads a selector; null when the next words begin something else. */
  parse(r: Reader): Selector | null {
    const t = r.peek();
    if (t === null || t.kind !== "word") return null;
    switch (t.text) {
      case "ip":
        return this.ip(r);
      case "tcp":
      case "udp":
      case "icmp":
      case "th":
        return this.transport(r);
      case "ether":
        return this.ether(r);
      case "meta":
        r.next("meta");
        return this.meta(r);
      case "mark":
      case "iif":
      case "oif":
      case "iifname":
      case "oifname":
      case "pkttype":
        return this.meta(r);
      case "ct":
        return this.ct(r);
      case "fib":
        return this.fib(r);
      case "numgen":
        return this.numgen(r);
      case "jhash":
        return this.jhash(r);
      case "symhash":
        return this.symhash(r);
      default:
        return null;
    }
  }

  /** `a . b . c`, or one selector. */
  concat(r: Reader): Selector[] {
    const list: Selector[] = [];
    do {
      const t = r.peek();
      const s = this.parse(r);
      if (s === null) r.fail(t, `expected a field of the packet, got ${t === null ? "the end of the text" : show(t)}`);
      list.push(s);
    } while (r.take("."));
    return list;
  }

  private ip(r: Reader): Selector {
    r.expect("ip");
    const t = r.word("a field of the IPv4 header");
    if (t.text === "id" || t.text === "checksum") {
      const at = t.text === "id" ? 4 : 10;
      const { view } = this.host.world.core;
      return { text: `ip ${t.text}`, type: types.integer2, get: (c) => view.getUint16(c.net + at) };
    }
    const f = Object.hasOwn(ipFields, t.text) ? ipFields[t.text] : undefined;
    if (f === undefined)
      r.fail(t, `'ip ${t.text}' is not supported, expected one of ${Object.keys(ipFields).join(", ")}, id, checksum`);
    return { text: `ip ${t.text}`, type: f[0], get: f[1] };
  }

  private transport(r: Reader): Selector {
    const p = r.next("a protocol").text;
    const t = r.word(`a field of the ${p} header`);
    const f = Object.hasOwn(transport[p]!, t.text) ? transport[p]![t.text] : undefined;
    if (f === undefined) {
      r.fail(t, `'${p} ${t.text}' is not supported, expected one of ${Object.keys(transport[p]!).join(", ")}`);
    }
    const [type, at, size] = f;
    const proto = protocols[p]!;
    const need = at + size;
    const { view } = this.host.world.core;
    // the fast load of up to four aligned bytes, which every field here is, takes a later fragment's data for a header
    const there = (c: Context): boolean => (proto === 0 || c.proto === proto) && c.l4Len >= need;
    const text = `${p} ${t.text}`;
    if (size === 1) return { text, type, get: (c) => (there(c) ? view.getUint8(c.l4 + at) : -1) };
    if (size === 2) return { text, type, get: (c) => (there(c) ? view.getUint16(c.l4 + at) : -1) };
    return { text, type, get: (c) => (there(c) ? view.getUint32(c.l4 + at) : -1) };
  }

  private ether(r: Reader): Selector {
    r.expect("ether");
    const t = r.word("saddr or daddr");
    const at = t.text === "saddr" ? 6 : t.text === "daddr" ? 0 : -1;
    if (at < 0) r.fail(t, `'ether ${t.text}' is not supported, expected saddr or daddr`);
    const { view } = this.host.world.core;
    return {
      text: `ether ${t.text}`,
      type: types.ether_addr,
      get(c) {
        const mac = c.field(Pkt.Mac);
        if (mac === 0 || c.input === null) return -1;
        return view.getUint16(mac + at) * 0x1_0000_0000 + view.getUint32(mac + at + 2);
      },
    };
  }

  private meta(r: Reader): Selector {
    const t = r.word("a meta key");
    switch (t.text) {
      case "l4proto":
        return { text: "meta l4proto", type: types.inet_proto, get: (c) => c.proto };
      case "mark":
        return { text: "meta mark", type: types.mark, get: (c) => c.field(Pkt.Mark) };
      case "length":
        return { text: "meta length", type: types.integer, get: (c) => c.len };
      case "nfproto":
        if (this.family === "ip") r.fail(t, "meta nfproto is only useful in the inet family");
        return { text: "meta nfproto", type: types.nf_proto, get: () => 2 };
      case "protocol":
        return { text: "meta protocol", type: types.ether_type, get: () => 0x0800 };
      case "pkttype":
        return {
          text: "meta pkttype",
          type: types.pkt_type,
          get(c) {
            const type = c.field(Pkt.Type);
            if (type !== PT_LOOPBACK) return type;
            return c.dst >>> 28 === 14 ? 2 : 1;
          },
        };
      case "iifname":
        return { text: "iifname", type: types.ifname, get: (c) => (c.input === null ? "" : c.input.name) };
      case "oifname":
        return { text: "oifname", type: types.ifname, get: (c) => (c.output === null ? "" : c.output.name) };
      case "iif":
        return { text: "iif", type: types.iface_index, get: (c) => (c.input === null ? -1 : c.input.name) };
      case "oif":
        return { text: "oif", type: types.iface_index, get: (c) => (c.output === null ? -1 : c.output.name) };
      default:
        return r.fail(t, `'meta ${t.text}' is not supported`);
    }
  }

  private ct(r: Reader): Selector {
    r.expect("ct");
    const t = r.word("a conntrack key");
    const k = this.host.conntrack;
    const keyed = (text: string, type: DataType, get: Get): Selector => ({
      text: `ct ${text}`,
      type,
      tracks: true,
      get: (c) => (c.field(Pkt.Ct) === 0 ? -1 : get(c)),
    });
    switch (t.text) {
      case "state":
        return { text: "ct state", type: types.ct_state, tracks: true, get: (c) => k.state(c.frame) };
      case "status":
        return keyed("status", types.ct_status, (c) => k.status(c.frame));
      case "mark":
        return keyed("mark", types.mark, (c) => k.mark(c.frame));
      case "direction":
        return keyed("direction", types.ct_dir, (c) => k.direction(c.frame));
      case "expiration":
        return keyed("expiration", types.time, (c) => k.expires(c.frame));
      case "protocol":
        return keyed("protocol", types.inet_proto, (c) => k.protocol(c.frame));
      case "zone":
        return keyed("zone", types.integer2, (c) => k.zone(c.frame));
      case "bytes":
        return keyed("bytes", types.integer, (c) => k.counter(c.frame, 0, 1) + k.counter(c.frame, 1, 1));
      case "packets":
        return keyed("packets", types.integer, (c) => k.counter(c.frame, 0, 0) + k.counter(c.frame, 1, 0));
      case "original":
      case "reply": {
        const dir = t.text === "reply" ? 1 : 0;
        const f = r.word("a key of a direction");
        const name = `${t.text} ${f.text}`;
        switch (f.text) {
          case "ip": {
            const a = r.word("saddr or daddr");
            if (a.text === "saddr") return keyed(`${name} saddr`, types.ipv4_addr, (c) => k.tupleSrc(c.frame, dir));
            if (a.text === "daddr") return keyed(`${name} daddr`, types.ipv4_addr, (c) => k.tupleDst(c.frame, dir));
            return r.fail(a, `expected saddr or daddr, got ${show(a)}`);
          }
          case "proto-src":
            return keyed(name, types.inet_service, (c) => k.tupleSport(c.frame, dir));
          case "proto-dst":
            return keyed(name, types.inet_service, (c) => k.tupleDport(c.frame, dir));
          case "protocol":
            return keyed("protocol", types.inet_proto, (c) => k.protocol(c.frame));
          case "bytes":
            return keyed(name, types.integer, (c) => k.counter(c.frame, dir, 1));
          case "packets":
            return keyed(name, types.integer, (c) => k.counter(c.frame, dir, 0));
          default:
            return r.fail(f, `'ct ${name}' is not supported`);
        }
      }
      default:
        return r.fail(t, `'ct ${t.text}' is not supported`);
    }
  }

  /** `fib saddr|daddr [. iif|oif|mark]... type|oif|oifname` */
  private fib(r: Reader): Selector {
    r.expect("fib");
    const keys: string[] = [];
    do {
      const t = r.word("saddr, daddr, mark, iif or oif");
      if (!["saddr", "daddr", "mark", "iif", "oif"].includes(t.text)) r.fail(t, `'fib ${t.text}' is not supported`);
      keys.push(t.text);
    } while (r.take("."));
    const t = r.word("type, oif or oifname");
    const source = keys.includes("saddr");
    if (source === keys.includes("daddr")) r.fail(t, "fib needs either saddr or daddr");
    const text = `fib ${keys.join(" . ")} ${t.text}`;
    const { fib } = this.host;
    const device = (c: Context): Context["input"] =>
      keys.includes("oif") ? c.output : keys.includes("iif") ? c.input : null;
    if (t.text === "type") {
      return { text, type: types.fib_addrtype, get: (c) => fib.addrType((source ? c.src : c.dst) >>> 0, device(c)) };
    }
    if (t.text !== "oif" && t.text !== "oifname")
      r.fail(t, `'${text}' is not supported, expected type, oif or oifname`);
    const flow = new Flow();
    const result = new Result();
    const byName = t.text === "oifname";
    const none: Value = byName ? "" : 0;
    const get = (c: Context): Value => {
      const dev = device(c);
      if (c.input !== null && c.input.kind === "loopback" && source) return byName ? c.input.name : c.input.ifindex;
      flow.clear();
      flow.dst = (source ? c.src : c.dst) >>> 0;
      const other = (source ? c.dst : c.src) >>> 0;
      flow.src = other >>> 28 === 14 || other === 0xffffffff || other === 0 ? 0 : other;
      flow.tos = c.tos;
      flow.mark = keys.includes("mark") ? c.field(Pkt.Mark) : 0;
      if (fib.tables.lookup(flow, result) !== 0 || result.type !== RouteType.Unicast) return none;
      const found = dev === null ? result.nexthop!.dev : result.info!.nexthops.some((n) => n.dev === dev) ? dev : null;
      return found === null ? none : byName ? found.name : found.ifindex;
    };
    // `exists` and `missing` ask whether there is a device at all
    if (r.is("exists") || r.is("missing")) {
      return { text, type: types.boolean, get: (c) => (get(c) === none ? 0 : 1) };
    }
    if (!byName) r.fail(t, "'fib ... oif' is supported with 'exists' and 'missing' only; use oifname");
    return { text, type: types.ifname, get };
  }

  private modulus(r: Reader): { mod: number; text: string } {
    r.expect("mod");
    const t = r.peek();
    const mod = r.number("a modulus");
    if (mod === 0) r.fail(t, "a modulus of 0 makes no sense");
    return { mod, text: ` mod ${mod}` };
  }

  private offset(r: Reader): { offset: number; text: string } {
    if (!r.take("offset")) return { offset: 0, text: "" };
    const offset = r.number("an offset");
    return { offset, text: offset === 0 ? "" : ` offset ${offset}` };
  }

  private numgen(r: Reader): Selector {
    r.expect("numgen");
    const how = r.word("inc or random");
    if (how.text !== "inc" && how.text !== "random") r.fail(how, `expected inc or random, got ${show(how)}`);
    const { mod, text } = this.modulus(r);
    const { offset, text: tail } = this.offset(r);
    const full = `numgen ${how.text}${text}${tail}`;
    const { rng, x } = this.host.world;
    if (how.text === "random") {
      return { text: full, type: types.integer, get: () => (x.reciprocalScale(rng.u32(), mod) >>> 0) + offset };
    }
    let n = mod - 1;
    return {
      text: full,
      type: types.integer,
      get() {
        n = n + 1 < mod ? n + 1 : 0;
        return n + offset;
      },
    };
  }

  private jhash(r: Reader): Selector {
    r.expect("jhash");
    const parts = this.concat(r);
    const { mod, text } = this.modulus(r);
    const { core, x, rng } = this.host.world;
    let seed = 0;
    let seedText = "";
    if (r.take("seed")) {
      seed = r.number("a seed");
      seedText = ` seed 0x${seed.toString(16)}`;
    } else seed = rng.u32();
    const { offset, text: tail } = this.offset(r);
    // each field takes whole registers of 4 bytes
    const size = parts.reduce((n, p) => n + ((p.type.bytes + 3) & ~3), 0);
    const length = parts.length === 1 ? parts[0]!.type.bytes : size;
    const at = x.alloc(size);
    const { view } = core;
    return {
      text: `jhash ${parts.map((p) => p.text).join(" . ")}${text}${seedText}${tail}`,
      type: types.integer,
      tracks: parts.some((p) => p.tracks === true),
      get(c) {
        let to = at;
        for (let i = 0; i < parts.length; i++) {
          const { bytes } = parts[i]!.type;
          const v = parts[i]!.get(c);
          if (v === -1 || typeof v === "string") return -1;
          view.setUint32(to, 0);
          if (bytes === 1) view.setUint8(to, v);
          else if (bytes === 2) view.setUint16(to, v);
          else if (bytes === 6) {
            view.setUint16(to, Math.floor(v / 0x1_0000_0000));
            view.setUint32(to + 2, v >>> 0);
            view.setUint16(to + 6, 0);
          } else view.setUint32(to, v);
          to += (bytes + 3) & ~3;
        }
        return (x.reciprocalScale(x.jhash(at, length, seed), mod) >>> 0) + offset;
      },
    };
  }

  /** The same for both directions of a flow. Linux's seed is drawn at boot; here it comes from the world's chance. */
  private symhash(r: Reader): Selector {
    r.expect("symhash");
    const { mod, text } = this.modulus(r);
    const { offset, text: tail } = this.offset(r);
    const { core, x, rng } = this.host.world;
    const at = x.alloc(16);
    const seed = rng.u32();
    const { view } = core;
    return {
      text: `symhash${text}${tail}`,
      type: types.integer,
      get(c) {
        const a = c.src >>> 0;
        const b = c.dst >>> 0;
        const ports = c.fragOffset === 0 && (c.proto === 6 || c.proto === 17);
        const p = ports ? c.sport : 0;
        const q = ports ? c.dport : 0;
        const swap = a > b || (a === b && p > q);
        view.setUint32(at, swap ? b : a);
        view.setUint32(at + 4, swap ? a : b);
        view.setUint16(at + 8, swap ? q : p);
        view.setUint16(at + 10, swap ? p : q);
        view.setUint32(at + 12, c.proto);
        return (x.reciprocalScale(x.jhash(at, 16, seed), mod) >>> 0) + offset;
      },
    };
  }
}
