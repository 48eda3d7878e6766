// src/host/netfilter/iptables/walkcache.ts: walks that were taken before. Where every rule on the way asks only for what
// the key holds, the next packet with the same key takes the same way: its rules count it, and the verdict stands.
//
// The key: addresses, ports (or ICMP type and code), protocol, TCP flags, what conntrack says, both devices. Rules that ask
// for more (limits, lengths, marks ...) are not `Match.keyed`, and a walk past one of them is not remembered.

import { Pkt } from "../../../../assembly/layout.ts";
import type { Context } from "../context.ts";
import type { Rule } from "./rule.ts";

const FIRST = 16;
const MOST = 4096;
const WORDS = 5;
const TCP = 6;
/** Ports, and TCP's flags: shorter transport headers are looked at anew. */
const tcpHeader = 20;
const ports = 8;

/** A way through the chains. */
export interface Way {
  /** The rules that matched, in order. */
  readonly rules: readonly Rule[];
  /** The verdict, -1 for the policy of the built-in chain. */
  readonly verdict: number;
  /** A rule that was passed says `rareFlags`. */
  readonly rareFlags: boolean;
}

export class WalkCache {
  private keys = new Int32Array(FIRST * WORDS);
  private ways: (Way | null)[] = Array.from({ length: FIRST }, () => null);
  private mask = FIRST - 1;
  private crowded = 0;
  private generation = -1;
  /** The key of the packet that `find` looked for. */
  private src = 0;
  private dst = 0;
  private l4 = 0;
  private state = 0;
  private devices = 0;

  /** Forgets everything: rules changed. */
  clear(): void {
    this.ways.fill(null);
  }

  /** Whether this packet has a key at all. */
  private read(c: Context, u8: Uint8Array): boolean {
    const { proto } = c;
    if (c.fragOffset !== 0 || c.l4Len < (proto === TCP ? tcpHeader : ports)) return false;
    this.src = c.src;
    this.dst = c.dst;
    this.l4 = (c.sport << 16) | c.dport;
    const tracked = c.field(Pkt.Ct) !== 0 ? 8 : 0;
    const flags = proto === TCP ? u8[c.l4 + 13]! : 0;
    this.state = (flags << 16) | (proto << 8) | tracked | c.field(Pkt.CtInfo);
    this.devices = ((c.input === null ? 0 : c.input.ifindex) << 16) | (c.output === null ? 0 : c.output.ifindex);
    return true;
  }

  private slot(): number {
    const h = Math.imul(
      this.src ^ Math.imul(this.dst, 0x9e3779b1) ^ Math.imul(this.l4, 0xc2b2ae35) ^ this.state,
      0x85ebca6b,
    );
    return (h ^ (h >>> 15)) & this.mask;
  }

  /** The way of the packets like this one; null when it has to be walked. `generation`: of addresses and routes. */
  find(c: Context, u8: Uint8Array, generation: number): Way | null {
    if (generation !== this.generation) {
      this.clear();
      this.generation = generation;
    }
    if (!this.read(c, u8)) {
      this.l4 = this.src = this.dst = 0;
      this.state = -1;
      return null;
    }
    const slot = this.slot();
    const { keys } = this;
    const k = slot * WORDS;
    if (
      keys[k] !== this.src ||
      keys[k + 1] !== this.dst ||
      keys[k + 2] !== this.l4 ||
      keys[k + 3] !== this.state ||
      keys[k + 4] !== this.devices
    ) {
      return null;
    }
    return this.ways[slot]!;
  }

  /** Whether the packet that `find` missed may be remembered. */
  get open(): boolean {
    return this.state !== -1;
  }

  /** Remembers the way of the packet that `find` missed last. */
  keep(rules: readonly Rule[], verdict: number, rareFlags: boolean): void {
    let slot = this.slot();
    if (this.ways[slot] !== null && ++this.crowded > this.mask && this.mask < MOST - 1) {
      this.grow((this.mask + 1) * 4);
      slot = this.slot();
    }
    const { keys } = this;
    const k = slot * WORDS;
    keys[k] = this.src;
    keys[k + 1] = this.dst;
    keys[k + 2] = this.l4;
    keys[k + 3] = this.state;
    keys[k + 4] = this.devices;
    this.ways[slot] = { rules: rules.slice(), verdict, rareFlags };
  }

  private grow(size: number): void {
    this.keys = new Int32Array(size * WORDS);
    this.ways = Array.from({ length: size }, () => null);
    this.mask = size - 1;
    this.crowded = 0;
  }
}
