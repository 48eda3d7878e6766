// src/host/bridgewords.ts: the options of a bridge and of its ports, by the words of `ip link` and `bridge link`.

import type { Bridge } from "../device/bridge.ts";
import { BridgePort, type PortState, portStateNames } from "../device/bridgeport.ts";
import type { Interface } from "../link/interface.ts";
import type { Namespace } from "./namespace.ts";
import { TextError } from "./text.ts";

/** A word and where it stands (1-based). */
export interface Word {
  readonly text: string;
  readonly column: number;
}

export function splitWords(line: string): Word[] {
  return [...line.matchAll(/\S+/g)].map((m) => ({ text: m[0], column: m.index + 1 }));
}

export function wrong(at: Word, message: string): TextError {
  return new TextError(1, at.column, message);
}

/** A decimal or hexadecimal number from `min` to `max`. */
export function numberOf(w: Word, what: string, min: number, max: number): number {
  const n = /^(0[xX][0-9a-fA-F]+|\d+)$/.test(w.text) ? Number(w.text) : NaN;
  if (!(n >= min && n <= max)) throw wrong(w, `${what} '${w.text}', expected ${min} to ${max}`);
  return n;
}

function onOff(w: Word, what: string): boolean {
  if (w.text === "on" || w.text === "1" || w.text === "true") return true;
  if (w.text === "off" || w.text === "0" || w.text === "false") return false;
  throw wrong(w, `${what} '${w.text}', expected on or off`);
}

/** Only its off position works here. */
function never(w: Word, what: string): void {
  if (onOff(w, what)) throw wrong(w, `${what} is not emulated, expected off`);
}

export function bridgeOf(ns: Namespace, dev: Interface, at: Word): Bridge {
  const bridge = ns.bridges.get(dev.name);
  if (bridge === undefined) throw wrong(at, `${dev.name} is no bridge`);
  return bridge;
}

export function portOf(dev: Interface, at: Word): BridgePort {
  const { rxHandler } = dev;
  if (!(rxHandler instanceof BridgePort)) throw wrong(at, `${dev.name} is no port of a bridge`);
  return rxHandler;
}

const U32 = 0xffffffff;
/** Reserved groups that a bridge may never be told to forward: its own, pause frames, link aggregation (BR_GROUPFWD_RESTRICTED). */
const RESTRICTED = 7;
const PAUSE = 2;

/** Timers and addresses of the spanning tree, multicast and statistics: checked as numbers, of no effect without them. */
const inert = new Set([
  "forward_delay",
  "hello_time",
  "max_age",
  "priority",
  "vlan_stats_enabled",
  "vlan_stats_per_port",
  "mcast_snooping",
  "mcast_vlan_snooping",
  "mcast_router",
  "mcast_query_use_ifaddr",
  "mcast_hash_elasticity",
  "mcast_hash_max",
  "mcast_last_member_count",
  "mcast_startup_query_count",
  "mcast_last_member_interval",
  "mcast_membership_interval",
  "mcast_querier_interval",
  "mcast_query_interval",
  "mcast_query_response_interval",
  "mcast_startup_query_interval",
  "mcast_stats_enabled",
  "mcast_igmp_version",
  "mcast_mld_version",
  "nf_call_ip6tables",
  "nf_call_arptables",
]);

const active = [
  "ageing_time",
  "vlan_filtering",
  "vlan_protocol",
  "vlan_default_pvid",
  "group_fwd_mask",
  "no_linklocal_learn",
  "fdb_max_learned",
  "nf_call_iptables",
  "stp_state",
  "mcast_querier",
  "group_address",
];

/** `ip link set br0 type bridge KEY VALUE`. */
export function setBridgeOption(bridge: Bridge, key: Word, value: Word): void {
  switch (key.text) {
    case "ageing_time":
      return bridge.setAgeing(numberOf(value, "ageing_time", 0, U32));
    case "vlan_filtering":
      return bridge.setVlanFiltering(onOff(value, "vlan_filtering"));
    case "vlan_protocol": {
      const protocol = { "802.1q": 0x8100, "802.1ad": 0x88a8 }[value.text.toLowerCase()];
      if (protocol === undefined) throw wrong(value, `vlan_protocol '${value.text}', expected 802.1Q or 802.1ad`);
      bridge.vlanProtocol = protocol;
      return;
    }
    case "vlan_default_pvid": {
      const vid = numberOf(value, "vlan_default_pvid", 0, 4094);
      if (bridge.vlanFiltering) throw wrong(key, "vlan_default_pvid cannot change while vlan_filtering is 1");
      return bridge.setDefaultPvid(vid);
    }
    case "group_fwd_mask": {
      const mask = numberOf(value, "group_fwd_mask", 0, 0xffff);
      if ((mask & RESTRICTED) !== 0) throw wrong(value, `group_fwd_mask '${value.text}': bits 0 to 2 may not be set`);
      bridge.groupFwdMask = mask;
      return;
    }
    case "no_linklocal_learn":
      bridge.noLinklocalLearn = onOff(value, "no_linklocal_learn");
      return;
    case "fdb_max_learned":
      bridge.fdb.maxLearned = numberOf(value, "fdb_max_learned", 0, U32);
      return;
    case "nf_call_iptables":
      bridge.nfCallIptables = onOff(value, "nf_call_iptables");
      return;
    case "stp_state":
    case "mcast_querier":
      return never(value, key.text);
    case "group_address":
      if (value.text.toLowerCase() !== "01:80:c2:00:00:00") {
        throw wrong(value, `group_address '${value.text}' is not emulated, expected 01:80:c2:00:00:00`);
      }
      return;
    default:
      if (!inert.has(key.text)) {
        throw wrong(key, `unknown bridge option '${key.text}', expected one of ${[...active, ...inert].join(", ")}`);
      }
      numberOf(value, key.text, 0, U32);
  }
}

type Flag =
  | "hairpin"
  | "learning"
  | "flood"
  | "mcastFlood"
  | "bcastFlood"
  | "isolated"
  | "guard"
  | "rootBlock"
  | "fastleave"
  | "locked";

const flags = new Map<string, Flag>([
  ["hairpin", "hairpin"],
  ["learning", "learning"],
  ["flood", "flood"],
  ["mcast_flood", "mcastFlood"],
  ["bcast_flood", "bcastFlood"],
  ["isolated", "isolated"],
  ["guard", "guard"],
  ["root_block", "rootBlock"],
  ["fastleave", "fastleave"],
  ["mcast_fast_leave", "fastleave"],
  ["locked", "locked"],
]);

const refused = new Set([
  "neigh_suppress",
  "neigh_vlan_suppress",
  "proxy_arp",
  "proxy_arp_wifi",
  "vlan_tunnel",
  "mcast_to_unicast",
  "mab",
  "learning_sync",
]);

/** `bridge link set dev p1 KEY VALUE`, `ip link set p1 type bridge_slave KEY VALUE`. */
export function setPortOption(port: BridgePort, key: Word, value: Word): void {
  const flag = flags.get(key.text);
  if (flag !== undefined) {
    port[flag] = onOff(value, key.text);
    return;
  }
  if (refused.has(key.text)) return never(value, key.text);
  switch (key.text) {
    case "state":
      return port.bridge.setState(port, stateOf(value));
    case "priority":
      port.priority = numberOf(value, "priority", 0, 63);
      return;
    case "cost":
      port.cost = numberOf(value, "cost", 1, 65535);
      return;
    case "group_fwd_mask": {
      const mask = numberOf(value, "group_fwd_mask", 0, 0xffff);
      if ((mask & PAUSE) !== 0) throw wrong(value, `group_fwd_mask '${value.text}': bit 1 may not be set`);
      port.groupFwdMask = mask;
      return;
    }
    case "mcast_router":
      numberOf(value, "mcast_router", 0, 2);
      return;
    default: {
      const known = ["state", "priority", "cost", "group_fwd_mask", "mcast_router", ...flags.keys(), ...refused].join(
        ", ",
      );
      throw wrong(key, `unknown port option '${key.text}', expected one of ${known}`);
    }
  }
}

/** A name or its number. A state that is set stays, also without STP. */
function stateOf(w: Word): PortState {
  const i = (portStateNames as readonly string[]).indexOf(w.text.toLowerCase());
  if (i >= 0) return i;
  if (/^[0-4]$/.test(w.text)) return Number(w.text);
  throw wrong(w, `state '${w.text}', expected ${portStateNames.join(", ")} or 0 to 4`);
}
