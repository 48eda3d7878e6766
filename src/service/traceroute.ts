// src/service/traceroute.ts: `traceroute`: UDP datagrams whose TTL runs out at each router in turn (traceroute(8)).

import { formatIpv4 } from "../core/address.ts";
import { icmp } from "../host/ipv4/icmptypes.ts";
import type { Namespace } from "../host/namespace.ts";
import { MS, SECOND, type Timer } from "../link/clock.ts";

export interface TracerouteOptions {
  /** u32 in host order. */
  readonly to: number;
  readonly hops?: number;
  readonly probes?: number;
  /** Nanoseconds that an answer is waited for. */
  readonly patience?: number;
  readonly print: (line: string) => void;
  readonly done?: () => void;
}

const FIRST_PORT = 33434;
const PAYLOAD = 32;
const ICMP_LEN = 8;
const MIN_HEADER = 20;
const PROTO_UDP = 17;

const marks: Readonly<Record<number, string>> = {
  0: " !N",
  1: " !H",
  2: " !P",
  4: " !F",
  9: " !X",
  10: " !X",
  13: " !X",
};

/** A traceroute that runs: one probe after the other, three a hop. */
export class Traceroute {
  private ttl = 1;
  private probe = 0;
  private port = FIRST_PORT;
  private readonly sport: number;
  private sentAt = 0;
  private timer: Timer | null = null;
  private line = "";
  private from = 0;
  private ended = false;
  private waiting = false;

  constructor(
    private readonly ns: Namespace,
    private readonly options: TracerouteOptions,
  ) {
    this.sport = 32768 + ns.world.rng.below(28232);
    ns.icmp.listeners.add(this.hear);
    const to = formatIpv4(options.to);
    options.print(`traceroute to ${to} (${to}), ${options.hops ?? 30} hops max, ${PAYLOAD + 28} byte packets`);
    this.timer = ns.world.clock.after(0, () => this.send());
  }

  stop(): void {
    this.ns.world.clock.cancel(this.timer);
    if (this.ns.icmp.listeners.delete(this.hear)) this.options.done?.();
  }

  private send(): void {
    const { ns, options } = this;
    const { clock } = ns.world;
    this.sentAt = clock.now;
    this.waiting = true;
    this.timer = clock.after(options.patience ?? 5 * SECOND, () => this.took(" *"));
    const payload = new Uint8Array(PAYLOAD).map((_, i) => 0x40 + i);
    if (!ns.originate.udp(0, this.sport, options.to, this.port, payload, this.ttl)) {
      options.print("traceroute: connect: Network is unreachable");
      this.stop();
    }
  }

  /** An `IcmpListener`. */
  private readonly hear = (net: number, p: number, length: number): void => {
    const { x, clock } = this.ns.world;
    const type = x.icmpType(p);
    if ((type !== icmp.unreachable && type !== icmp.timeExceeded) || !this.waiting) return;
    const q = p + ICMP_LEN;
    if (length < ICMP_LEN + MIN_HEADER) return;
    const ihl = x.ipv4HeaderLen(q);
    if (length < ICMP_LEN + ihl + 8 || x.ipv4Proto(q) !== PROTO_UDP) return;
    if (x.udpSrcPort(q + ihl) !== this.sport || x.udpDstPort(q + ihl) !== this.port) return;
    const from = x.ipv4Src(net) >>> 0;
    const took = `  ${((clock.now - this.sentAt) / MS).toFixed(3)} ms`;
    const name = from === this.from ? "" : ` ${formatIpv4(from)}`;
    this.from = from;
    const code = x.icmpCode(p);
    if (type === icmp.unreachable) this.ended = true;
    const mark = type === icmp.unreachable && code !== 3 ? (marks[code] ?? ` !<${code}>`) : "";
    this.waiting = false;
    clock.cancel(this.timer);
    // outside of the packet's way
    this.timer = clock.after(0, () => this.took(`${name === "" ? "" : ` ${name}`}${took}${mark}`));
  };

  private took(text: string): void {
    const { clock } = this.ns.world;
    this.waiting = false;
    this.line += text;
    this.port++;
    if (++this.probe < (this.options.probes ?? 3)) {
      this.timer = clock.after(0, () => this.send());
      return;
    }
    this.options.print(`${String(this.ttl).padStart(2)}${this.line}`);
    this.line = "";
    this.from = 0;
    this.probe = 0;
    if (this.ended || this.ttl++ >= (this.options.hops ?? 30)) this.stop();
    else this.timer = clock.after(0, () => this.send());
  }
}
