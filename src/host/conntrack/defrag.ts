// src/host/conntrack/defrag.ts: reassembly of IPv4 datagrams (RFC 791 §3.2, RFC 815; ip_fragment.c): when they are given up.

import { Drop } from "../../../assembly/drop.ts";
import type { Frame } from "../../core/core.ts";
import type { ConntrackHost } from "./host.ts";

/** Who reassembles (enum ip_defrag_users): each has queues of its own. */
export const DefragUser = { local: 0, callRouterAlert: 1, conntrackIn: 2, conntrackOut: 3, conntrackBridge: 4 } as const;

export class Defrag {
  constructor(private readonly host: ConntrackHost) {}

  /** ip_defrag: true when the packet is whole, false when the fragment waits or is gone. */
  defrag(frame: Frame, _user: number): boolean {
    this.host.drop(frame, Drop.FragLimit, null);
    return false;
  }
}
