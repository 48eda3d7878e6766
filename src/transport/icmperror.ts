// src/transport/icmperror.ts: what an ICMP error means to a socket (RFC 1122 §3.2.2.1, §4.1.3.3, §4.2.3.9).

import { icmp } from "../host/ipv4/icmptypes.ts";
import type { Errno } from "./errno.ts";

/** An errno, and whether it ends what it happens to (`fatal`) or is only told to those who ask. */
export interface IcmpError {
  readonly errno: Errno;
  readonly fatal: boolean;
}

const soft = (errno: Errno): IcmpError => ({ errno, fatal: false });
const hard = (errno: Errno): IcmpError => ({ errno, fatal: true });

/** By the code of a destination unreachable (icmp_err_convert). */
const unreachables: readonly IcmpError[] = [
  soft("ENETUNREACH"),
  soft("EHOSTUNREACH"),
  hard("ENOPROTOOPT"),
  hard("ECONNREFUSED"),
  soft("EMSGSIZE"),
  soft("EOPNOTSUPP"),
  hard("ENETUNREACH"),
  hard("EHOSTDOWN"),
  hard("ENONET"),
  hard("ENETUNREACH"),
  hard("EHOSTUNREACH"),
  soft("ENETUNREACH"),
  soft("EHOSTUNREACH"),
  hard("EHOSTUNREACH"),
  hard("EHOSTUNREACH"),
  hard("EHOSTUNREACH"),
];
const parameterProblem = hard("EPROTO");
const other = soft("EHOSTUNREACH");

/** What the error says; null: nothing (source quench, RFC 6633). */
export function icmpError(type: number, code: number): IcmpError | null {
  switch (type) {
    case icmp.sourceQuench:
      return null;
    case icmp.parameterProblem:
      return parameterProblem;
    case icmp.unreachable:
      return unreachables[code] ?? other;
    default:
      return other;
  }
}
