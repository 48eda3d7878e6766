// src/host/conntrack/format.ts: an entry as `conntrack -L` prints it (libnetfilter_conntrack's default output).

import { Ct, CtEvent, CtStatus } from "../../../assembly/conntracklayout.ts";
import { formatIpv4 } from "../../core/address.ts";
import type { Core } from "../../core/core.ts";

export const protocolNames: Readonly<Record<number, string>> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  33: "dccp",
  47: "gre",
  132: "sctp",
  136: "udplite",
};

/** By `TcpState`. */
export const tcpStateNames = [
  "NONE",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT",
  "CLOSE_WAIT",
  "LAST_ACK",
  "TIME_WAIT",
  "CLOSE",
  "SYN_SENT2",
] as const;

const HZ = 250;

/** Seconds that the entry has left; `now` in jiffies. */
export function secondsLeft(core: Core, entry: number, now: number): number {
  return Math.max(0, Math.trunc(((core.u32[(entry + Ct.Timeout) >> 2]! - now) | 0) / HZ));
}

/** One tuple's words; `dir` 1 is the reply. */
export function formatTuple(core: Core, entry: number, dir: number): string {
  const at = (entry >> 2) + dir * 3;
  const proto = core.u8[entry + Ct.Proto]!;
  const ports = core.u32[at + (Ct.Ports >> 2)]!;
  let s = `src=${formatIpv4(core.u32[at + (Ct.Src >> 2)]!)} dst=${formatIpv4(core.u32[at + (Ct.Dst >> 2)]!)}`;
  if (proto === 1) s += ` type=${(ports >>> 8) & 0xff} code=${ports & 0xff} id=${ports >>> 16}`;
  else if (proto === 47) s += ` srckey=0x${(ports >>> 16).toString(16)} dstkey=0x${(ports & 0xffff).toString(16)}`;
  else if (proto === 6 || proto === 17 || proto === 136) s += ` sport=${ports >>> 16} dport=${ports & 0xffff}`;
  return s;
}

function formatCounters(core: Core, entry: number, dir: number): string {
  const acct = core.u32[(entry + Ct.Acct) >> 2]!;
  if (acct === 0) return "";
  const packets = core.view.getBigUint64(acct + 16 * dir, true);
  const bytes = core.view.getBigUint64(acct + 16 * dir + 8, true);
  return ` packets=${packets} bytes=${bytes}`;
}

/** Everything up to the flags, as listings and events share it. */
function formatBody(core: Core, entry: number, timeout: string, withState: boolean, status: number): string {
  const proto = core.u8[entry + Ct.Proto]!;
  const zone = core.view.getUint16(entry + Ct.Zone, true);
  let s = `${(protocolNames[proto] ?? "unknown").padEnd(8)} ${proto} ${timeout}`;
  if (proto === 6 && withState) s += `${tcpStateNames[core.u8[entry + Ct.State]!] ?? "NONE"} `;
  s += formatTuple(core, entry, 0);
  s += formatCounters(core, entry, 0);
  if ((status & CtStatus.SeenReply) === 0) s += " [UNREPLIED]";
  s += ` ${formatTuple(core, entry, 1)}${formatCounters(core, entry, 1)}`;
  if ((status & CtStatus.Assured) !== 0) s += " [ASSURED]";
  if (zone !== 0) s += ` zone=${zone}`;
  return s;
}

/** A line of `conntrack -L`. `now` in jiffies. */
export function formatEntry(core: Core, entry: number, now: number): string {
  const { u32 } = core;
  const timeout = `${secondsLeft(core, entry, now)} `;
  const body = formatBody(core, entry, timeout, true, u32[(entry + Ct.Status) >> 2]!);
  return `${body} mark=${u32[(entry + Ct.Mark) >> 2]!} use=1`;
}

/** A line of `conntrack -E` about `events` (bits of `CtEvent`): [NEW], [UPDATE] or [DESTROY]. */
export function formatEvent(core: Core, entry: number, events: number, now: number): string {
  const { u32 } = core;
  const destroy = (events & CtEvent.Destroy) !== 0;
  const kind = destroy ? "[DESTROY]" : (events & (CtEvent.New | CtEvent.Related)) !== 0 ? "[NEW]" : "[UPDATE]";
  const left = secondsLeft(core, entry, now);
  // the end of an expired entry has no timeout to tell
  const timeout = destroy && left === 0 ? "" : `${left} `;
  const status = u32[(entry + (destroy ? Ct.StatusAtDeath : Ct.Status)) >> 2]!;
  const body = formatBody(core, entry, timeout, destroy || (events & CtEvent.ProtoInfo) !== 0, status);
  const mark = u32[(entry + Ct.Mark) >> 2]!;
  return `${kind.padStart(9)} ${body}${mark === 0 && (events & CtEvent.Mark) === 0 ? "" : ` mark=${mark}`}`;
}
