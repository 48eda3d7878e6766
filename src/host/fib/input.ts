// src/host/fib/input.ts: where a received packet goes: ip_route_input, fib_validate_source (net/ipv4/route.c,
// fib_frontend.c), in Linux's order of checks.

import { Drop } from "../../../assembly/drop.ts";
import { Pkt, PktFlag } from "../../../assembly/layout.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { type InetDevice, areOnlink } from "./addresses.ts";
import type { Fib } from "./fib.ts";
import { Flow, LOOPBACK_IFINDEX } from "./flow.ts";
import { dissect, hashFrame, selectWay } from "./multipath.ts";
import { type Info, type Route, RouteType, Scope, errno } from "./route.ts";
import { Result } from "./tables.ts";

const PROTO_IGMP = 2;
const BROADCAST = 0xffffffff;

/** Linux takes 0.0.0.0 alone for "this network": the rest of 0/8 are addresses like others (since 5.3). */
const isZeronet = (a: number): boolean => a === 0;
const isLoopback = (a: number): boolean => a >>> 24 === 127;
const isMulticast = (a: number): boolean => a >>> 28 === 14;
/** 224.0.0.0/24: never forwarded */
const isLocalMulticast = (a: number): boolean => a >>> 8 === 0xe00000;

const asked = new Flow();
const back = new Flow();
const backResult = new Result();

/** What the source check says: refused (negative), or whether the source is right on the link (1) or not (0). */
const refused = -1;

export function routeInput(fib: Fib, frame: Frame, dev: Interface, given: number): Route | null {
  const { core, x } = fib.world;
  const { u32 } = core;
  x.ipKey(frame);
  fib.inputCache.repeats = false;
  // traces tell which rule and route decided: only a look at the tables knows
  if (given >= 0 || fib.world.tracer !== null || fib.tables.rules.needPorts > 0) return decide(fib, frame, dev, given);
  const dst = u32[(frame + Pkt.KeyDst) >> 2]! | 0;
  const src = u32[(frame + Pkt.KeySrc) >> 2]! | 0;
  const where = (dev.ifindex << 8) | ((u32[(frame + Pkt.KeyInfo) >> 2]! >>> 16) & 255);
  const mark = u32[(frame + Pkt.Mark) >> 2]! | 0;
  const { inputCache } = fib;
  const known = inputCache.find(fib.generation, dst, src, where, mark);
  if (known !== null) {
    inputCache.repeats = true;
    u32[(frame + Pkt.Flags) >> 2]! |= inputCache.flags;
    return known;
  }
  const before = u32[(frame + Pkt.Flags) >> 2]!;
  const route = decide(fib, frame, dev, given);
  if (route === null || route.error !== 0) return route;
  if (route.type === RouteType.Local || (route.type === RouteType.Unicast && isPlain(fib))) {
    inputCache.repeats = true;
    inputCache.keep(dst, src, where, mark, route, u32[(frame + Pkt.Flags) >> 2]! & ~before & PktFlag.DoRedirect);
  }
  return route;
}

/** One way, about which ICMP taught nothing that expires. */
function isPlain(fib: Fib): boolean {
  const { info, nexthop } = fib.result;
  return info!.nexthops.length === 1 && !nexthop!.exceptions;
}

function decide(fib: Fib, frame: Frame, dev: Interface, given: number): Route | null {
  const { core, x } = fib.world;
  const net = core.u32[(frame + Pkt.Net) >> 2]!;
  const src = x.ipv4Src(net) >>> 0;
  const dst = given >= 0 ? given : x.ipv4Dst(net) >>> 0;
  const device = fib.deviceAt(dev.ifindex);
  fib.result.clear();
  if (device === null) return fib.refuse(Drop.Martian, errno.EINVAL);
  if (isMulticast(dst)) return multicast(fib, frame, device, net, src, dst);
  return unicast(fib, frame, device, net, src, dst);
}

/** ip_route_input_slow */
function unicast(fib: Fib, frame: Frame, device: InetDevice, net: number, src: number, dst: number): Route | null {
  const { core, x } = fib.world;
  if (isMulticast(src) || src === BROADCAST) return fib.refuse(Drop.MartianSource, errno.EINVAL);
  const flow = asked;
  flow.src = src;
  flow.dst = dst;
  flow.oif = 0;
  flow.iif = device.dev.ifindex;
  flow.tos = x.ipv4Tos(net);
  flow.mark = core.u32[(frame + Pkt.Mark) >> 2]!;
  flow.scope = Scope.Universe;
  if (dst === BROADCAST || (src === 0 && dst === 0)) return broadcast(fib, frame, device);
  if (isZeronet(src)) return fib.refuse(Drop.MartianSource, errno.EINVAL);
  if (isZeronet(dst)) return fib.refuse(Drop.Martian, errno.EINVAL);
  if (isLoopback(dst)) {
    if (!routesLocalnet(fib, device)) return fib.refuse(Drop.Martian, errno.EINVAL);
  } else if (isLoopback(src) && !routesLocalnet(fib, device)) return fib.refuse(Drop.MartianSource, errno.EINVAL);
  if (fib.tables.rules.needPorts > 0) dissect(fib, frame, flow);
  else flow.proto = flow.sport = flow.dport = 0;

  const res = fib.result;
  const forwarding = device.conf.forwarding !== 0;
  const err = fib.tables.lookup(flow, res);
  if (err !== 0) return fib.maker.error(forwarding ? err : errno.EHOSTUNREACH);
  if (res.type === RouteType.Broadcast) {
    if (fib.all.bc_forwarding !== 0 && device.conf.bc_forwarding !== 0) return forward(fib, frame, device);
    return broadcast(fib, frame, device);
  }
  if (res.type === RouteType.Local) {
    if (validateSource(fib, frame, device, src, dst, 0) === refused) return null;
    return fib.maker.local(res);
  }
  if (!forwarding) return fib.maker.error(errno.EHOSTUNREACH);
  if (res.type !== RouteType.Unicast) return fib.refuse(Drop.Martian, errno.EINVAL);
  return forward(fib, frame, device);
}

function routesLocalnet(fib: Fib, device: InetDevice): boolean {
  return (fib.all.route_localnet | device.conf.route_localnet) !== 0;
}

/** For everybody on the link: taken in, once the source is right. */
function broadcast(fib: Fib, frame: Frame, device: InetDevice): Route | null {
  if (!isZeronet(asked.src) && validateSource(fib, frame, device, asked.src, 0, 0) === refused) return null;
  return fib.maker.group(device.dev, RouteType.Broadcast, true);
}

/** __mkroute_input */
function forward(fib: Fib, frame: Frame, device: InetDevice): Route | null {
  const res = fib.result;
  if (res.info!.nexthops.length > 1) selectWay(res, hashFrame(fib, frame, asked), 0);
  const nh = res.nexthop!;
  const out = nh.dev === null ? null : fib.deviceAt(nh.dev.ifindex);
  if (out === null) return fib.refuse(Drop.NoRoute, errno.EINVAL);
  const near = validateSource(fib, frame, device, asked.src, asked.dst, out.dev.ifindex);
  if (near === refused) return null;
  if (
    out === device &&
    near === 1 &&
    sendsRedirects(fib, out) &&
    ((fib.all.shared_media | out.conf.shared_media) !== 0 || areOnlink(out, asked.src, nh.gateway))
  ) {
    fib.world.core.u32[(frame + Pkt.Flags) >> 2]! |= PktFlag.DoRedirect;
  }
  return fib.maker.unicast(res, false, asked.dst);
}

function sendsRedirects(fib: Fib, device: InetDevice): boolean {
  return (fib.all.send_redirects | device.conf.send_redirects) !== 0;
}

/** ip_route_input_mc: groups that the device listens to; there is no multicast routing. */
function multicast(fib: Fib, frame: Frame, device: InetDevice, net: number, src: number, dst: number): Route | null {
  const { core, x } = fib.world;
  if (!device.listens(dst)) return fib.refuse(Drop.Martian, errno.EINVAL);
  if (isMulticast(src) || src === BROADCAST) return fib.refuse(Drop.MartianSource, errno.EINVAL);
  if (isLoopback(src) && !routesLocalnet(fib, device)) return fib.refuse(Drop.MartianSource, errno.EINVAL);
  asked.tos = x.ipv4Tos(net);
  asked.mark = core.u32[(frame + Pkt.Mark) >> 2]!;
  if (isZeronet(src)) {
    if (!isLocalMulticast(dst) && x.ipv4Proto(net) !== PROTO_IGMP) return fib.refuse(Drop.MartianSource, errno.EINVAL);
  } else if (validateSource(fib, frame, device, src, 0, 0) === refused) return null;
  return fib.maker.group(device.dev, RouteType.Multicast, true);
}

/**
 * fib_validate_source: would an answer go back the same way? `oif` is where the packet goes on to, 0 for here.
 * Answers `refused` (with `fib.failure`), or 1 when the source is on this link, else 0.
 */
function validateSource(fib: Fib, frame: Frame, device: InetDevice, src: number, dst: number, oif: number): number {
  const { all, tables } = fib;
  const { conf, dev } = device;
  const rpf = Math.max(all.rp_filter, conf.rp_filter);
  const acceptLocal = (all.accept_local | conf.accept_local) !== 0;
  if (rpf === 0 && (dev.ifindex !== oif || !sendsRedirects(fib, device))) {
    if (acceptLocal) return 0;
    if (!fib.customLocalRoutes && !tables.rules.custom) {
      if (!fib.isOwnAddress(src)) return 0;
      fib.refuse(Drop.MartianSource, errno.EINVAL);
      return refused;
    }
  }
  back.dst = src;
  back.src = dst;
  back.oif = 0;
  back.iif = oif !== 0 ? oif : LOOPBACK_IFINDEX;
  back.tos = asked.tos;
  back.mark = (all.src_valid_mark | conf.src_valid_mark) !== 0 ? asked.mark : 0;
  back.scope = Scope.Universe;
  if (tables.rules.needPorts > 0) {
    dissect(fib, frame, back);
    const port = back.sport;
    back.sport = back.dport;
    back.dport = port;
  } else back.proto = back.sport = back.dport = 0;
  const res = backResult;
  if (tables.lookup(back, res) !== 0) return withoutRoute(fib, rpf);
  if (res.type !== RouteType.Unicast && (res.type !== RouteType.Local || !acceptLocal)) {
    fib.refuse(Drop.MartianSource, errno.EINVAL);
    return refused;
  }
  if (usesDevice(res.info!, dev) || (res.type === RouteType.Local && dev.kind === "loopback")) {
    return res.nexthop!.scope >= Scope.Host ? 1 : 0;
  }
  if (device.addresses.length === 0) return withoutRoute(fib, rpf);
  if (rpf === 1) return withoutRoute(fib, rpf);
  back.oif = dev.ifindex;
  if (tables.lookup(back, res) === 0 && res.type === RouteType.Unicast) return res.nexthop!.scope >= Scope.Host ? 1 : 0;
  return 0;
}

/** fib_info_nh_uses_dev */
function usesDevice(info: Info, dev: Interface): boolean {
  const { nexthops } = info;
  for (let i = 0; i < nexthops.length; i++) if (nexthops[i]!.dev === dev) return true;
  return false;
}

/** No way back by this device: that is refused when the filter is on. */
function withoutRoute(fib: Fib, rpf: number): number {
  if (rpf === 0) return 0;
  fib.refuse(Drop.ReversePath, errno.EINVAL);
  return refused;
}
