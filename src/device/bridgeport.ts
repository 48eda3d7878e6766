// src/device/bridgeport.ts: a device as a port of a bridge (net_bridge_port), and what br_netfilter offers the bridge.

import type { Frame } from "../core/core.ts";
import type { Interface, RxHandler } from "../link/interface.ts";
import type { Bridge } from "./bridge.ts";
import { VlanGroup } from "./vlangroup.ts";

/** IEEE 802.1D clause 7.4; the numbers are Linux's BR_STATE_*. */
export enum PortState {
  Disabled = 0,
  Listening = 1,
  Learning = 2,
  Forwarding = 3,
  Blocking = 4,
}

export const portStateNames = ["disabled", "listening", "learning", "forwarding", "blocking"] as const;

export class BridgePort implements RxHandler {
  private at = PortState.Disabled;
  /** Its device and the bridge are up. */
  linked = false;
  hairpin = false;
  private learns = true;
  flood = true;
  mcastFlood = true;
  bcastFlood = true;
  isolated = false;
  /** BPDU guard: stands in the flags; without STP no BPDU is read. */
  guard = false;
  rootBlock = false;
  fastleave = false;
  private isLocked = false;
  /** Reserved groups 01-80-C2-00-00-0x that the port forwards: bit x. */
  groupFwdMask = 0;
  priority = 32;
  cost = 2;
  readonly vlans = new VlanGroup();

  constructor(
    readonly bridge: Bridge,
    readonly dev: Interface,
    /** Numbered from 1 in the order of joining, with gaps refilled (find_portno). */
    readonly number: number,
  ) {}

  /** Forwarding since the link came up, if nobody said otherwise; a port whose device or bridge is down is disabled. */
  get state(): PortState {
    return this.at;
  }

  set state(state: PortState) {
    this.at = state;
    this.bridge.changed();
  }

  get learning(): boolean {
    return this.learns;
  }

  set learning(on: boolean) {
    this.learns = on;
    this.bridge.changed();
  }

  /** Only frames from known stations (BR_PORT_LOCKED). */
  get locked(): boolean {
    return this.isLocked;
  }

  set locked(on: boolean) {
    this.isLocked = on;
    this.bridge.changed();
  }

  handle(_dev: Interface, frame: Frame): void {
    this.bridge.receive(this, frame);
  }

  linkChanged(): void {
    this.bridge.updateState(this);
  }
}

/**
 * The IP hooks around bridged frames (br_netfilter). `Data` is at the Ethernet header before and after.
 * Each answers true when the frame goes on here; false when it is gone.
 */
export interface BridgeNetfilter {
  /** Before the bridge learns and looks up (NF_BR_PRE_ROUTING). */
  prerouting(port: BridgePort, frame: Frame): boolean;
  /** From a port to a port (NF_BR_FORWARD). */
  forward(from: BridgePort, to: BridgePort, frame: Frame): boolean;
  /** On its way out of a port (NF_BR_POST_ROUTING); it fragments what defragmentation made too large, and sends it itself. */
  postrouting(to: BridgePort, frame: Frame): boolean;
  /** Sent by the bridge device: true when it was a bridged frame that came back from the neighbour code. */
  xmit(bridge: Bridge, frame: Frame): boolean;
}
