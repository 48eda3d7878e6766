// src/host/conntrack/nat.ts: network address translation's hooks and targets (nf_nat_core, nf_nat_masquerade, nf_nat_redirect).

import { Ct, CtStatus, Manip, NatStep, RangeFlag } from "../../../assembly/conntracklayout.ts";
import { Drop } from "../../../assembly/drop.ts";
import { Pkt } from "../../../assembly/layout.ts";
import { formatIpv4, parseIpv4 } from "../../core/address.ts";
import type { Frame } from "../../core/core.ts";
import type { Interface } from "../../link/interface.ts";
import { Hook, type HookFn, priority, Verdict } from "../netfilter/hooks.ts";
import type { Conntrack } from "./conntrack.ts";
import { formatTuple, protocolNames } from "./format.ts";
import type { ConntrackHost } from "./host.ts";

/** nf_nat_range2: addresses in host order, `flags` of `RangeFlag`. Built once a rule. */
export interface NatRange {
  readonly flags: number;
  readonly minAddr: number;
  readonly maxAddr: number;
  readonly minPort: number;
  readonly maxPort: number;
  readonly basePort: number;
}

/** What a real box chose where NAT was free to: a line of the lab's `nat_choices`. */
export interface NatChoice {
  readonly proto: string;
  readonly src: string;
  readonly dst: string;
  readonly sport_or_id: number;
  readonly dport: number;
  readonly new_src: string;
  readonly new_sport_or_id: number;
}

interface Chain {
  readonly priority: number;
  readonly evaluate: HookFn;
}

interface Wanted {
  readonly address: number;
  readonly port: number;
}

const LOOPBACK = 0x7f000001;
const NO_PORT = 65536;
const nothing: Wanted = { address: 0, port: NO_PORT };

export class Nat {
  private readonly chains: Chain[][] = [[], [], [], [], []];
  private registered = 0;
  private readonly choices = new Map<string, Wanted[]>();

  constructor(
    private readonly host: ConntrackHost,
    private readonly conntrack: Conntrack,
  ) {}

  /**
   * nf_nat_register_fn: a base chain of type nat. It is asked for connections that are new, or related, and not bound
   * yet; the others keep their binding. NAT's own four hooks exist while any chain does.
   */
  registerChain(hook: Hook, chainPriority: number, evaluate: HookFn): void {
    const list = this.chains[hook]!;
    let i = list.length;
    while (i > 0 && list[i - 1]!.priority > chainPriority) i--;
    list.splice(i, 0, { priority: chainPriority, evaluate });
    if (this.registered++ > 0) return;
    const { hooks } = this.host;
    hooks.register(Hook.Prerouting, priority.dstnat, "nat", this.run, true);
    hooks.register(Hook.Output, priority.dstnat, "nat", this.run, true);
    hooks.register(Hook.Input, priority.srcnat, "nat", this.run, true);
    hooks.register(Hook.Postrouting, priority.srcnat, "nat", this.run, true);
  }

  unregisterChain(hook: Hook, evaluate: HookFn): void {
    const list = this.chains[hook]!;
    const i = list.findIndex((c) => c.evaluate === evaluate);
    if (i < 0) return;
    list.splice(i, 1);
    if (--this.registered > 0) return;
    for (const h of [Hook.Prerouting, Hook.Output, Hook.Input, Hook.Postrouting])
      this.host.hooks.unregister(h, this.run);
  }

  /** nf_nat_inet_fn */
  private readonly run: HookFn = (frame, hook, input, output) => {
    const { x } = this.host.world;
    const { table } = this.conntrack;
    const out = hook === Hook.Postrouting && output !== null ? output.ifindex : 0;
    const step = x.natStep(table, frame, hook, out) as NatStep;
    const { flows } = this.host;
    if (flows !== undefined && flows.notes.frame === frame) {
      if (step === NatStep.Rules || step === NatStep.Drop) flows.notes.forget();
      else flows.notes.translate(hook);
    }
    switch (step) {
      case NatStep.Skip:
        return Verdict.Accept;
      case NatStep.Done:
        if (this.host.world.tracer !== null) this.traceRewrite(frame, hook, output ?? input);
        return Verdict.Accept;
      case NatStep.Drop:
        return this.refuse();
      case NatStep.Rules:
        return this.ask(frame, hook, input, output);
    }
  };

  private ask(frame: Frame, hook: Hook, input: Interface | null, output: Interface | null): Verdict {
    const { x } = this.host.world;
    const chains = this.chains[hook]!;
    for (let i = 0; i < chains.length; i++) {
      const verdict = chains[i]!.evaluate(frame, hook, input, output);
      if (verdict !== Verdict.Accept) return verdict;
      if (x.natBound(frame, hook)) break;
    }
    if (!x.natBound(frame, hook)) {
      const source = hook === Hook.Postrouting || hook === Hook.Input;
      const wanted = source && this.choices.size > 0 ? this.wantedFor(frame).port : NO_PORT;
      if (!x.natSetupNull(this.conntrack.table, frame, hook, wanted, this.conntrack.jiffies)) return this.refuse();
    }
    if (!x.natPacket(frame, hook)) return this.refuse();
    if (this.host.world.tracer !== null) this.traceRewrite(frame, hook, output ?? input);
    return Verdict.Accept;
  }

  private refuse(): Verdict {
    this.host.hooks.dropReason = Drop.NatFailed;
    return Verdict.Drop;
  }

  /**
   * nf_nat_setup_info: binds the packet's connection, if it is new and not bound that way yet. Drop when it is bound
   * already or cannot be; Accept also without a connection.
   */
  setup(frame: Frame, manip: "src" | "dst", range: NatRange): Verdict {
    return this.bind(
      frame,
      manip === "src" ? Manip.Src : Manip.Dst,
      range,
      range.flags,
      range.minAddr,
      range.maxAddr,
      0,
    );
  }

  /** MASQUERADE: the source becomes the address that the device leaves with (nf_nat_masquerade_ipv4). */
  masquerade(frame: Frame, range: NatRange, output: Interface): Verdict {
    const { world, fib } = this.host;
    const { u32 } = world.core;
    const entry = u32[(frame + Pkt.Ct) >> 2]!;
    if (entry === 0) return Verdict.Accept;
    // 0.0.0.0: a host that has no address yet (DHCP)
    if (u32[(entry + Ct.Src) >> 2] === 0) return Verdict.Accept;
    const hop = this.host.nextHop?.(frame) ?? 0;
    const dst = hop !== 0 ? hop : world.x.ipv4Dst(u32[(frame + Pkt.Data) >> 2]!) >>> 0;
    const address = fib.selectAddress(output, dst, 0);
    if (address === 0) return this.refuse();
    return this.bind(frame, Manip.Src, range, range.flags | RangeFlag.MapIps, address, address, output.ifindex);
  }

  /** REDIRECT: to the first address of the device it came in by, or to loopback for packets made here. */
  redirect(frame: Frame, range: NatRange, hook: Hook, input: Interface | null): Verdict {
    let address = LOOPBACK;
    if (hook !== Hook.Output) {
      const first = input === null ? undefined : this.host.fib.addresses(input)[0];
      if (first === undefined) return this.refuse();
      address = first.local;
    }
    return this.bind(frame, Manip.Dst, range, range.flags | RangeFlag.MapIps, address, address, 0);
  }

  /** NETMAP: the network part becomes that of the range's addresses, the host part stays. */
  netmap(frame: Frame, range: NatRange, hook: Hook): Verdict {
    const { core, x } = this.host.world;
    const ip = core.u32[(frame + Pkt.Data) >> 2]!;
    const dst = hook === Hook.Prerouting || hook === Hook.Output;
    const hostPart = range.minAddr ^ range.maxAddr;
    const old = dst ? x.ipv4Dst(ip) : x.ipv4Src(ip);
    const address = ((old & hostPart) | (range.minAddr & ~hostPart)) >>> 0;
    return this.bind(frame, dst ? Manip.Dst : Manip.Src, range, range.flags | RangeFlag.MapIps, address, address, 0);
  }

  private bind(
    frame: Frame,
    manip: Manip,
    range: NatRange,
    flags: number,
    min: number,
    max: number,
    masq: number,
  ): Verdict {
    const { x } = this.host.world;
    const wanted = manip === Manip.Src && this.choices.size > 0 ? this.wantedFor(frame) : nothing;
    const good = x.natSetup(
      this.conntrack.table,
      frame,
      manip,
      flags,
      min,
      max,
      range.minPort,
      range.maxPort,
      range.basePort,
      masq,
      wanted.address,
      wanted.port,
      this.conntrack.jiffies,
    );
    return good ? Verdict.Accept : this.refuse();
  }

  // -- choices of a real box

  /** Says what NAT chooses for a connection where it may choose; several for one connection are used in turn. */
  addChoice(c: NatChoice): void {
    const proto =
      c.proto === "icmp" ? 1 : Number(Object.keys(protocolNames).find((k) => protocolNames[Number(k)] === c.proto));
    const [src, dst, to] = [parseIpv4(c.src), parseIpv4(c.dst), parseIpv4(c.new_src)];
    if (Number.isNaN(proto)) throw new Error(`nat_choices: unknown protocol '${c.proto}'`);
    if (src === null || dst === null || to === null)
      throw new Error("nat_choices: src, dst and new_src are IPv4 addresses");
    const key = `${proto} ${src} ${dst} ${c.sport_or_id} ${proto === 1 ? 0 : c.dport}`;
    const list = this.choices.get(key);
    if (list === undefined) this.choices.set(key, [{ address: to, port: c.new_sport_or_id }]);
    else list.push({ address: to, port: c.new_sport_or_id });
  }

  /** The choice for the packet as it looks by now, or as it came. */
  private wantedFor(frame: Frame): Wanted {
    const { u32, u8 } = this.host.world.core;
    const e = u32[(frame + Pkt.Ct) >> 2]! >> 2;
    if (e === 0) return nothing;
    const proto = u8[(e << 2) + Ct.Proto]!;
    const ports = u32[e + (Ct.Ports >> 2)]!;
    const reply = u32[e + (Ct.ReplyPorts >> 2)]!;
    const src = u32[e + (Ct.Src >> 2)]!;
    const sport = ports >>> 16;
    const list =
      this.choices.get(`${proto} ${src} ${u32[e + (Ct.ReplySrc >> 2)]!} ${sport} ${proto === 1 ? 0 : reply >>> 16}`) ??
      this.choices.get(`${proto} ${src} ${u32[e + (Ct.Dst >> 2)]!} ${sport} ${proto === 1 ? 0 : ports & 0xffff}`);
    if (list === undefined) return nothing;
    return list.length > 1 ? list.shift()! : list[0]!;
  }

  private traceRewrite(frame: Frame, hook: Hook, dev: Interface | null): void {
    const { core } = this.host.world;
    const entry = core.u32[(frame + Pkt.Ct) >> 2]!;
    if (entry === 0 || (core.u32[(entry + Ct.Status) >> 2]! & (CtStatus.SrcNat | CtStatus.DstNat)) === 0) return;
    const ip = core.u32[(frame + Pkt.Data) >> 2]!;
    const { x } = this.host.world;
    const now = `${formatIpv4(x.ipv4Src(ip) >>> 0)} > ${formatIpv4(x.ipv4Dst(ip) >>> 0)}`;
    const what = hook === Hook.Postrouting || hook === Hook.Input ? "snat" : "dnat";
    this.host.trace(
      "rewrite",
      dev,
      frame,
      `${what}: ${now} (${formatTuple(core, entry, 0)} / ${formatTuple(core, entry, 1)})`,
    );
  }
}
