// src/service/ping.ts: `ping`: ICMP echo requests and what answers them (ping(8), in iputils' words).

import { formatIpv4 } from "../core/address.ts";
import { icmp } from "../host/ipv4/icmptypes.ts";
import type { Namespace } from "../host/namespace.ts";
import { MS, SECOND, type Timer } from "../link/clock.ts";

export interface PingOptions {
  /** u32 in host order. */
  readonly to: number;
  /** What the user called it. */
  readonly name?: string;
  readonly count?: number;
  /** Nanoseconds between two. */
  readonly interval?: number;
  /** Nanoseconds that the last one's answer is waited for. */
  readonly patience?: number;
  /** Bytes behind the ICMP header. */
  readonly size?: number;
  /** 0: the host's. */
  readonly ttl?: number;
  /** Only `done` hears. */
  readonly quiet?: boolean;
  readonly print: (line: string) => void;
  readonly done?: (ping: Ping) => void;
}

const ICMP_LEN = 8;
const MIN_HEADER = 20;
const PROTO_ICMP = 1;

const unreachables: Readonly<Record<number, string>> = {
  0: "Destination Net Unreachable",
  1: "Destination Host Unreachable",
  2: "Destination Protocol Unreachable",
  3: "Destination Port Unreachable",
  9: "Destination Net Prohibited",
  10: "Destination Host Prohibited",
  13: "Packet filtered",
};

/** A ping that runs. */
export class Ping {
  sent = 0;
  received = 0;
  errors = 0;
  /** Round trips in nanoseconds, in the order of the answers. */
  readonly times: number[] = [];
  private readonly id: number;
  private readonly begun: number;
  private readonly sentAt: number[] = [];
  private readonly settled = new Set<number>();
  private timer: Timer | null = null;
  private last: Timer | null = null;

  constructor(
    private readonly ns: Namespace,
    private readonly options: PingOptions,
  ) {
    const { rng, clock } = ns.world;
    this.id = rng.below(65536);
    this.begun = clock.now;
    ns.icmp.listeners.add(this.hear);
    const to = formatIpv4(options.to);
    const size = options.size ?? 56;
    this.say(`PING ${options.name ?? to} (${to}) ${size}(${size + ICMP_LEN + MIN_HEADER}) bytes of data.`);
    this.timer = clock.after(0, () => this.send());
  }

  /** Ends it: the statistics so far. */
  stop(): void {
    const { ns, options } = this;
    ns.world.clock.cancel(this.timer);
    ns.world.clock.cancel(this.last);
    if (!ns.icmp.listeners.delete(this.hear)) return;
    const { sent, received, errors, times } = this;
    const spent = (this.sentAt.at(-1) ?? this.begun) - this.begun + (this.sentAt.length > 0 ? (times.at(-1) ?? 0) : 0);
    const loss = sent === 0 ? 0 : Math.round(((sent - received) / sent) * 100);
    this.say("");
    this.say(`--- ${options.name ?? formatIpv4(options.to)} ping statistics ---`);
    const failed = errors > 0 ? ` +${errors} errors,` : "";
    this.say(
      `${sent} packets transmitted, ${received} received,${failed} ${loss}% packet loss, time ${Math.round(spent / MS)}ms`,
    );
    if (times.length > 0) {
      const mean = times.reduce((a, b) => a + b, 0) / times.length;
      const deviation = Math.sqrt(times.reduce((a, t) => a + (t - mean) ** 2, 0) / times.length);
      const all = [Math.min(...times), mean, Math.max(...times), deviation].map((t) => (t / MS).toFixed(3));
      this.say(`rtt min/avg/max/mdev = ${all.join("/")} ms`);
    }
    options.done?.(this);
  }

  private say(line: string): void {
    if (this.options.quiet !== true) this.options.print(line);
  }

  private send(): void {
    const { ns, options } = this;
    const { clock } = ns.world;
    const count = options.count ?? 4;
    const seq = ++this.sent;
    this.sentAt.push(clock.now);
    if (!ns.originate.raw(PROTO_ICMP, 0, options.to, echo(this.id, seq, options.size ?? 56), options.ttl ?? 0)) {
      this.say("ping: sendmsg: Network is unreachable");
      this.settle(seq, true);
    }
    if (seq < count) this.timer = clock.after(options.interval ?? SECOND, () => this.send());
    else if (this.settled.size < count) this.last = clock.after(options.patience ?? 10 * SECOND, () => this.stop());
  }

  /** Something was heard about a request; after the last one it is over. */
  private settle(seq: number, failed: boolean): void {
    if (failed) this.errors++;
    else this.received++;
    this.settled.add(seq);
    const { clock } = this.ns.world;
    // outside of the packet's way
    if (this.settled.size === (this.options.count ?? 4)) {
      clock.cancel(this.last);
      this.last = clock.after(0, () => this.stop());
    }
  }

  /** An `IcmpListener`. */
  private readonly hear = (net: number, p: number, length: number): void => {
    const { core, x, clock } = this.ns.world;
    const { u8 } = core;
    const u16 = (at: number): number => (u8[at]! << 8) | u8[at + 1]!;
    const type = x.icmpType(p);
    const from = formatIpv4(x.ipv4Src(net) >>> 0);
    if (type === icmp.echoReply) {
      const seq = u16(p + 6);
      const at = this.sentAt[seq - 1];
      if (u16(p + 4) !== this.id || at === undefined || this.settled.has(seq)) return;
      const time = clock.now - at;
      this.times.push(time);
      this.say(`${length} bytes from ${from}: icmp_seq=${seq} ttl=${x.ipv4Ttl(net)} time=${digits(time)} ms`);
      return this.settle(seq, false);
    }
    if (type !== icmp.unreachable && type !== icmp.timeExceeded) return;
    const q = p + ICMP_LEN;
    if (length < ICMP_LEN + MIN_HEADER) return;
    const about = q + x.ipv4HeaderLen(q);
    if (length < about + 8 - p || x.ipv4Proto(q) !== PROTO_ICMP) return;
    const seq = u16(about + 6);
    if (u8[about] !== icmp.echo || u16(about + 4) !== this.id || this.settled.has(seq)) return;
    const exceeded = type === icmp.timeExceeded;
    const what = exceeded ? "Time to live exceeded" : (unreachables[x.icmpCode(p)] ?? "Destination Unreachable");
    this.say(`From ${from} icmp_seq=${seq} ${what}`);
    this.settle(seq, true);
  };
}

/** An echo request with its checksum (RFC 792, RFC 1071). */
function echo(id: number, seq: number, size: number): Uint8Array {
  const b = new Uint8Array(ICMP_LEN + size).map((_, i) => i & 255);
  b.set([icmp.echo, 0, 0, 0, id >> 8, id & 255, (seq >> 8) & 255, seq & 255]);
  let sum = 0;
  for (let i = 0; i < b.length; i += 2) sum += (b[i]! << 8) | (b[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  b[2] = (~sum >> 8) & 255;
  b[3] = ~sum & 255;
  return b;
}

/** Three digits that say something, as ping prints a time. */
function digits(ns: number): string {
  const ms = ns / MS;
  return ms < 1 ? ms.toFixed(3) : ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0);
}
