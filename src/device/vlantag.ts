// src/device/vlantag.ts: VLAN tags between a frame's bytes and its descriptor, IEEE 802.1Q clause 9.

import { Pkt } from "../../assembly/layout.ts";
import type { Core, CoreExports, Frame } from "../core/core.ts";

const ADDRESSES = 12;
const HEADER = 14;
const TAG = 4;

/** False when the type says that a tag follows and it is cut short: the tag and the type behind it (skb_vlan_untag). */
export function tagIn(x: CoreExports, eth: number, len: number): boolean {
  const type = x.ethType(eth);
  return (type !== 0x8100 && type !== 0x88a8) || len >= HEADER + TAG + 2;
}

/** Moves the outer tag of protocol `tpid` into `Pkt.Vlan`; false when there is none (another protocol's stays where it is). */
export function takeTag(core: Core, frame: Frame, tpid: number): boolean {
  const { x, u8, u32 } = core;
  const eth = u32[(frame + Pkt.Data) >> 2]!;
  if (x.ethType(eth) !== tpid) return false;
  u32[(frame + Pkt.Vlan) >> 2] = ((tpid << 16) | x.vlanTci(eth + HEADER)) >>> 0;
  u8.copyWithin(eth + TAG, eth, eth + ADDRESSES);
  x.packetPull(frame, TAG);
  u32[(frame + Pkt.Mac) >> 2] = eth + TAG;
  return true;
}

/** Puts the tag in `Pkt.Vlan` back into the bytes. */
export function insertTag(core: Core, frame: Frame): void {
  const { x, u8, u32 } = core;
  const tag = u32[(frame + Pkt.Vlan) >> 2]!;
  if (tag === 0) return;
  const eth = x.packetPush(frame, TAG);
  u8.copyWithin(eth, eth + TAG, eth + TAG + ADDRESSES);
  const type = x.vlanEtype(eth + HEADER);
  x.ethSetType(eth, tag >>> 16);
  x.vlanEmit(eth + HEADER, tag & 0xffff, type);
  u32[(frame + Pkt.Vlan) >> 2] = 0;
  u32[(frame + Pkt.Mac) >> 2] = eth;
}
