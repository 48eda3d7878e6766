// src/transport/udp.ts: UDP (RFC 768, RFC 1122 §4.1): which socket a datagram belongs to, which ports are free, and whom an
// ICMP error concerns.

import { Drop } from "../../assembly/drop.ts";
import { Pkt, PktFlag } from "../../assembly/layout.ts";
import type { Frame } from "../core/core.ts";
import { icmp, unreachable } from "../host/ipv4/icmptypes.ts";
import type { Namespace } from "../host/namespace.ts";
import type { Transport } from "../host/transport.ts";
import type { Interface } from "../link/interface.ts";
import { SocketError } from "./errno.ts";
import { icmpError } from "./icmperror.ts";
import { portRange } from "./ports.ts";
import type { Owner } from "./tcp/endpoint.ts";
import { UdpSocket } from "./udpsocket.ts";

const PROTO_UDP = 17;
const HEADER_LEN = 8;

export interface UdpConfig {
  /** net.core.rmem_default and wmem_default: what a socket's SO_RCVBUF and SO_SNDBUF are. */
  receiveBuffer: number;
  sendBuffer: number;
}

const defaults: UdpConfig = { receiveBuffer: 212992, sendBuffer: 212992 };

export class Udp implements Transport {
  readonly config: UdpConfig;
  /** By local port; the latest that was bound first, as in the kernel's chains. */
  private readonly byPort = new Map<number, UdpSocket[]>();
  private readonly seed: number;

  /** Makes itself the namespace's UDP. */
  constructor(
    readonly ns: Namespace,
    config: Partial<UdpConfig> = {},
  ) {
    this.config = { ...defaults, ...config };
    this.seed = ns.world.rng.u32();
    ns.transports.udp = this;
  }

  /** socket(AF_INET, SOCK_DGRAM): no port yet. */
  open(owner: Owner | null = null): UdpSocket {
    return new UdpSocket(this, owner);
  }

  // -- ports

  hasPort(address: number, port: number): boolean {
    const list = this.byPort.get(port);
    if (list === undefined) return false;
    for (const s of list) if (s.boundAddress === 0 || address === 0 || s.boundAddress === address) return true;
    return false;
  }

  /** udp_lib_get_port: gives the socket its port, 0 for any that is free. Throws EADDRINUSE, EAGAIN. */
  take(socket: UdpSocket, port: number): void {
    if (port === 0) port = this.freePort(socket);
    else if (this.isTaken(socket, port)) throw new SocketError("EADDRINUSE");
    socket.localPort = port;
    const list = this.byPort.get(port);
    if (list === undefined) this.byPort.set(port, [socket]);
    else list.unshift(socket);
  }

  release(socket: UdpSocket): void {
    const list = this.byPort.get(socket.localPort);
    const i = list === undefined ? -1 : list.indexOf(socket);
    if (i < 0) return;
    if (list!.length === 1) this.byPort.delete(socket.localPort);
    else list!.splice(i, 1);
  }

  /** A random one of net.ipv4.ip_local_port_range, and on from there by an odd step. */
  private freePort(socket: UdpSocket): number {
    const { rng } = this.ns.world;
    const [low, count] = portRange(this.ns.sysctl);
    const step = ((rng.u32() | 1) >>> 0) % count || 1;
    let at = rng.below(count);
    for (let i = 0; i < count; i++) {
      const port = low + at;
      if (!this.isTaken(socket, port) && !this.ns.sockets.has(PROTO_UDP, socket.boundAddress, port)) return port;
      at = (at + step) % count;
    }
    // the step and the range may share a factor
    for (let i = 0; i < count; i++) if (!this.isTaken(socket, low + i)) return low + i;
    throw new SocketError("EADDRINUSE");
  }

  /** udp_lib_lport_inuse */
  private isTaken(socket: UdpSocket, port: number): boolean {
    const list = this.byPort.get(port);
    if (list === undefined) return false;
    for (const s of list) {
      if (s === socket || (s.reuseAddress && socket.reuseAddress) || (s.reusePort && socket.reusePort)) continue;
      if (s.device !== 0 && socket.device !== 0 && s.device !== socket.device) continue;
      if (s.boundAddress === 0 || socket.boundAddress === 0 || s.boundAddress === socket.boundAddress) return true;
    }
    return false;
  }

  // -- what arrives

  receive(dev: Interface, frame: Frame): boolean {
    const { core, x } = this.ns.world;
    const { u32 } = core;
    const p = u32[(frame + Pkt.Trans) >> 2]!;
    const list = this.byPort.get(x.udpDstPort(p));
    if (list === undefined) return false;
    const net = u32[(frame + Pkt.Net) >> 2]!;
    const src = x.ipv4Src(net) >>> 0;
    const dst = x.ipv4Dst(net) >>> 0;
    const sport = x.udpSrcPort(p);
    if ((u32[(frame + Pkt.Flags) >> 2]! & (PktFlag.RtBroadcast | PktFlag.RtMulticast)) !== 0) {
      return this.toAll(dev, frame, list, src, sport, dst);
    }
    const socket = this.lookup(list, src, sport, dst, dev.ifindex);
    if (socket === null) return false;
    const length = u32[(frame + Pkt.Len) >> 2]! - (p - net) - HEADER_LEN;
    if (!socket.push(core.u8, p + HEADER_LEN, length, src, sport, dst, dev.ifindex)) {
      this.ns.drop(frame, Drop.SocketRcvbuff, dev);
      return true;
    }
    this.ns.consume(frame, dev, "udp");
    socket.readable();
    return true;
  }

  /** __udp4_lib_mcast_deliver: every socket that may have it gets it. */
  private toAll(dev: Interface, frame: Frame, list: UdpSocket[], src: number, sport: number, dst: number): boolean {
    const { core } = this.ns.world;
    const { u32 } = core;
    const p = u32[(frame + Pkt.Trans) >> 2]!;
    const length = u32[(frame + Pkt.Len) >> 2]! - (p - u32[(frame + Pkt.Net) >> 2]!) - HEADER_LEN;
    let wanted = false;
    let full = true;
    // whoever is woken may open and close sockets: the frame is done with first
    const woken: UdpSocket[] = [];
    for (const s of list) {
      if (s.boundAddress !== 0 && s.boundAddress !== dst) continue;
      if (s.remoteAddress !== 0 && s.remoteAddress !== src) continue;
      if (s.remotePort !== 0 && s.remotePort !== sport) continue;
      if (s.device !== 0 && s.device !== dev.ifindex) continue;
      if (!s.hears(dst, dev)) continue;
      wanted = true;
      if (!s.push(core.u8, p + HEADER_LEN, length, src, sport, dst, dev.ifindex)) {
        this.ns.count(Drop.SocketRcvbuff);
        continue;
      }
      full = false;
      woken.push(s);
    }
    if (!wanted) return false;
    if (full) this.ns.drop(frame, Drop.SocketRcvbuff, dev);
    else this.ns.consume(frame, dev, "udp");
    for (const s of woken) s.readable();
    return true;
  }

  /** __udp4_lib_lookup: the exact address before any, then whoever names most of the rest (compute_score). */
  private lookup(list: UdpSocket[], src: number, sport: number, dst: number, ifindex: number): UdpSocket | null {
    let best: UdpSocket | null = null;
    let most = -1;
    let group = 0;
    for (let i = 0; i < list.length; i++) {
      const s = list[i]!;
      let score = 0;
      if (s.boundAddress !== 0) {
        if (s.boundAddress !== dst) continue;
        score = 16;
      }
      if (s.remoteAddress !== 0) {
        if (s.remoteAddress !== src) continue;
        score += 4;
      }
      if (s.remotePort !== 0) {
        if (s.remotePort !== sport) continue;
        score += 4;
      }
      if (s.device !== 0) {
        if (ifindex !== 0 && s.device !== ifindex) continue;
        score += 4;
      }
      if (score > most) {
        most = score;
        best = s;
        group = s.reusePort ? 1 : 0;
      } else if (score === most && s.reusePort && best!.reusePort) group++;
    }
    return group > 1 ? this.share(list, best!, group, src, sport, dst) : best;
  }

  /** reuseport_select_sock: sockets that share a port take turns by a hash of the addresses and ports. */
  private share(list: UdpSocket[], like: UdpSocket, n: number, src: number, sport: number, dst: number): UdpSocket {
    if (like.remotePort !== 0) return like;
    const hash = mix(mix(mix(this.seed, dst), src), (sport << 16) | like.localPort);
    let skip = Math.floor((hash / 2 ** 32) * n);
    for (const s of list) {
      const same = s.reusePort && s.boundAddress === like.boundAddress && s.device === like.device;
      if (same && s.remotePort === 0 && skip-- === 0) return s;
    }
    return like;
  }

  /** __udp4_lib_err */
  error(quoted: number, length: number, type: number, code: number, info: number, from: number): void {
    const { core, x } = this.ns.world;
    const ihl = x.ipv4HeaderLen(quoted);
    const p = quoted + ihl;
    const list = this.byPort.get(x.udpSrcPort(p));
    if (list === undefined) return;
    const dst = x.ipv4Dst(quoted) >>> 0;
    const dport = x.udpDstPort(p);
    const socket = this.lookup(list, dst, dport, x.ipv4Src(quoted) >>> 0, 0);
    if (socket === null) return;
    const what = icmpError(type, code);
    if (what === null) return;
    let { fatal } = what;
    if (type === icmp.unreachable && code === unreachable.fragNeeded) {
      if (!socket.discovers) return;
      fatal = true;
    }
    if (socket.receiveErrors) {
      socket.pushError({
        errno: what.errno,
        origin: "icmp",
        type,
        code,
        info,
        offender: from,
        address: dst,
        port: dport,
        data: core.u8.slice(p + HEADER_LEN, Math.max(p + HEADER_LEN, quoted + length)),
      });
    } else if (!fatal || socket.remotePort === 0) return;
    socket.fail(what.errno);
  }

  /** Every socket that has a port, as `ss -uan` lists them. */
  *sockets(): Generator<UdpSocket> {
    for (const list of this.byPort.values()) yield* list;
  }
}

/** Mixes a word into a hash (the finalizer of MurmurHash3). */
function mix(h: number, v: number): number {
  h = Math.imul((h ^ v) >>> 0, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
