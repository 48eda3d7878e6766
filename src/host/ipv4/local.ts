// src/host/ipv4/local.ts: packets for this host: the protocol, the socket, or the refusal (ip_local_deliver_finish).

import { Drop } from "../../../assembly/drop.ts";
import { Pkt, PktFlag, PktType } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { Flow } from "../fib/flow.ts";
import type { Namespace } from "../namespace.ts";
import { icmp, unreachable } from "./icmptypes.ts";

const PROTO_ICMP = 1;
const PROTO_IGMP = 2;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const PROTO_PIM = 103;
const PROTO_UDPLITE = 136;
/** INET_ECN_MASK: a reset keeps the segment's DSCP alone. */
const ECN = 3;
const noAnswer = 0xffffffff;
const RST = 0x04;

export class Local {
  private readonly flow = new Flow();

  constructor(private readonly ns: Namespace) {}

  /** Takes the frame; `Data` at the IPv4 header, whole. */
  receive(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const proto = (ns.world.core.u32[(frame + Pkt.KeyInfo) >> 2]! >> 8) & 255;
    switch (proto) {
      case PROTO_ICMP:
        return ns.icmp.receive(dev, frame);
      case PROTO_TCP:
        return this.tcp(dev, frame);
      case PROTO_UDP:
        return this.udp(dev, frame);
      case PROTO_UDPLITE:
        return this.udplite(dev, frame);
      case PROTO_IGMP:
        return ns.consume(frame, dev, "igmp");
      case PROTO_PIM:
        return ns.consume(frame, dev, "pim");
      default:
        ns.icmp.send(frame, icmp.unreachable, unreachable.protocol, 0);
        return ns.drop(frame, Drop.NoProtocol, dev);
    }
  }

  /** __udp4_lib_rcv */
  private udp(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    const port = x.udpReceive(frame);
    if (port < 0) return ns.drop(frame, (port & 0xffff) as Drop, dev);
    const { udp } = ns.transports;
    if (udp !== null && udp.receive(dev, frame)) return;
    const dst = x.ipv4Dst(u32[(frame + Pkt.Net) >> 2]!) >>> 0;
    if (ns.sockets.find(PROTO_UDP, dst, port) !== null) return ns.consume(frame, dev, "udp");
    if ((u32[(frame + Pkt.Flags) >> 2]! & (PktFlag.RtBroadcast | PktFlag.RtMulticast)) === 0) {
      ns.icmp.send(frame, icmp.unreachable, unreachable.port, 0);
    }
    ns.drop(frame, Drop.NoSocket, dev);
  }

  /** UDP-Lite (RFC 3828): checked as UDP is, and nobody listens. */
  private udplite(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const net = core.u32[(frame + Pkt.Net) >> 2]!;
    const length = core.u32[(frame + Pkt.Len) >> 2]! - x.ipv4HeaderLen(net);
    const bad = x.udpliteCheck(core.u32[(frame + Pkt.Trans) >> 2]!, length, x.ipv4Src(net), x.ipv4Dst(net));
    if (bad !== Drop.None) return ns.drop(frame, bad === Drop.BadChecksum ? Drop.UdpCsum : bad, dev);
    ns.icmp.send(frame, icmp.unreachable, unreachable.port, 0);
    ns.drop(frame, Drop.NoSocket, dev);
  }

  /** tcp_v4_rcv */
  private tcp(dev: Interface, frame: Frame): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    const { u32 } = core;
    if (u32[(frame + Pkt.Type) >> 2] !== PktType.Host) return ns.drop(frame, Drop.OtherHost, dev);
    const net = u32[(frame + Pkt.Net) >> 2]!;
    const p = u32[(frame + Pkt.Trans) >> 2]!;
    const length = u32[(frame + Pkt.Len) >> 2]! - x.ipv4HeaderLen(net);
    const bad = x.tcpCheck(p, length);
    if (bad !== Drop.None) return ns.drop(frame, bad, dev);
    const dst = x.ipv4Dst(net);
    if (!x.tcpVerify(p, length, x.ipv4Src(net), dst)) return ns.drop(frame, Drop.TcpCsum, dev);
    const { tcp } = ns.transports;
    if (tcp !== null && tcp.receive(dev, frame)) return;
    if (ns.sockets.find(PROTO_TCP, dst >>> 0, x.tcpDstPort(p)) !== null) return ns.consume(frame, dev, "tcp");
    this.reset(frame, net, p);
    ns.drop(frame, Drop.NoSocket, dev);
  }

  /** tcp_v4_send_reset: never for a reset (RFC 9293 §3.10.7.1), never for a broadcast. */
  private reset(frame: Frame, net: number, p: number): void {
    const ns = this.ns;
    const { core, x } = ns.world;
    if ((x.tcpFlags(p) & RST) !== 0 || (core.u32[(frame + Pkt.Flags) >> 2]! & PktFlag.RtLocal) === 0) return;
    const optLen = x.ipv4HeaderLen(net) > 20 ? x.optEcho(frame, false) >>> 0 : 0;
    if (optLen === noAnswer) return;
    const final = x.ipv4Src(net) >>> 0;
    const first = optLen !== 0 ? x.optEchoFirstHop() >>> 0 : 0;
    const flow = this.flow;
    flow.clear();
    flow.dst = first !== 0 ? first : final;
    flow.src = x.ipv4Dst(net) >>> 0;
    flow.tos = x.ipv4Tos(net);
    flow.proto = PROTO_TCP;
    flow.sport = x.tcpDstPort(p);
    flow.dport = x.tcpSrcPort(p);
    const route = ns.fib.routeOutput(flow);
    if (route === null || route.dev === null) return;
    const reset = x.tcpReset(frame, flow.tos & ~ECN, ns.defaultTtl(), optLen, flow.dst, ns.timestamp());
    if (reset === 0) return ns.count(Drop.NoBuffer);
    if (ns.world.tracer !== null) ns.trace("originate", null, reset, "tcp reset");
    ns.output.local(reset, route);
  }
}
