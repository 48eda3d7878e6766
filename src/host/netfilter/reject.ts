// src/host/netfilter/reject.ts: answers to a packet that a rule refuses (net/ipv4/netfilter/nf_reject_ipv4.c).

import { Drop } from "../../../assembly/drop.ts";
import { Pkt, PktFlag } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import { Flow } from "../fib/flow.ts";
import type { FirewallHost } from "./host.ts";

const ICMP_UNREACHABLE = 3;
const RST_LEN = 40;
const MAC_LEN = 6;
const TYPE_IPV4 = 0x0800;

export class Reject {
  private readonly flow = new Flow();

  constructor(private readonly host: FirewallHost) {}

  /** nf_send_unreach. The frame stays the caller's. */
  unreachable(frame: Frame, code: number): void {
    const { core, x } = this.host.world;
    const good = (core.u32[(frame + Pkt.Flags) >> 2]! & PktFlag.CsumOk) !== 0;
    if (good ? (x.ipv4Frag(core.u32[(frame + Pkt.Data) >> 2]!) & 0x1fff) === 0 : x.mangleMayReject(frame)) {
      this.host.icmpSend(frame, ICMP_UNREACHABLE, code, 0);
    }
  }

  /** nf_send_reset: the answer of a closed port, on behalf of the destination. The frame stays the caller's. */
  reset(frame: Frame): void {
    const { host } = this;
    const { core, x } = host.world;
    const { u32 } = core;
    if (!x.mangleMayReset(frame)) return;
    if ((u32[(frame + Pkt.Flags) >> 2]! & (PktFlag.RtBroadcast | PktFlag.RtMulticast)) !== 0) return;
    const net = u32[(frame + Pkt.Data) >> 2]!;
    u32[(frame + Pkt.Net) >> 2] = net;
    u32[(frame + Pkt.Trans) >> 2] = net + x.ipv4HeaderLen(net);
    const to = x.ipv4Src(net) >>> 0;
    const reply = x.tcpReset(frame, 0, host.sysctl.get("net.ipv4.ip_default_ttl"), 0, to, 0);
    if (reply === 0) return host.count(Drop.NoBuffer);
    if (host.sysctl.get("net.ipv4.fwmark_reflect") !== 0) u32[(reply + Pkt.Mark) >> 2] = u32[(frame + Pkt.Mark) >> 2]!;
    const flow = this.flow;
    flow.clear();
    flow.dst = to;
    flow.src = x.ipv4Dst(net) >>> 0;
    flow.anySource = true;
    flow.mark = u32[(reply + Pkt.Mark) >> 2]!;
    const route = host.fib.routeOutput(flow);
    if (route === null || route.dev === null || RST_LEN > host.routeMtu(route)) return x.packetFree(reply);
    if (host.world.tracer !== null) host.trace("originate", null, reply, "tcp reset");
    // what came over a bridge port is answered through it, in the name of its Ethernet destination
    const port = host.byIndex[u32[(frame + Pkt.PhysIn) >> 2]!];
    const mac = u32[(frame + Pkt.Mac) >> 2]!;
    if (port !== undefined && mac !== 0) {
      x.etherPush(reply, mac + MAC_LEN, mac, TYPE_IPV4);
      return port.transmit(reply);
    }
    host.conntrack.attach(reply, frame);
    host.ipLocalOut(reply, route);
  }
}
