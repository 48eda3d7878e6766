// src/host/fib/output.ts: the way of packets that are made here: ip_route_output_key_hash (net/ipv4/route.c).

import { Drop } from "../../../assembly/drop.ts";
import type { Interface } from "../../link/interface.ts";
import type { Fib } from "./fib.ts";
import { type Flow, LOOPBACK_IFINDEX } from "./flow.ts";
import { hashOf, selectWay } from "./multipath.ts";
import { type Info, type Nexthop, type Route, RouteType, Scope, errno } from "./route.ts";
import type { Result } from "./tables.ts";

const PROTO_IGMP = 2;
const BROADCAST = 0xffffffff;
const LOOPBACK = 0x7f000001;

/** 0.0.0.0 alone: the rest of 0/8 are addresses like others (since 5.3). */
const isZeronet = (a: number): boolean => a === 0;
const isLoopback = (a: number): boolean => a >>> 24 === 127;
const isMulticast = (a: number): boolean => a >>> 28 === 14;
const isLocalMulticast = (a: number): boolean => a >>> 8 === 0xe00000;

export function routeOutput(fib: Fib, flow: Flow): Route | null {
  const { result } = fib;
  result.clear();
  flow.iif = LOOPBACK_IFINDEX;
  if (flow.src !== 0) {
    if (isMulticast(flow.src) || flow.src === BROADCAST || isZeronet(flow.src))
      return fib.refuse(Drop.NoRoute, errno.EINVAL);
    if (flow.oif === 0 && (isMulticast(flow.dst) || flow.dst === BROADCAST)) {
      // the source says by which device
      const dev = fib.deviceOfAddress(flow.src);
      if (dev === null) return fib.refuse(Drop.NoRoute, errno.ENETUNREACH);
      flow.oif = dev.ifindex;
      return send(fib, flow, dev, null);
    }
    if (!flow.anySource && fib.deviceOfAddress(flow.src) === null) return fib.refuse(Drop.NoRoute, errno.ENETUNREACH);
  }
  let dev: Interface | null = null;
  if (flow.oif !== 0) {
    dev = fib.deviceAt(flow.oif)?.dev ?? null;
    if (dev === null) return fib.refuse(Drop.NoRoute, errno.ENODEV);
    if (!dev.up) return fib.refuse(Drop.NoRoute, errno.ENETUNREACH);
    if (isLocalMulticast(flow.dst) || flow.dst === BROADCAST || flow.proto === PROTO_IGMP) {
      if (flow.src === 0) flow.src = fib.selectAddress(dev, 0, Scope.Link);
      return send(fib, flow, dev, null);
    }
    if (flow.src === 0) {
      if (isMulticast(flow.dst)) flow.src = fib.selectAddress(dev, 0, flow.scope);
      else if (flow.dst === 0) flow.src = fib.selectAddress(dev, 0, Scope.Host);
    }
  }
  if (flow.dst === 0) {
    flow.dst = flow.src;
    if (flow.dst === 0) flow.dst = flow.src = LOOPBACK;
    flow.oif = LOOPBACK_IFINDEX;
    return fib.deviceAt(LOOPBACK_IFINDEX) === null ? fib.refuse(Drop.NoRoute, errno.ENODEV) : fib.maker.toSelf();
  }
  const err = fib.tables.lookup(flow, result);
  if (err !== 0) {
    if (dev === null) return fib.refuse(Drop.NoRoute, err);
    // the tables know nothing, but the caller named the device: the destination is taken to be on its link
    result.clear();
    if (flow.src === 0) flow.src = fib.selectAddress(dev, 0, Scope.Link);
    return send(fib, flow, dev, null);
  }
  if (result.type === RouteType.Local) {
    if (flow.src === 0) flow.src = result.info!.source !== 0 ? result.info!.source : flow.dst;
    const lo = fib.deviceAt(LOOPBACK_IFINDEX);
    if (lo === null) return fib.refuse(Drop.NoRoute, errno.ENODEV);
    flow.oif = LOOPBACK_IFINDEX;
    // a group stays one, whatever a table calls it
    return flow.dst >>> 28 >= 14 ? send(fib, flow, lo.dev, result) : fib.maker.local(result);
  }
  if (flow.oif === 0 && result.info!.nexthops.length > 1) {
    selectWay(result, hashOf(fib, flow.src, flow.dst, flow.proto, flow.sport, flow.dport), flow.src);
  }
  if (flow.src === 0) flow.src = resultSource(fib, result);
  const out = result.nexthop!.dev!;
  flow.oif = out.ifindex;
  return send(fib, flow, out, result);
}

/** The same for one way of a route. */
export function sourceOf(fib: Fib, info: Info, nh: Nexthop): number {
  if (info.source !== 0) return info.source;
  if (nh.sourceAt !== fib.addressGeneration) {
    nh.source = fib.selectAddress(nh.dev, nh.gateway, info.scope);
    nh.sourceAt = fib.addressGeneration;
  }
  return nh.source;
}

/** fib_result_prefsrc: the address that a route's packets are sent from. */
export function resultSource(fib: Fib, res: Result): number {
  return sourceOf(fib, res.info!, res.nexthop!);
}

/** __mkroute_output; `res` is null when no table was asked, or none knew. */
function send(fib: Fib, flow: Flow, dev: Interface, res: Result | null): Route | null {
  const device = fib.inet(dev);
  if ((fib.all.route_localnet | device.conf.route_localnet) === 0 && isLoopback(flow.src) && dev.kind !== "loopback") {
    return fib.refuse(Drop.NoRoute, errno.EINVAL);
  }
  if (flow.dst === BROADCAST) return fib.maker.sentToGroup(dev, null, RouteType.Broadcast, true);
  if (isMulticast(flow.dst)) {
    const ours = device.listens(flow.dst);
    const far = res !== null && res.prefixLength() >= 4 ? res : null;
    return fib.maker.sentToGroup(dev, far, RouteType.Multicast, ours);
  }
  if (isZeronet(flow.dst)) return fib.refuse(Drop.NoRoute, errno.EINVAL);
  if (res === null) return fib.maker.onLink(dev);
  if (res.type === RouteType.Local) return fib.maker.local(res);
  if (res.type === RouteType.Broadcast) return fib.maker.sentToGroup(dev, res, RouteType.Broadcast, true);
  if (res.type === RouteType.Multicast) return fib.maker.sentToGroup(dev, res, RouteType.Multicast, false);
  return fib.maker.unicast(res, true, flow.dst);
}
