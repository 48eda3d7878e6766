// src/host/fib/ruleformat.ts: rules in the words of `ip rule show` (iproute2 6.1), which read back the same.

import { formatIpv4 } from "../../core/address.ts";
import { PROTO_KERNEL, formatDsfield, ipProtocolNames, protocolNames, tableNames } from "./names.ts";
import { type Rule, RuleAction } from "./rules.ts";

function formatSelector(address: number, length: number): string {
  if (length === 32) return formatIpv4(address);
  return `${formatIpv4(address)}/${length}`;
}

function formatPorts(p: readonly [number, number]): string {
  return p[0] === p[1] ? String(p[0]) : `${p[0]}-${p[1]}`;
}

function formatMark(r: Rule): string {
  if (!r.hasMark || (r.mark === 0 && r.mask === 0)) return "";
  const mark = r.mark === 0 ? "0" : `0x${r.mark.toString(16)}`;
  return r.mask === 0xffffffff ? ` fwmark ${mark}` : ` fwmark ${mark}/0x${r.mask.toString(16)}`;
}

function formatAction(r: Rule): string {
  switch (r.action) {
    case RuleAction.Table:
      return ` lookup ${tableNames.format(r.table)}${
        r.suppressPrefixLength >= 0 ? ` suppress_prefixlength ${r.suppressPrefixLength}` : ""
      }`;
    case RuleAction.Goto:
      return ` goto ${r.goto}${r.target === null ? " [unresolved]" : ""}`;
    case RuleAction.Nop:
      return " nop";
    case RuleAction.Blackhole:
      return " blackhole";
    case RuleAction.Unreachable:
      return " unreachable";
    case RuleAction.Prohibit:
      return " prohibit";
  }
}

/** `100:\tfrom 10.0.0.64/26 lookup 100` */
export function formatRule(r: Rule): string {
  let s = `${r.priority}:\t${r.invert ? "not " : ""}from ${r.srcLength === 0 ? "all" : formatSelector(r.src, r.srcLength)}`;
  if (r.dstLength !== 0) s += ` to ${formatSelector(r.dst, r.dstLength)}`;
  if (r.tos !== 0) s += ` tos ${formatDsfield(r.tos)}`;
  s += formatMark(r);
  if (r.iif !== null) s += ` iif ${r.iif}${r.iifIndex === -1 ? " [detached]" : ""}`;
  if (r.oif !== null) s += ` oif ${r.oif}${r.oifIndex === -1 ? " [detached]" : ""}`;
  if (r.ipProto !== 0) s += ` ipproto ${ipProtocolNames.nameOf(r.ipProto) ?? `ipproto-${r.ipProto}`}`;
  if (r.sport !== null) s += ` sport ${formatPorts(r.sport)}`;
  if (r.dport !== null) s += ` dport ${formatPorts(r.dport)}`;
  s += formatAction(r);
  return r.protocol === 0 || r.protocol === PROTO_KERNEL ? s : `${s} proto ${protocolNames.format(r.protocol)}`;
}
