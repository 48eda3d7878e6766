// src/capture/filter/compile.ts: pcap-filter(7) expressions to classic BPF programs.

import { ipv4, ipv6, mac } from "./address.ts";
import { Arithmetics } from "./arithmetic.ts";
import { type Condition, and, not, or, test } from "./condition.ts";
import { FilterError } from "./error.ts";
import { assemble, graphOf } from "./layout.ts";
import { Links } from "./links.ts";
import { etherProtocols, ipProtocols, service } from "./names.ts";
import { optimize } from "./optimize.ts";
import { parse } from "./parser.ts";
import { MAX_INSTRUCTIONS, OUTGOING, Op, PACKET_TYPE, type Program } from "./program.ts";
import type { Expression, Id, Qualifiers } from "./syntax.ts";

export { LinkType } from "./links.ts";

export interface FilterOptions {
  /** The caller knows each frame's direction and gives it to `matches`: `inbound` and `outbound` are allowed. */
  readonly direction?: boolean;
  /** False leaves out the optimizer (`tcpdump -O`). */
  readonly optimize?: boolean;
}

const transports: ReadonlyMap<string, number> = new Map([
  ["tcp", 6],
  ["udp", 17],
  ["sctp", 132],
]);
const isoProtocols: ReadonlyMap<string, number> = new Map([
  ["clnp", 0x81],
  ["esis", 0x82],
  ["isis", 0x83],
]);
const SRC = { ipv4: 12, ipv6: 8, arp: 14, mac: 6 };
const DST = { ipv4: 16, ipv6: 24, arp: 24, mac: 0 };

class Compiler {
  private readonly links: Links;
  private readonly arithmetics: Arithmetics;

  constructor(
    linkType: number,
    private readonly options: FilterOptions,
  ) {
    this.links = new Links(linkType);
    this.arithmetics = new Arithmetics(this.links);
  }

  /** Left to right: `vlan` and its like move the offsets of what follows. */
  condition(e: Expression): Condition {
    // a chain of and/or is as deep as it is long: walk down its left side without recursion
    const chain: (Expression & { kind: "and" | "or" })[] = [];
    let left = e;
    while (left.kind === "and" || left.kind === "or") {
      chain.push(left);
      left = left.left;
    }
    let c = this.primitive(left);
    for (const step of chain.toReversed()) {
      const right = this.condition(step.right);
      c = { kind: step.kind, a: c, b: right };
    }
    return c;
  }

  private primitive(e: Expression): Condition {
    switch (e.kind) {
      case "not":
        return not(this.condition(e.of));
      case "protocol":
        return this.links.protocol(e.name, e.at);
      case "relation":
        return this.arithmetics.relation(e.op, e.left, e.right);
      case "cast":
        return this.cast(e.at, e.protocol, e.multicast);
      case "special":
        return this.special(e.at, e.name, e.value);
      case "id":
        return this.id(e.qualifiers, e.id);
      default:
        return this.condition(e);
    }
  }

  private special(at: number, name: string, value: number | null): Condition {
    const { links } = this;
    switch (name) {
      case "vlan":
        return links.vlan(value, at);
      case "mpls":
        return links.mpls(value, at);
      case "pppoes":
        return links.pppoes(value, at);
      case "pppoed":
        return links.linkType(0x8863, at);
      case "less":
        return not(test([{ code: Op.LdLen, k: 0 }], Op.Jgt, value!));
      case "greater":
        return test([{ code: Op.LdLen, k: 0 }], Op.Jge, value!);
      case "ifindex":
        if (!links.isSll2) throw new FilterError(at, "'ifindex' needs Linux cooked v2");
        return test([{ code: Op.LdW, k: 4 }], Op.Jeq, value!);
      default: {
        const outbound = this.outbound(at, name);
        return name === "outbound" ? outbound : not(outbound);
      }
    }
  }

  private outbound(at: number, name: string): Condition {
    if (this.links.isSll) return test([{ code: Op.LdH, k: 0 }], Op.Jeq, OUTGOING);
    if (this.links.isSll2) return test([{ code: Op.LdB, k: 10 }], Op.Jeq, OUTGOING);
    if (this.options.direction !== true) throw new FilterError(at, `'${name}': the frames' direction is not known`);
    return test([{ code: Op.LdH, k: PACKET_TYPE }], Op.Jeq, OUTGOING);
  }

  private cast(at: number, protocol: string | null, multicast: boolean): Condition {
    const { links } = this;
    const name = multicast ? "multicast" : "broadcast";
    switch (protocol) {
      case null:
      case "ether":
        if (!links.hasMac) throw new FilterError(at, `'${name}' needs Ethernet`);
        if (!multicast) return links.macAt(DST.mac, [255, 255, 255, 255, 255, 255]);
        return test([{ code: Op.LdB, k: links.header }], Op.Jset, 1);
      case "ip":
        if (!multicast) throw new FilterError(at, "'ip broadcast' needs the network's mask, which is not known");
        return and(links.linkType(0x0800, at), test([{ code: Op.LdB, k: links.payload + 16 }], Op.Jge, 224));
      case "ip6":
        if (multicast) return and(links.linkType(0x86dd, at), links.byteIs(links.payload + 24, 255));
        throw new FilterError(at, "IPv6 has no broadcast");
      default:
        throw new FilterError(at, `'${protocol} ${name}', expected ether, ip or ip6`);
    }
  }

  private id(q: Qualifiers, id: Id): Condition {
    if (q.kind === "protochain") throw new FilterError(id.at, "'protochain' is not supported");
    if (q.kind === "gateway") throw new FilterError(id.at, "'gateway' needs names, and names are not resolved");
    if (q.protocol === "decnet") throw new FilterError(id.at, "DECnet addresses are not supported");
    switch (id.kind) {
      case "mac":
        return this.mac(q, id);
      case "ipv4":
        return this.network4(q, id);
      case "ipv6":
        return this.network6(q, id);
      case "number":
        return this.number(q, id.at, id.value);
      default:
        return this.name(q, id.at, id.text);
    }
  }

  private number(q: Qualifiers, at: number, value: number): Condition {
    switch (q.kind) {
      case "port":
        return this.port(q, at, value, this.transport(q, at));
      case "portrange":
        return this.portrange(q, at, value, value, this.transport(q, at));
      case "proto":
        return this.proto(q, at, value);
      case "net": {
        // `net 10`: the highest byte that is not zero comes first
        let v = value;
        let mask = 0xffffffff;
        while (v !== 0 && v < 0x1000000) {
          v = (v << 8) >>> 0;
          mask = (mask << 8) >>> 0;
        }
        return this.host4(q, at, v, mask);
      }
      default:
        if (q.protocol === "ether") throw new FilterError(at, "expected a MAC address");
        return this.host4(q, at, value, 0xffffffff);
    }
  }

  private name(q: Qualifiers, at: number, name: string): Condition {
    switch (q.kind) {
      case "port": {
        const s = this.service(q, at, name);
        return this.port(q, at, s.port, s.protocol);
      }
      case "portrange": {
        const dash = name.indexOf("-");
        if (dash < 0) throw new FilterError(at, `'${name}', expected a range such as 6000-6008`);
        const a = this.service(q, at, name.slice(0, dash));
        const b = this.service(q, at, name.slice(dash + 1));
        return this.portrange(q, at, a.port, b.port, a.protocol === b.protocol ? a.protocol : this.transport(q, at));
      }
      case "proto": {
        const known = q.protocol === "ether" ? etherProtocols : q.protocol === "iso" ? isoProtocols : ipProtocols;
        const n = known.get(name);
        if (n === undefined) throw new FilterError(at, `unknown protocol '${name}'`);
        return this.proto(q, at, n);
      }
      default:
        throw new FilterError(at, `'${name}' is no address: names are not resolved`);
    }
  }

  /** A service's port and protocol; a number is one as well. */
  private service(q: Qualifiers, at: number, name: string): { port: number; protocol: number | null } {
    const asked = this.transport(q, at);
    if (/^\d{1,6}$/.test(name)) return { port: this.portNumber(at, Number(name)), protocol: asked };
    const s = service(name);
    if (s === null) throw new FilterError(at, `unknown port '${name}'`);
    if (asked !== null && s.protocol !== null && s.protocol !== asked) {
      throw new FilterError(at, `port '${name}' is ${s.protocol === 6 ? "tcp" : "udp"}`);
    }
    return { port: s.port, protocol: asked ?? s.protocol };
  }

  private portNumber(at: number, port: number): number {
    if (port > 65535) throw new FilterError(at, `port ${port}, expected at most 65535`);
    return port;
  }

  private transport(q: Qualifiers, at: number): number | null {
    if (q.protocol === null) return null;
    const n = transports.get(q.protocol);
    if (n === undefined) throw new FilterError(at, `'${q.protocol} ${q.kind}', expected tcp, udp or sctp`);
    return n;
  }

  /** What both ends are tested for, by the direction asked for. */
  private ends(q: Qualifiers, src: () => Condition, dst: () => Condition): Condition {
    switch (q.direction) {
      case "src":
        return src();
      case "dst":
        return dst();
      case "and":
        return and(src(), dst());
      default:
        return or(src(), dst());
    }
  }

  private port(q: Qualifiers, at: number, port: number, protocol: number | null): Condition {
    this.portNumber(at, port);
    return this.ports(q, at, protocol, (load) => test([...load], Op.Jeq, port));
  }

  private portrange(q: Qualifiers, at: number, a: number, b: number, protocol: number | null): Condition {
    const low = this.portNumber(at, Math.min(a, b));
    const high = this.portNumber(at, Math.max(a, b));
    return this.ports(q, at, protocol, (load) => and(test([...load], Op.Jge, low), not(test([...load], Op.Jgt, high))));
  }

  /** IPv6 first, then IPv4 without later fragments. */
  private ports(
    q: Qualifiers,
    at: number,
    protocol: number | null,
    compare: (load: { code: number; k: number }[]) => Condition,
  ): Condition {
    const { links } = this;
    const p = links.payload;
    const protocols = protocol === null ? [132, 6, 17] : [protocol];
    const over6 = (n: number): Condition =>
      and(
        links.byteIs(p + 6, n),
        this.ends(
          q,
          () => compare([{ code: Op.LdH, k: p + 40 }]),
          () => compare([{ code: Op.LdH, k: p + 42 }]),
        ),
      );
    const over4 = (n: number): Condition => {
      const load = (k: number): Condition =>
        compare([
          { code: Op.LdxMsh, k: p },
          { code: Op.LdIndH, k },
        ]);
      return and(
        and(links.byteIs(p + 9, n), links.firstFragment()),
        this.ends(
          q,
          () => load(p),
          () => load(p + 2),
        ),
      );
    };
    return or(
      and(links.linkType(0x86dd, at), or(...protocols.map(over6))),
      and(links.linkType(0x0800, at), or(...protocols.map(over4))),
    );
  }

  private proto(q: Qualifiers, at: number, n: number): Condition {
    const { links } = this;
    switch (q.protocol) {
      case null:
        return links.ipProtocol(n, at);
      case "ip":
        return links.ipv4Protocol(n, at);
      case "ip6":
        return links.ipv6Protocol(n, at);
      case "ether":
        return links.linkType(n, at);
      case "iso":
        return links.isoProtocol(n, at);
      default:
        throw new FilterError(at, `'${q.protocol} proto', expected ip, ip6, ether or iso`);
    }
  }

  private mac(q: Qualifiers, id: Id & { kind: "mac" | "name" }): Condition {
    if (q.protocol !== "ether" || (q.kind !== null && q.kind !== "host")) {
      throw new FilterError(id.at, `MAC address '${id.text}', expected 'ether host', 'ether src' ... in front of it`);
    }
    if (!this.links.hasMac) throw new FilterError(id.at, "MAC addresses need Ethernet");
    const bytes = mac(id.text);
    return this.ends(
      q,
      () => this.links.macAt(SRC.mac, bytes),
      () => this.links.macAt(DST.mac, bytes),
    );
  }

  private notAnAddressOf(q: Qualifiers, id: Id & { kind: "ipv4" | "ipv6" }): void {
    if (q.kind !== null && q.kind !== "host" && q.kind !== "net") {
      throw new FilterError(id.at, `address '${id.text}' behind '${q.kind}', expected 'host' or 'net' in front of it`);
    }
    if ((id.bits !== null || id.mask !== null) && id.kind === "ipv4" && q.kind !== "net") {
      throw new FilterError(id.at, `a mask behind 'host', expected 'net ${id.text} ...'`);
    }
  }

  private network4(q: Qualifiers, id: Id & { kind: "ipv4" | "ipv6" }): Condition {
    this.notAnAddressOf(q, id);
    if (q.protocol === "ether") throw new FilterError(id.at, "expected a MAC address");
    const { value, bits } = ipv4(id.text, id.at);
    let mask = bits === 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
    if (id.mask !== null) mask = ipv4(id.mask, id.at).value;
    else if (id.bits !== null) {
      if (id.bits > 32) throw new FilterError(id.at, `prefix length ${id.bits}, expected at most 32`);
      mask = id.bits === 0 ? 0 : (0xffffffff << (32 - id.bits)) >>> 0;
    }
    if ((value & ~mask) !== 0) {
      throw new FilterError(id.at, `'${id.text}' has bits outside its mask, expected a network's address`);
    }
    return this.host4(q, id.at, value, mask);
  }

  /** IPv4, and where no protocol is asked for ARP and RARP too. */
  private host4(q: Qualifiers, at: number, value: number, mask: number): Condition {
    const { links } = this;
    const over = (type: number, src: number, dst: number): Condition =>
      this.ends(
        q,
        () => and(links.linkType(type, at), links.ipv4At(src, value, mask)),
        () => and(links.linkType(type, at), links.ipv4At(dst, value, mask)),
      );
    const ip = (): Condition => over(0x0800, SRC.ipv4, DST.ipv4);
    const arp = (): Condition => over(0x0806, SRC.arp, DST.arp);
    const rarp = (): Condition => over(0x8035, SRC.arp, DST.arp);
    switch (q.protocol) {
      case null:
        return links.hasLabels ? ip() : or(ip(), arp(), rarp());
      case "ip":
        return ip();
      case "arp":
        return arp();
      case "rarp":
        return rarp();
      default:
        throw new FilterError(at, `'${q.protocol}' before an IPv4 address, expected ip, arp or rarp`);
    }
  }

  private network6(q: Qualifiers, id: Id & { kind: "ipv4" | "ipv6" }): Condition {
    this.notAnAddressOf(q, id);
    const bits = id.bits ?? 128;
    if (bits > 128) throw new FilterError(id.at, `prefix length ${bits}, expected at most 128`);
    if (bits !== 128 && q.kind !== "net") {
      throw new FilterError(id.at, `a mask behind 'host', expected 'net ${id.text} ...'`);
    }
    const value = ipv6(id.text, id.at);
    const mask = [0, 32, 64, 96].map((from) => {
      const n = Math.min(32, Math.max(0, bits - from));
      return n === 0 ? 0 : (0xffffffff << (32 - n)) >>> 0;
    });
    if (value.some((v, i) => (v & ~mask[i]!) !== 0)) {
      throw new FilterError(id.at, `'${id.text}' has bits outside its mask, expected a network's address`);
    }
    if (q.protocol !== null && q.protocol !== "ip6") {
      throw new FilterError(id.at, `'${q.protocol}' before an IPv6 address, expected ip6`);
    }
    const { links } = this;
    return this.ends(
      q,
      () => and(links.linkType(0x86dd, id.at), links.ipv6At(SRC.ipv6, value, mask)),
      () => and(links.linkType(0x86dd, id.at), links.ipv6At(DST.ipv6, value, mask)),
    );
  }
}

/**
 * Compiles a capture filter for frames of a link type (1 Ethernet, 101 raw IP, 113 and 276 Linux cooked).
 * An empty text accepts everything. Throws an `Error` that names the column and what was expected.
 */
export function compileFilter(text: string, linkType: number, options: FilterOptions = {}): Program {
  const compiler = new Compiler(linkType, options);
  const expression = parse(text);
  const graph = graphOf(expression === null ? null : compiler.condition(expression));
  if (options.optimize !== false) optimize(graph);
  if (graph.root === graph.reject) throw new FilterError(0, "no frame can match this expression");
  const program = assemble(graph);
  if (program.length > MAX_INSTRUCTIONS) {
    throw new FilterError(0, `makes ${program.length} instructions, expected at most ${MAX_INSTRUCTIONS}`);
  }
  return program;
}
