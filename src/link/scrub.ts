// src/link/scrub.ts: what a packet leaves behind when it crosses a wire (skb_scrub_packet): all but its bytes.

import { Pkt } from "../../assembly/layout.ts";
import type { Core, Frame } from "../core/core.ts";

/** The mark stays between two devices of one host; another host does not see it. */
export function scrub(core: Core, frame: Frame, newHost: boolean): void {
  const { u32, x } = core;
  const at = frame >> 2;
  if (u32[at + (Pkt.Ct >> 2)] !== 0) x.ctReset(frame);
  else u32[at + (Pkt.CtInfo >> 2)] = 0;
  const geometry = u32[at + (Pkt.Geometry >> 2)]!;
  if (geometry !== 0) {
    x.release(geometry, (u32[geometry >> 2]! + 1) << 2);
    u32[at + (Pkt.Geometry >> 2)] = 0;
  }
  if (newHost) u32[at + (Pkt.Mark >> 2)] = 0;
  u32[at + (Pkt.Mac >> 2)] = 0;
  u32[at + (Pkt.Net >> 2)] = 0;
  u32[at + (Pkt.Trans >> 2)] = 0;
  u32[at + (Pkt.Flags >> 2)] = 0;
  u32[at + (Pkt.OptSrr >> 2)] = 0;
  u32[at + (Pkt.OptRr >> 2)] = 0;
  u32[at + (Pkt.OptTs >> 2)] = 0;
  u32[at + (Pkt.OptFlags >> 2)] = 0;
  u32[at + (Pkt.FragMax >> 2)] = 0;
  u32[at + (Pkt.Vlan >> 2)] = 0;
  u32[at + (Pkt.PhysIn >> 2)] = 0;
  u32[at + (Pkt.PhysOut >> 2)] = 0;
  u32[at + (Pkt.Priority >> 2)] = 0;
}
