// src/device/vlangroup.ts: the VLANs of a bridge port, or of the bridge itself, IEEE 802.1Q clause 8.8 (net/bridge/br_vlan.c).

const MEMBER = 1;
const UNTAGGED = 2;
/** VIDs below this are bits of a word: nearly all ports are in VLAN 1 alone. */
const LOW = 32;

/** VIDs are 1 to 4094; 0 means "no VLAN" and 4095 is reserved (802.1Q table 9-2). */
export class VlanGroup {
  private members = 0;
  private bare = 0;
  /** Flags of the VIDs from `LOW` on, once there is one. */
  private high: Uint8Array | null = null;
  /** The VLAN of untagged and priority-tagged frames; 0: they are dropped. */
  pvid = 0;
  count = 0;

  has(vid: number): boolean {
    if (vid < LOW) return ((this.members >>> vid) & 1) !== 0;
    return this.high !== null && (this.high[vid]! & MEMBER) !== 0;
  }

  /** The port is in the VLAN's untagged set. */
  untagged(vid: number): boolean {
    if (vid < LOW) return ((this.bare >>> vid) & 1) !== 0;
    return this.high !== null && (this.high[vid]! & UNTAGGED) !== 0;
  }

  /** Adds or changes; an entry that was the PVID and is set without `pvid` stops being it. */
  add(vid: number, pvid: boolean, untagged: boolean): void {
    if (!this.has(vid)) this.count++;
    this.set(vid, true, untagged);
    if (pvid) this.pvid = vid;
    else if (this.pvid === vid) this.pvid = 0;
  }

  delete(vid: number): boolean {
    if (!this.has(vid)) return false;
    this.set(vid, false, false);
    this.count--;
    if (this.pvid === vid) this.pvid = 0;
    return true;
  }

  /** Members in order. */
  *vids(): Generator<number> {
    for (let v = 1; v < LOW; v++) if (this.has(v)) yield v;
    for (let v = LOW; this.high !== null && v < 4095; v++) if (this.has(v)) yield v;
  }

  private set(vid: number, member: boolean, untagged: boolean): void {
    if (vid < LOW) {
      const bit = 1 << vid;
      this.members = member ? this.members | bit : this.members & ~bit;
      this.bare = untagged ? this.bare | bit : this.bare & ~bit;
      return;
    }
    this.high ??= new Uint8Array(4096);
    this.high[vid] = (member ? MEMBER : 0) | (untagged ? UNTAGGED : 0);
  }
}
