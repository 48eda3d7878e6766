// src/device/vlangroup.ts: the VLANs of a bridge port, or of the bridge itself, IEEE 802.1Q clause 8.8 (net/bridge/br_vlan.c).

const MEMBER = 1;
const UNTAGGED = 2;

/** VIDs are 1 to 4094; 0 means "no VLAN" and 4095 is reserved (802.1Q table 9-2). */
export class VlanGroup {
  private readonly flags = new Uint8Array(4096);
  /** The VLAN of untagged and priority-tagged frames; 0: they are dropped. */
  pvid = 0;
  count = 0;

  has(vid: number): boolean {
    return (this.flags[vid]! & MEMBER) !== 0;
  }

  /** The port is in the VLAN's untagged set. */
  untagged(vid: number): boolean {
    return (this.flags[vid]! & UNTAGGED) !== 0;
  }

  /** Adds or changes; an entry that was the PVID and is set without `pvid` stops being it. */
  add(vid: number, pvid: boolean, untagged: boolean): void {
    if (!this.has(vid)) this.count++;
    this.flags[vid] = MEMBER | (untagged ? UNTAGGED : 0);
    if (pvid) this.pvid = vid;
    else if (this.pvid === vid) this.pvid = 0;
  }

  delete(vid: number): boolean {
    if (!this.has(vid)) return false;
    this.flags[vid] = 0;
    this.count--;
    if (this.pvid === vid) this.pvid = 0;
    return true;
  }

  /** Members in order. */
  *vids(): Generator<number> {
    for (let v = 1; v < 4095; v++) if (this.has(v)) yield v;
  }
}
