// src/host/bridgeshow.ts: bridges as bridge(8) prints them.

import { formatMac } from "../core/address.ts";
import type { Bridge } from "../device/bridge.ts";
import { BridgePort, portStateNames } from "../device/bridgeport.ts";
import type { FdbEntry } from "../device/fdb.ts";
import type { VlanGroup } from "../device/vlangroup.ts";
import { Interface } from "../link/interface.ts";
import type { Namespace } from "./namespace.ts";

/** Two lines of `bridge -d link`, the first alone without details. */
export function formatLink(port: BridgePort, details: boolean): string {
  const { dev } = port;
  const up = dev.up ? ",UP,LOWER_UP" : "";
  const peer =
    dev.peer instanceof Interface ? `@${dev.peer.owner === dev.owner ? dev.peer.name : `if${dev.peer.ifindex}`}` : "";
  const head =
    `${dev.ifindex}: ${dev.name}${peer}: <BROADCAST,MULTICAST${up}> mtu ${dev.mtu} master ${port.bridge.dev.name} ` +
    `state ${portStateNames[port.state]} priority ${port.priority} cost ${port.cost} \n`;
  if (!details) return head;
  return (
    `${head}    ${word("hairpin", port.hairpin)}${word("guard", port.guard)}${word("root_block", port.rootBlock)}` +
    `${word("fastleave", port.fastleave)}${word("learning", port.learning)}${word("flood", port.flood)}` +
    `${word("mcast_flood", port.mcastFlood)}${word("bcast_flood", port.bcastFlood)}mcast_router 1 mcast_to_unicast off ` +
    `neigh_suppress off vlan_tunnel off ${word("isolated", port.isolated)}${word("locked", port.locked)}\n`
  );
}

function word(name: string, on: boolean): string {
  return `${name} ${on ? "on" : "off"} `;
}

/** A line of `bridge fdb`. */
export function formatFdb(bridge: Bridge, e: FdbEntry<BridgePort>): string {
  const bytes = Uint8Array.of(e.high >> 8, e.high, e.low >>> 24, e.low >> 16, e.low >> 8, e.low);
  const vlan = e.vid === 0 ? "" : `vlan ${e.vid} `;
  const state = e.local ? "permanent" : e.static ? "static" : bridge.fdb.expired(e) ? "stale" : "";
  const dev = e.port === null ? bridge.dev : e.port.dev;
  return `${formatMac(bytes)} dev ${dev.name} ${vlan}master ${bridge.dev.name} ${e.sticky ? "sticky " : ""}${state}\n`;
}

/** `bridge vlan show` */
export function formatVlans(ns: Namespace): string {
  let out = `${"port".padEnd(16)}  ${"vlan-id".padEnd(9)}\n`;
  for (const dev of ns.interfaces) {
    const bridge = ns.bridges.get(dev.name);
    if (bridge !== undefined) out += vlanLines(dev.name, bridge.vlans);
    else if (dev.rxHandler instanceof BridgePort) out += vlanLines(dev.name, dev.rxHandler.vlans);
  }
  return out;
}

function vlanLines(name: string, vlans: VlanGroup): string {
  let out = "";
  for (const vid of vlans.vids()) {
    const pvid = vlans.pvid === vid ? " PVID" : "";
    const untagged = vlans.untagged(vid) ? " Egress Untagged" : "";
    out += `${(out === "" ? name : "").padEnd(16)}  ${vid}${pvid}${untagged}\n`;
  }
  return out;
}
