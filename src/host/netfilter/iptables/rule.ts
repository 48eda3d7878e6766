// src/host/netfilter/iptables/rule.ts: a rule as it is evaluated (struct ipt_entry): the standard match in plain fields,
// extension matches as functions, a target.

import type { FirewallHost } from "../host.ts";
import type { Context } from "../context.ts";
import { Hook } from "../hooks.ts";
import type { Reject } from "../reject.ts";
import type { Interface } from "../../../link/interface.ts";
import type { Chain } from "./table.ts";
import type { Option } from "./words.ts";

/** Throws at a place that the caller knows. */
export type Fail = (message: string) => never;

export type Backend = "nft" | "legacy";

/** What a target answers; the first three are Verdict's. */
export enum Outcome {
  Drop = 0,
  Accept = 1,
  Stolen = 2,
  Continue = 3,
  Return = 4,
}

/** Where the rule is being written: builders ask it. */
export interface Place {
  readonly host: FirewallHost;
  readonly reject: Reject;
  readonly backend: Backend;
  readonly table: string;
  readonly chain: string;
  readonly proto: number;
  /** `! -p`. */
  readonly protoInverted: boolean;
  /** Tables that rules share by name (recent lists, hash limits). */
  readonly shared: Map<string, unknown>;
}

export interface Match {
  /** As iptables-save prints it, from `-m` on; "" for what it leaves out. */
  readonly text: string;
  readonly test: (c: Context) => boolean;
  /** It needs connection tracking. */
  readonly tracks?: boolean;
  /** Its answer depends on what the key of a walk holds, and on nothing else (walkcache.ts). */
  readonly keyed?: boolean;
  /** It asks for a TCP flag beside FIN, SYN, RST and ACK. */
  readonly rareFlags?: boolean;
  /** Hooks that it may be reached from (bits 1 << Hook); all when left out. */
  readonly hooks?: number;
  /** The rule goes away. */
  readonly close?: () => void;
}

export interface Target {
  /** As printed, from the name on. */
  readonly text: string;
  readonly run: (c: Context) => Outcome;
  /** The verdict, when it is always the same: then `run` is not called. */
  readonly verdict?: Outcome;
  readonly tracks?: boolean;
  readonly hooks?: number;
  readonly close?: () => void;
}

/** Reads the options of one match or target. `option` answers false for one that it does not know. */
export interface Builder<T> {
  option(o: Option): boolean;
  /** All options were read; throws by `fail` when one is missing. */
  finish(fail: Fail): T;
}

export const hookBit = {
  prerouting: 1 << Hook.Prerouting,
  input: 1 << Hook.Input,
  forward: 1 << Hook.Forward,
  output: 1 << Hook.Output,
  postrouting: 1 << Hook.Postrouting,
} as const;

/** struct ipt_ip, with the negations. Addresses in host order, unsigned. */
export interface IpMatch {
  src: number;
  srcMask: number;
  srcInverted: boolean;
  dst: number;
  dstMask: number;
  dstInverted: boolean;
  input: string;
  inputInverted: boolean;
  output: string;
  outputInverted: boolean;
  proto: number;
  protoInverted: boolean;
  /** `-f`: second and further fragments. */
  fragment: boolean;
  fragmentInverted: boolean;
}

export function emptyIpMatch(): IpMatch {
  return {
    src: 0,
    srcMask: 0,
    srcInverted: false,
    dst: 0,
    dstMask: 0,
    dstInverted: false,
    input: "",
    inputInverted: false,
    output: "",
    outputInverted: false,
    proto: 0,
    protoInverted: false,
    fragment: false,
    fragmentInverted: false,
  };
}

/** A name with a `+` at its end matches what begins so. */
function nameMatches(pattern: string, dev: Interface | null): boolean {
  const name = dev === null ? "" : dev.name;
  return pattern.endsWith("+") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** A name test's answers by ifindex (0: no device): 0 unknown, 1 no, 2 yes. */
class NameTest {
  private known = new Uint8Array(64);

  constructor(
    private readonly pattern: string,
    private readonly inverted: boolean,
  ) {}

  test(dev: Interface | null): boolean {
    const i = dev === null ? 0 : dev.ifindex;
    const k = i < this.known.length ? this.known[i]! : 0;
    return k === 0 ? this.learn(i, dev) : k === 2;
  }

  private learn(i: number, dev: Interface | null): boolean {
    if (i >= this.known.length) {
      const more = new Uint8Array(2 * i);
      more.set(this.known);
      this.known = more;
    }
    const answer = nameMatches(this.pattern, dev) !== this.inverted;
    this.known[i] = answer ? 2 : 1;
    return answer;
  }
}

/** What a rule looks at, so that the rest costs nothing. */
const Asks = { src: 1, dst: 2, input: 4, output: 8, proto: 16, fragments: 32, extensions: 64 } as const;

export class Rule {
  packets = 0;
  bytes = 0;
  private readonly src: number;
  private readonly srcMask: number;
  private readonly srcInverted: boolean;
  private readonly dst: number;
  private readonly dstMask: number;
  private readonly dstInverted: boolean;
  private readonly input: NameTest | null;
  private readonly output: NameTest | null;
  private readonly proto: number;
  private readonly protoInverted: boolean;
  /** 0 any, 1 later fragments only, 2 all others. */
  private readonly fragments: number;
  private readonly extensions: readonly ((c: Context) => boolean)[];
  private readonly asks: number;
  /** What the rule answers when nothing is to be done; -1 when `run` decides. A rule without target goes on. */
  readonly verdict: number;
  readonly run: ((c: Context) => Outcome) | null;
  /** A walk past it may be remembered: its matches are keyed, and so is what it does. */
  readonly keyed: boolean;
  /** One of its matches says `rareFlags`. */
  readonly rareFlags: boolean;

  constructor(
    ip: IpMatch,
    readonly matches: readonly Match[],
    /** Null with a jump, and for a rule that only counts. */
    readonly target: Target | null,
    public jump: Chain | null,
    readonly isGoto: boolean,
    /** As iptables-save prints it behind `-A CHAIN`. */
    readonly spec: string,
  ) {
    this.src = ip.src | 0;
    this.srcMask = ip.srcMask | 0;
    this.srcInverted = ip.srcInverted;
    this.dst = ip.dst | 0;
    this.dstMask = ip.dstMask | 0;
    this.dstInverted = ip.dstInverted;
    this.input = ip.input === "" ? null : new NameTest(ip.input, ip.inputInverted);
    this.output = ip.output === "" ? null : new NameTest(ip.output, ip.outputInverted);
    this.proto = ip.proto;
    this.protoInverted = ip.protoInverted;
    this.fragments = ip.fragment ? (ip.fragmentInverted ? 2 : 1) : 0;
    this.extensions = matches.filter((m) => m.test !== always).map((m) => m.test);
    this.run = target === null ? null : target.run;
    this.verdict = target === null ? Outcome.Continue : (target.verdict ?? -1);
    this.keyed = (jump !== null || this.verdict >= 0) && matches.every((m) => m.keyed === true || m.test === always);
    this.rareFlags = matches.some((m) => m.rareFlags === true);
    this.asks =
      (ip.srcMask !== 0 || ip.srcInverted ? Asks.src : 0) |
      (ip.dstMask !== 0 || ip.dstInverted ? Asks.dst : 0) |
      (this.input !== null ? Asks.input : 0) |
      (this.output !== null ? Asks.output : 0) |
      (ip.proto !== 0 ? Asks.proto : 0) |
      (ip.fragment ? Asks.fragments : 0) |
      (this.extensions.length > 0 ? Asks.extensions : 0);
  }

  /** ip_packet_match, then the extension matches in their order; sees `hotdrop` from them. */
  test(c: Context): boolean {
    const { asks } = this;
    if (asks === 0) return true;
    if ((asks & Asks.src) !== 0 && ((c.src & this.srcMask) === this.src) === this.srcInverted) return false;
    if ((asks & Asks.dst) !== 0 && ((c.dst & this.dstMask) === this.dst) === this.dstInverted) return false;
    if ((asks & Asks.input) !== 0 && !this.input!.test(c.input)) return false;
    if ((asks & Asks.output) !== 0 && !this.output!.test(c.output)) return false;
    if ((asks & Asks.proto) !== 0 && (c.proto === this.proto) === this.protoInverted) return false;
    if ((asks & Asks.fragments) !== 0 && (c.fragOffset !== 0) !== (this.fragments === 1)) return false;
    if ((asks & Asks.extensions) === 0) return true;
    const extensions = this.extensions;
    for (let i = 0; i < extensions.length; i++) if (!extensions[i]!(c)) return false;
    return true;
  }

  get tracks(): boolean {
    return this.target?.tracks === true || this.matches.some((m) => m.tracks === true);
  }

  close(): void {
    for (const m of this.matches) m.close?.();
    this.target?.close?.();
  }
}

/** The test of a match that says nothing (comment). */
export const always = (): boolean => true;
