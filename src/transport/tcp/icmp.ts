// src/transport/tcp/icmp.ts: ICMP errors about segments of ours (RFC 9293 §3.9.2.2, RFC 5927): tcp_v4_err.

import type { Errno } from "../errno.ts";
import { Wake } from "./endpoint.ts";
import type { Connection } from "./connection.ts";
import { retransmitLost, syncMss, currentMss } from "./output.ts";
import { simpleRetransmit } from "./recovery.ts";
import { between } from "./seq.ts";
import { State } from "./state.ts";
import { keyOf } from "./table.ts";
import type { Tcp } from "./tcp.ts";

const UNREACHABLE = 3;
const SOURCE_QUENCH = 4;
const TIME_EXCEEDED = 11;
const PARAMETER_PROBLEM = 12;
const FRAG_NEEDED = 4;
const PROTO_TCP = 6;

/** icmp_err_convert: by the code of a destination unreachable. */
const errors: readonly Errno[] = [
  "ENETUNREACH",
  "EHOSTUNREACH",
  "ENOPROTOOPT",
  "ECONNREFUSED",
  "EMSGSIZE",
  "EOPNOTSUPP",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EHOSTUNREACH",
  "EHOSTUNREACH",
  "EHOSTUNREACH",
];

export function icmpError(tcp: Tcp, quoted: number, length: number, type: number, code: number, info: number): void {
  const { x } = tcp.core;
  const hl = x.ipv4HeaderLen(quoted);
  if (length < hl + 8) return;
  const p = quoted + hl;
  const src = x.ipv4Src(quoted) >>> 0;
  const dst = x.ipv4Dst(quoted) >>> 0;
  const sport = x.tcpSrcPort(p);
  const dport = x.tcpDstPort(p);
  const seq = x.tcpSeq(p) | 0;
  const key = keyOf(sport, dst, dport);
  const error = errorOf(type, code);
  const c = tcp.connections.find(src, sport, dst, dport, key);
  if (c === null) {
    // tcp_req_err: a SYN,ACK that cannot arrive
    const r = tcp.requests.find(src, sport, dst, dport, key);
    const fatal = type === PARAMETER_PROBLEM || (type === UNREACHABLE && code !== 0 && code !== 1);
    if (r !== null && seq === r.iss && fatal && code !== FRAG_NEEDED) r.listener.forget(r);
    return;
  }
  // RFC 5927 §4.1: only about what is in flight
  if (!between(seq, c.sndUna, c.sndNxt)) return;
  if (type === SOURCE_QUENCH) return; // RFC 9293 MUST-55
  if (type === UNREACHABLE && code === FRAG_NEEDED) {
    fragNeeded(tcp, c, info);
  } else if (error !== null) {
    if (c.state === State.SynSent || c.state === State.SynRcvd) c.fail(error);
    else if (c.receiveErrors) {
      c.error = error;
      c.notify(Wake.Error);
    } else c.softError = error;
  }
}

function errorOf(type: number, code: number): Errno | null {
  if (type === UNREACHABLE) return errors[code] ?? null;
  if (type === TIME_EXCEEDED) return "EHOSTUNREACH";
  return type === PARAMETER_PROBLEM ? "EPROTO" : null;
}

/** tcp_v4_mtu_reduced (RFC 1191 §6.4): smaller segments, and what was too long again at once. */
function fragNeeded(tcp: Tcp, c: Connection, mtu: number): void {
  tcp.ns.updatePmtu(PROTO_TCP, c.localAddress, c.localPort, c.remoteAddress, c.remotePort, mtu);
  c.route = null;
  const route = tcp.routeOf(c);
  if (route === null) return;
  const now = tcp.ns.routeMtu(route);
  if (now >= c.pmtu) return;
  syncMss(c, now);
  const { backlog } = tcp.ns.world;
  const outermost = backlog.enter();
  try {
    if (simpleRetransmit(c, currentMss(c))) retransmitLost(c);
  } finally {
    if (outermost) backlog.leave();
  }
}
